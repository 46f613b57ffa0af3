"""Keep what native libraries print off the terminal.

TensorFlow writes to file descriptor 2 from C++ before anything can be configured. So descriptor 2 is
pointed at a scratch file, while Python's own sys.stderr keeps the terminal.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import IO, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# TensorFlow sets its own level when it is imported, in an interactive Python to INFO, so that no level keeps it quiet.
# coremltools warns of every part that only a Mac has.
CHATTY_LOGGERS = ("tensorflow", "absl", "coremltools")


def quiet(function: Callable[P, T]) -> Callable[P, T]:
    """Let `function`, which Python programs call, keep native chatter away."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with silence_in_main_thread():
            return function(*args, **kwargs)

    return call


def is_main_thread() -> bool:
    """Return whether this is the main thread."""
    return threading.current_thread() is threading.main_thread()


def silence_in_main_thread() -> AbstractContextManager[None]:
    """Return what keeps native chatter away; nothing in other threads, which would take standard error from each
    other."""
    return silence_native_logs() if is_main_thread() else nullcontext()


@contextmanager
def silence_native_logs() -> Iterator[None]:
    """Keep native chatter away while the block runs. Afterwards all is as it was: a notebook or a program that called a
    command has its standard error, its warnings and its environment back, however the block ended."""
    stream, terminal, level = sys.stderr, os.dup(2), os.environ.get(LOG_LEVEL)
    with warnings.catch_warnings(), _pass_errors_alone():
        chatter = _redirect_native_stderr()
        ours = sys.stderr
        try:
            yield
        finally:
            ours.flush()
            # Loggers made meanwhile may hold `ours`, so it stays open.
            sys.stderr = stream if sys.stderr is ours else sys.stderr
            os.dup2(terminal, 2)
            os.close(terminal)
            chatter.close()
            if level is None:
                os.environ.pop(LOG_LEVEL, None)


@contextmanager
def _pass_errors_alone() -> Iterator[None]:
    """Let chatty loggers write nothing below an error while the block runs."""

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    for name in CHATTY_LOGGERS:
        logging.getLogger(name).addFilter(is_error)
    try:
        yield
    finally:
        for name in CHATTY_LOGGERS:
            logging.getLogger(name).removeFilter(is_error)


def _redirect_native_stderr() -> IO[bytes]:
    """Redirect descriptor 2 and return the file that now receives what is written there."""
    os.environ.setdefault(LOG_LEVEL, "3")
    warnings.filterwarnings("ignore")
    chatter = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `silence_native_logs`
    sys.stderr.flush()
    if _writes_to_2(sys.stderr):
        terminal = os.dup(2)
        sys.stderr = os.fdopen(terminal, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    os.dup2(chatter.fileno(), 2)
    return chatter


def _writes_to_2(stream: object) -> bool:
    """Return whether a text stream is descriptor 2; that of a notebook is none."""
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, OSError, ValueError):
        return False
