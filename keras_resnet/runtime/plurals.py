"""Counts with their nouns, one image and two images, for every message. Imports nothing: it goes to devices too."""

from __future__ import annotations

import re
from collections.abc import Sequence

# The letters of thousands, millions and billions of what is counted.
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_EITHER = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")


def counted(count: float, noun: str, form: str = "", plural: str = "") -> str:
    """Return `count`, formatted by `form`, with its `noun`; plural: where that is more than an s.

    What is shown decides: 1.0 points as ":g" is one point.
    """
    shown = format(count, form)
    return f"{shown} {noun if shown in ('1', '+1', '-1') else plural or f'{noun}s'}"


def format_large(number: float) -> str:
    """Return a large `number` with three digits and the unit that suits it: "2.53 M", "1.81 G"; as it is below a
    thousand."""
    for unit, letter in _UNITS:
        # 999,999 is 1 M in three digits, and not 1e+03 k.
        if float(f"{number:.3g}") >= unit:
            return f"{float(f'{number:.3g}') / unit:.3g} {letter}"
    return f"{number:,.3g}"


def format_bytes(size: float) -> str:
    """Return a number of bytes as people write it: "8.4 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def verb(count: int, singular: str = "is", plural: str = "are") -> str:
    """Return the verb that goes with a `count` of things."""
    return singular if count == 1 else plural


def worded(count: int, words: str) -> str:
    """Return `count` with `words` of it, in which "{box|boxes}" stands for what one is called and what several are."""
    return f"{count} {_EITHER.sub(lambda match: match[1 if count == 1 else 2], words)}"


def join_words(words: Sequence[str], last: str = "and") -> str:
    """Return words in a row: "a", "a and b", "a, b and c"; the `last` two with another word between."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
