"""Counts with their nouns, one image and two images, for every message. Imports nothing: it goes to devices too."""

from __future__ import annotations

import re
from collections.abc import Sequence

_EITHER = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")


def counted(count: float, noun: str, form: str = "", plural: str = "") -> str:
    """Return `count`, formatted by `form`, with its `noun`; plural: where that is more than an s.

    What is shown decides: 1.0 points as ":g" is one point.
    """
    shown = format(count, form)
    return f"{shown} {noun if shown in ('1', '+1', '-1') else plural or f'{noun}s'}"


def verb(count: int, singular: str = "is", plural: str = "are") -> str:
    """Return the verb that goes with a `count` of things."""
    return singular if count == 1 else plural


def worded(count: int, words: str) -> str:
    """Return `count` with `words` of it, in which "{box|boxes}" stands for what one is called and what several are."""
    return f"{count} {_EITHER.sub(lambda match: match[1 if count == 1 else 2], words)}"


def join_words(words: Sequence[str], last: str = "and") -> str:
    """Return words in a row: "a", "a and b", "a, b and c"; the `last` two with another word between."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
