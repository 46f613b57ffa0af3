"""Make text of foreign origin safe to print: names of files, labels of models, messages that quote them."""

from __future__ import annotations

import unicodedata

# Control characters, surrogates, line and paragraph separators. Of the format characters (Cf) only those that reorder
# text are dangerous (Boucher and Anderson 2021, "Trojan Source"); others join letters or emoji.
_UNSAFE = frozenset(("Cc", "Cs", "Zl", "Zp"))
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def make_printable(text: str) -> str:
    """Return `text` with what a terminal would obey, not show, written as Python escapes.

    "\\x1b[31mred" becomes "\\\\x1b[31mred"; a line break becomes "\\\\n"; half a letter "\\\\ud83d". Letters of all
    scripts and emoji stay.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    if unicodedata.category(character) in _UNSAFE or character in _REORDERING:
        return character.encode("unicode_escape").decode("ascii")
    return character
