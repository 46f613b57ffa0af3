"""What tests of exported files share."""

import pytest

from keras_resnet.export.benchmark import Cost, Latency


@pytest.fixture(scope="module")
def untimed():
    """How fast a file is, is told elsewhere; measuring takes seconds."""
    from keras_resnet.export import verify

    cost = Cost((Latency(1, 0.1, 0.1, 0.1, 10),), 1.0, 2.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "measure_cost", lambda file, images, threads: cost)
        yield
