"""Trainings that are started, interrupted, killed and compared."""

import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np

from keras_resnet.training.checkpoint import manifests
from keras_resnet.training.logger import Logger


def interrupt_after(epoch, monkeypatch):
    """Ctrl-C when that epoch has been recorded."""
    genuine = Logger.on_epoch_end

    def record(self, row, weights):
        genuine(self, row, weights)
        if row["epoch"] == epoch:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Logger, "on_epoch_end", record)


def start(arguments):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        [sys.executable, "-m", "keras_resnet", *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )


def finished(arguments):
    process = start(arguments)
    _, told = process.communicate()
    assert process.returncode == 0, told[-2000:]


def step_of(run):
    found = manifests(run.checkpoints)
    return int(found[-1].stem.rpartition("-")[2]) if found else 0


def wait_for(condition, process):
    while process.poll() is None and not condition():
        time.sleep(0.02)


def same_weights(*runs):
    weights = [keras.saving.load_model(run.model_file, compile=False).get_weights() for run in runs]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def same_log(*runs):
    rows = [[{k: v for k, v in row.items() if k != "images_per_second"} for row in run.read_log()] for run in runs]
    assert rows[0] == rows[1] and len(rows[0]) > 1
