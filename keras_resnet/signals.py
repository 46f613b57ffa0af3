"""Signals that end a command or a training in good order, nothing half-written left behind; and a process that ends
with the one that started it. Imports no TensorFlow."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
# The descriptor of a pipe that the launcher holds open as long as it lives.
LAUNCHER = "KRESNET_LAUNCHER"
# Seconds from SIGTERM to SIGKILL: a checkpoint has to be written meanwhile.
GRACE = 60.0


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


def stopping_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM, Ctrl-C, and SIGHUP unless it is ignored, as nohup has it."""
    hang_up = (signal.SIGHUP,) if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else ()
    return (signal.SIGTERM, signal.SIGINT, *hang_up)


def leave_terminal() -> None:
    """After a SIGHUP: what is still said to a terminal, which is gone, is said to nobody, and no error."""
    with open(os.devnull, "wb") as nowhere:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # what is no file of the system's needs nothing
                if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
                    os.dup2(nowhere.fileno(), stream.fileno())


def end_with_launcher() -> None:
    """In a worker: stop, as after SIGTERM, when the launcher has died, however it died; nothing elsewhere."""
    told = os.environ.pop(LAUNCHER, "")
    if not told.isdigit():
        return
    pipe = int(told)
    os.set_inheritable(pipe, False)
    threading.Thread(target=_stop_at_end_of, args=(pipe,), daemon=True).start()


def _stop_at_end_of(pipe: int) -> None:
    os.read(pipe, 1)  # nothing is written: it returns when no one holds the other end
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)
