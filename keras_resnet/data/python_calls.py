"""Calls of Python by the threads of tf.data pipelines, and their end before Python's.

A pipeline reads ahead until it is deleted. Where an iterator outlives a script, as in a global name, Python deletes it
when it has already begun to end: TensorFlow then waits for its threads, and these wait for Python, forever. So when the
program exits, all calls are refused first, and those that run are waited for; a pipeline without new calls soon stops.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

# No call for so long means that the pipelines have stopped reading ahead; and how long that may take.
QUIET_SECONDS, MOST_SECONDS = 0.1, 10.0


class PythonEnds(RuntimeError):
    """A pipeline asks for Python when the program exits."""


class PythonCalls:
    """Counts the calls that run, and refuses more of them after `end`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running = 0
        self._last = 0.0
        self.ended = False

    @contextmanager
    def call(self) -> Iterator[None]:
        """Do what a pipeline asks for. Raises PythonEnds after `end`."""
        self._count(1)
        try:
            if self.ended:
                raise PythonEnds("the program exits")
            yield
        finally:
            self._count(-1)

    def end(self) -> None:
        """Refuse all calls from now on, and wait until there are none."""
        self.ended = True
        if not self._last:
            return
        self._last = time.monotonic()
        latest = self._last + MOST_SECONDS
        while time.monotonic() < latest and (self._running or time.monotonic() < self._last + QUIET_SECONDS):
            time.sleep(QUIET_SECONDS / 10)

    def _count(self, change: int) -> None:
        with self._lock:
            self._running += change
            self._last = time.monotonic()


PYTHON_CALLS = PythonCalls()
atexit.register(PYTHON_CALLS.end)
