"""Calls of Python by the threads of tf.data pipelines, and their end before Python's.

A pipeline reads ahead until its buffers are full. Where an iterator outlives a script, as in a global name, Python
deletes it when it has already begun to end: TensorFlow then waits for its threads, and these wait for Python, forever.
So when the program exits, it first waits until no pipeline calls any more.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

# No call for so long means that the pipelines have filled their buffers; and how long that may take.
QUIET_SECONDS, MOST_SECONDS = 0.1, 30.0


class PythonCalls:
    """Counts the calls that run. ended: whether the program exits, and nothing is worth waiting for."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running = 0
        self._last = 0.0
        self.ended = False

    @contextmanager
    def call(self) -> Iterator[None]:
        """Do what a pipeline asks for."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def end(self) -> None:
        """Wait until there are no more calls, as the program exits."""
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
