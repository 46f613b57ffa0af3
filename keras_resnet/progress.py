"""Report messages, and the progress of what takes a while; a display, as the command line's, shows the latter."""

from __future__ import annotations

import os
import sys
import textwrap
import time
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
# The time left is estimated from as many steps, in as much time, at least.
TIMED_STEPS, TIMED_SECONDS = 5, 1.0
# What the second line of a message that is folded begins with.
INDENT = "  "
# What `log_once` has logged.
_logged_once: set[tuple[Log, str]] = set()


def log(message: str) -> None:
    """Write a message to standard error, or to what `set_writer` has named."""
    _writer(message)


def log_once(message: str, write: Log = log) -> None:
    """Let `write` have a message unless it has had it from this function before: what is said of the data of a run, for
    one, whenever they are opened."""
    if (write, message) not in _logged_once:
        _logged_once.add((write, message))
        write(message)


def write_line(message: str, stream: TextIO) -> None:
    """Write a message to `stream`: one line, which a terminal shows folded between words. Nobody has to be there to
    read it: a training outlives its terminal."""
    with suppress(BrokenPipeError):
        print(fold(make_printable(message), stream), file=stream, flush=True)


_writer: Log = lambda message: write_line(message, sys.stderr)  # noqa: E731 - standard error as it is then


def set_writer(writer: Log) -> Log:
    """Let `writer` take all messages from now on; returns the one before."""
    global _writer
    former, _writer = _writer, writer
    return former


def fold(line: str, stream: TextIO) -> str:
    """Return `line` as `stream` shows it: on a terminal folded between words, so that no path or command is cut, and
    anywhere else as it is."""
    return fold_to(line, find_width(stream)) if stream.isatty() else line


def fold_to(line: str, width: int, indent: str = INDENT) -> str:
    """Return `line` folded between words to `width` columns; further lines begin with `indent`."""
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )


def find_width(stream: TextIO) -> int:
    """Return how many columns the terminal `stream` has: COLUMNS where that is set, 80 where nothing tells."""
    with suppress(ValueError):
        if (columns := int(os.environ.get("COLUMNS", ""))) > 0:
            return columns
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


class Pace:
    """How long the steps of some work take, and so how long the rest will.

    The first one is not counted: a network is traced in it. Nor is anything said before a few have been.
    """

    def __init__(self, total: int) -> None:
        self.left, self.timed = total, 0
        self._began: float | None = None
        self._latest = 0.0

    def advance(self, steps: int = 1) -> None:
        """Count `steps` that have been done."""
        self._latest = time.monotonic()
        self.left -= steps
        if self._began is None:
            self._began = self._latest
        else:
            self.timed += steps

    @property
    def seconds(self) -> float:
        """What the `timed` steps took."""
        return 0.0 if self._began is None else self._latest - self._began

    @property
    def seconds_left(self) -> float | None:
        """What those that are `left` will take; None while that is not known."""
        if self.timed < TIMED_STEPS or self.seconds < TIMED_SECONDS:
            return None
        return self.left * self.seconds / self.timed


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
