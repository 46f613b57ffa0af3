"""Where the values of a spec come from: an option, a recipe, a run, the weights; messages print it beside the value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple


class Provenance(NamedTuple):
    """The origins of a spec's values, in words that fit into brackets.

    default: the origin of all values that by_key does not name. by_key: a dotted key, or a section, → its origin.
    request: what was asked for, see `run.command`; None where only the spec is known.
    """

    default: str = "set in the spec"
    by_key: Mapping[str, str] = {}
    request: Mapping[str, Any] | None = None


_provenance: ContextVar[Provenance | None] = ContextVar("provenance", default=None)


@contextmanager
def use_provenance(provenance: Provenance) -> Iterator[None]:
    """Let `describe_origin` read this `provenance` while the block runs."""
    token = _provenance.set(provenance)
    try:
        yield
    finally:
        _provenance.reset(token)


def describe_origin(key: str) -> str:
    """Return the origin of the spec's value at the dotted `key`, in words that fit into brackets."""
    provenance = _provenance.get() or Provenance()
    section = key.partition(".")[0]
    return provenance.by_key.get(key) or provenance.by_key.get(section) or provenance.default


def current_request() -> Mapping[str, Any] | None:
    """Return what was asked for where that is known, see `run.command`."""
    return (_provenance.get() or Provenance()).request
