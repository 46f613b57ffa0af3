"""A run's files on devices, from Python."""

import shutil

import pytest

import keras_resnet as kr
from keras_resnet.api import device_verdicts
from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.run_on_devices import DeviceResult


@pytest.fixture
def run(exported, tmp_path):
    return kr.open_run(shutil.copytree(exported[0].folder, tmp_path / "runs" / "digits"))


def test_a_run_is_verified_on_devices(run):
    verdicts = run.verify("local", samples=60, max_drop=50.0, threads=1)
    assert verdicts.passed and [verdict.device.where for verdict in verdicts] == ["local"] * len(verdicts)
    assert {"float32.tflite", "int8.tflite"} <= {verdict.file for verdict in verdicts}
    assert all(verdict.cpu_agreement == 1 and verdict.samples == 60 for verdict in verdicts)
    lines = str(verdicts).splitlines()
    assert [line.split(" on local")[0] for line in lines[:2]] == [
        str(each).split(" on local")[0] for each in verdicts[:2]
    ]
    assert len(set(lines)) == len(lines)
    assert "on local, CPU" in str(verdicts) and "<table>" in verdicts._repr_html_()


@pytest.mark.slow
def test_places_and_the_option_on_name_devices_together_in_that_order(run, monkeypatch):
    given = []
    monkeypatch.setattr(device_verdicts, "find_places", lambda settings: given.append(settings.on) or [])
    monkeypatch.setattr("keras_resnet.export.run_on_devices.DeviceContext.verify", lambda *_: DeviceResult([], []))
    run.verify("tflm", on="local:gpu")
    run.verify(on=["local", "tflm"])
    run.verify()
    assert given == [("tflm", "local:gpu"), ("local", "tflm"), ("local",)]


def test_what_cannot_be_run_raises(run):
    with pytest.raises(ExportError, match="false could not be reached: it ended with exit code 1"):
        run.verify("false", samples=20)
    with pytest.raises(UsageError, match="accelerator"):
        run.verify("tflm:gpu")
