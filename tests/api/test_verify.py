"""A run's files on devices, from Python."""

import shutil

import pytest

import keras_resnet as kr
from keras_resnet.errors import UsageError, VerdictError


@pytest.fixture
def run(exported, tmp_path):
    return kr.open_run(shutil.copytree(exported[0].folder, tmp_path / "runs" / "digits"))


def test_a_run_is_verified_on_devices(run):
    verdicts = run.verify("local", samples=60, max_drop=50.0, threads=1)
    assert verdicts.passed and [verdict.device.where for verdict in verdicts] == ["local"] * len(verdicts)
    assert {"float32.tflite", "int8.tflite"} <= {verdict.file for verdict in verdicts}
    assert all(verdict.cpu_agreement == 1 and verdict.samples == 60 for verdict in verdicts)
    assert "on local, CPU" in str(verdicts) and "<table>" in verdicts._repr_html_()


def test_what_cannot_be_run_raises(run):
    with pytest.raises(VerdictError, match="it ended by exit code 1"):
        run.verify("false", samples=20)
    with pytest.raises(UsageError, match="accelerator"):
        run.verify("tflm:gpu")
