"""Counts with their nouns, one image and two images, for every message. Imports nothing: it goes to devices too."""

from __future__ import annotations


def counted(count: float, noun: str, form: str = "", plural: str = "") -> str:
    """Return `count`, formatted by `form`, with its `noun`; plural: where that is more than an s.

    What is shown decides: 1.0 points as ":g" is one point.
    """
    shown = format(count, form)
    return f"{shown} {noun if shown in ('1', '+1', '-1') else plural or f'{noun}s'}"


def verb(count: int, singular: str = "is", plural: str = "are") -> str:
    """Return the verb that goes with a `count` of things."""
    return singular if count == 1 else plural
