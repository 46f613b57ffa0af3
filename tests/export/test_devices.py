"""Where files are run: this machine's CPU."""

import numpy as np
import pytest
from keras_resnet.export.devices.local_cpu import LocalCPU

from keras_resnet.errors import ExportError
from keras_resnet.export.load import load_file


def test_this_cpu_runs_a_file(exported, pixels):
    file = exported[0].exports / "int8.tflite"
    result = LocalCPU().run(file, pixels)
    np.testing.assert_array_equal(result.outputs, load_file(file)(pixels))
    assert [each.threads for each in result.latencies] == LocalCPU.thread_counts() and result.latencies[0].p50 > 0
    assert result.accelerated == frozenset() and result.cost.peak_mib > 0


def test_what_cannot_be_run_is_an_error(tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"TFL3" * 9)
    with pytest.raises(ExportError):
        LocalCPU().run(tmp_path / "broken.tflite", np.zeros((1, 8, 8, 3), np.uint8))
