"""End a command or a training in good order on signals, and a worker with the launcher that started it.

Nothing half-written is left behind. Imports no TensorFlow.
"""

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

TERMINATION_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
# The descriptor of a pipe that the launcher holds open as long as it lives.
LAUNCHER = "KRESNET_LAUNCHER"
# Seconds from SIGTERM to SIGKILL: a checkpoint has to be written meanwhile.
GRACE_PERIOD = 60.0


class SignalExit(SystemExit):
    """A signal asked this process to end; it does so after cleaning up, with the exit code that shells expect."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.exit_code = 128 + number
        self.name = signal.Signals(number).name


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SignalExit in the main thread while the block runs, unless they are ignored, as
    under nohup; a second one ends the process at once. One that reaches Python where nothing can be raised, as in the
    removal of an object, is sent again."""
    before = {}
    hook = sys.unraisablehook
    try:
        with suppress(ValueError):  # not the main thread, which alone may listen
            for number in TERMINATION_SIGNALS:
                if signal.getsignal(number) == signal.SIG_DFL:
                    before[number] = signal.signal(number, _raise_exit)
        sys.unraisablehook = _send_again
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # as `ignore_stop_signals` has it
                signal.signal(number, handler)


def _raise_exit(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise SignalExit(number)


def _send_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Send a signal once more whose exception was lost; report any other as Python does."""
    error = unraisable.exc_value
    if isinstance(error, SignalExit):
        number = signal.Signals[error.name]
        signal.signal(number, _raise_exit)
    elif isinstance(error, KeyboardInterrupt):
        number = signal.SIGINT
    else:
        sys.__unraisablehook__(unraisable)
        return
    threading.Timer(0.01, os.kill, (os.getpid(), number)).start()  # when this function has returned


def ignore_stop_signals() -> None:
    """Ignore SIGTERM, SIGHUP and Ctrl-C from now on: what one of them asks for is being done."""
    with suppress(ValueError):  # not the main thread, which alone receives signals
        for number in list_stop_signals():
            signal.signal(number, signal.SIG_IGN)


def end_at_once_on_interrupt() -> None:
    """Let a further Ctrl-C end the process without a word, where only its exit is left to do."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def list_stop_signals() -> tuple[signal.Signals, ...]:
    """Return SIGTERM, SIGINT (Ctrl-C), and SIGHUP unless it is ignored, as under nohup."""
    hang_up = (signal.SIGHUP,) if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else ()
    return (signal.SIGTERM, signal.SIGINT, *hang_up)


def detach_from_terminal() -> None:
    """Discard, after a SIGHUP, what is written to the terminal that is gone, instead of failing."""
    with open(os.devnull, "wb") as null:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # a stream without a file of the system needs nothing
                if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
                    os.dup2(null.fileno(), stream.fileno())


def stop_with_launcher() -> None:
    """Stop a worker, as after SIGTERM, when its launcher has died, however it died; do nothing elsewhere."""
    descriptor = os.environ.pop(LAUNCHER, "")
    if not descriptor.isdigit():
        return
    pipe = int(descriptor)
    os.set_inheritable(pipe, False)
    threading.Thread(target=_stop_when_closed, args=(pipe,), daemon=True).start()


def _stop_when_closed(pipe: int) -> None:
    os.read(pipe, 1)  # nothing is written: it returns when no one holds the other end
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_PERIOD)
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def collect_stop_signals() -> Iterator[list[int]]:
    """Collect SIGTERM, SIGHUP and the first two Ctrl-C while the block runs, instead of ending by them; a third Ctrl-C
    is immediate. A SIGHUP that is ignored, as nohup has it, stays ignored. Within `exit_on_signals` all stay
    ignored afterwards if the block has called `ignore_stop_signals`, for the command ends then."""
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and received.count(number) == 2:
            raise KeyboardInterrupt
        if number == signal.SIGHUP:
            detach_from_terminal()
        received.append(number)

    try:
        before = {number: signal.signal(number, receive) for number in list_stop_signals()}
    except ValueError:  # not the main thread, which alone receives signals
        yield received
        return
    ends_command = _raise_exit in before.values()
    try:
        yield received
    finally:
        for number, handler in before.items():
            if not (ends_command and signal.getsignal(number) == signal.SIG_IGN):
                signal.signal(number, handler)
