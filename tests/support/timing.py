"""Files are timed once for all tests: it takes seconds a file, and most tests ask something else of one."""

import os
from contextlib import contextmanager

import pytest

from keras_resnet.export import verify
from keras_resnet.export.benchmark import Cost, Latency

COST = Cost((Latency(1, 0.1, 0.1, 0.1, 10),), 1.0, 2.0)
_measure_cost = verify.measure_cost


@contextmanager
def untimed():
    """Give verdicts of this process the same cost, unmeasured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "measure_cost", lambda file, images, threads: COST)
        yield


@contextmanager
def timed():
    """Measure costs again, with all threads alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "measure_cost", _measure_cost)
        patch.setattr(verify, "count_threads", lambda: [os.cpu_count()])
        yield
