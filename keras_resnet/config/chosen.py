"""Who chose what a spec says: an option, a recipe, a run, the weights. A spec holds values alone; what is printed
beside them comes from here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Choices(NamedTuple):
    """by: a dotted key of the spec, or a section of it, → who chose it. otherwise: who chose all others."""

    otherwise: str = "set in the spec"
    by: Mapping[str, str] = {}


_choices: ContextVar[Choices | None] = ContextVar("choices", default=None)


@contextmanager
def chosen(choices: Choices) -> Iterator[None]:
    """While the block runs, `who` answers by these `choices`."""
    token = _choices.set(choices)
    try:
        yield
    finally:
        _choices.reset(token)


def who(key: str) -> str:
    """Return who chose the value that the spec has for the dotted `key`, in words that fit into brackets."""
    choices = _choices.get() or Choices()
    section = key.partition(".")[0]
    return choices.by.get(key) or choices.by.get(section) or choices.otherwise
