"""Report messages, and the progress of what takes a while; a display, as the command line's, shows the latter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from operator import length_hint
from typing import TextIO, TypeVar

from keras_resnet.runtime.printable import make_printable

T = TypeVar("T")
# Takes one line of text for people, as `log` does.
Log = Callable[[str], None]
# (steps done, what is being done).
Advance = Callable[[int, str], None]
# (how many steps there are, or None; what is being done; what a step is) → a context that yields an `Advance`.
Display = Callable[[int | None, str, str], AbstractContextManager[Advance]]


def log(message: str) -> None:
    """Write one line to standard error, or to what `set_writer` has named."""
    _writer(message)


def write_line(message: str, stream: TextIO) -> None:
    """Write one line to `stream`. Nobody has to be there to read it: a training outlives its terminal."""
    with suppress(BrokenPipeError):
        print(make_printable(message), file=stream, flush=True)


_writer: Log = lambda message: write_line(message, sys.stderr)  # noqa: E731 - standard error as it is then


def set_writer(writer: Log) -> Log:
    """Let `writer` take all messages from now on; returns the one before."""
    global _writer
    former, _writer = _writer, writer
    return former


@contextmanager
def _show_nothing(total: int | None, words: str, unit: str) -> Iterator[Advance]:
    yield lambda steps, words: None


_display: Display = _show_nothing


def set_display(display: Display) -> Display:
    """Let `display`, such as `progress_bar.show_bar`, show all progress from now on; returns the one before."""
    global _display
    former, _display = _display, display
    return former


def show_progress(total: int | None, unit: str, words: str = "") -> AbstractContextManager[Advance]:
    """Yield `advance(steps, words)` for `total` steps, each one a `unit`; None where their number is unknown."""
    return _display(total, words, unit)


@contextmanager
def track(items: Iterable[T], words: str, unit: str) -> Iterator[Iterator[T]]:
    """Yield the `items`, each one a `unit`, and count those that are done."""

    def count() -> Iterator[T]:
        for item in items:
            yield item
            advance(1, words)

    with show_progress(length_hint(items) or None, unit, words) as advance:
        yield count()


@contextmanager
def show_activity(words: str) -> Iterator[None]:
    """Show that work of unknown length is under way."""
    with show_progress(None, "", words):
        yield
