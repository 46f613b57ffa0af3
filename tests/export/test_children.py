"""Processes that need no GPU do not see one: its memory belongs to the process that trains or evaluates."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_resnet.errors import ExportError
from keras_resnet.export import benchmark
from keras_resnet.runtime import sandbox


def test_files_are_timed_and_tried_without_a_gpu(monkeypatch, tmp_path):
    seen = []

    def start(command, env, **options):
        seen.append(env["CUDA_VISIBLE_DEVICES"])
        return SimpleNamespace(returncode=1, stdout=b"", stderr=b"", wait=lambda: 1)

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(benchmark.subprocess, "run", start)
    with pytest.raises(ExportError, match="could not be timed"):
        benchmark.measure_cost(Path("model.tflite"), np.zeros((1, 2, 2, 3), np.uint8), [1])
    monkeypatch.setattr(sandbox.subprocess, "Popen", start)
    monkeypatch.setattr(sandbox, "_checks_are_skipped", False)
    file = tmp_path / "model.tflite"
    file.write_bytes(b"")
    sandbox.start_check(file, SimpleNamespace)
    assert seen == ["-1", "-1"]
