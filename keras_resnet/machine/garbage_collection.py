"""Spend less of a command's time on the garbage collection of Python."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Python collects after so many more objects were made than freed; by its own default after 2000, or fewer.
# Imports and the tracing of networks make millions, nearly all of which stay.
COLLECT_AFTER = 50_000


@contextmanager
def collect_rarely() -> Iterator[None]:
    """Collect garbage more rarely while the block runs: it takes a fifth of the time of an import of TensorFlow."""
    thresholds = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def skip_last_collection() -> None:
    """Keep Python from looking for garbage among all objects as it exits, which takes a second or two once TensorFlow
    is imported, just before their memory goes back to the system. To be called when nothing else is to be done."""
    gc.freeze()
