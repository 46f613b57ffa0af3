"""Which signals end a training in good order, and a process that ends with the one that started it."""

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

# The descriptor of a pipe that the launcher holds open as long as it lives.
LAUNCHER = "KRESNET_LAUNCHER"
# Seconds from SIGTERM to SIGKILL: a checkpoint has to be written meanwhile.
GRACE = 60.0


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


@contextmanager
def collect_stop_signals() -> Iterator[list[int]]:
    """Collect SIGTERM, SIGHUP and the first Ctrl-C while the block runs, instead of ending by them; a second Ctrl-C is
    immediate. A SIGHUP that is ignored, as nohup has it, stays ignored."""
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in received:
            raise KeyboardInterrupt
        if number == signal.SIGHUP:
            leave_terminal()
        received.append(number)

    try:
        before = {number: signal.signal(number, receive) for number in stopping_signals()}
    except ValueError:  # not the main thread, which alone receives signals
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
