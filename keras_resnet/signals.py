"""Signals that end a command: SIGTERM and SIGHUP, as Ctrl-C does, leave nothing half-written behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(SystemExit):
    """A signal asked this process to end; it does, with the exit code that shells expect, after what has to be
    done."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.exit_code = 128 + number
        self.name = signal.Signals(number).name


@contextmanager
def ending_tidily() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGHUP raise Ended in the main thread, each unless it is ignored, as nohup has
    it; a second one ends the process at once."""
    before = {}
    try:
        with suppress(ValueError):  # not the main thread, which alone may listen
            for number in ENDING:
                if signal.getsignal(number) == signal.SIG_DFL:
                    before[number] = signal.signal(number, _end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise Ended(number)
