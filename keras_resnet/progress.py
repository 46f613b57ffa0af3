"""Messages, and progress of what takes a while: shown only if somebody asks for it, as the command line does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from operator import length_hint
from typing import TypeVar

from keras_resnet.runtime.printable import make_printable

T = TypeVar("T")
# Takes one line of text for people, as `log` does.
Log = Callable[[str], None]
# (steps done, what is being done).
Advance = Callable[[int, str], None]
# (how many steps there are, or None; what is being done; what a step is) → a context that yields an `Advance`.
Show = Callable[[int | None, str, str], AbstractContextManager[Advance]]


def log(message: str) -> None:
    """One line to standard error. Nobody has to be there to read it: a training outlives its terminal."""
    with suppress(BrokenPipeError):
        print(make_printable(message), file=sys.stderr, flush=True)


@contextmanager
def _unseen(total: int | None, words: str, unit: str) -> Iterator[Advance]:
    yield lambda steps, words: None


_show: Show = _unseen


def shown_by(show: Show) -> Show:
    """From now on `show` is told what is under way, as `console.bar` is; returns who was told until now."""
    global _show
    former, _show = _show, show
    return former


def counting(total: int | None, unit: str, words: str = "") -> AbstractContextManager[Advance]:
    """Yields `advance(steps, words)`, for `total` steps, each one a `unit`; of None nobody knows how many there are."""
    return _show(total, words, unit)


@contextmanager
def track(items: Iterable[T], words: str, unit: str) -> Iterator[Iterator[T]]:
    """Yields the `items`, each one a `unit`, and counts those that are done with."""

    def counted() -> Iterator[T]:
        for item in items:
            yield item
            advance(1, words)

    with counting(length_hint(items) or None, unit, words) as advance:
        yield counted()


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """For work of unknown length."""
    with counting(None, "", words):
        yield
