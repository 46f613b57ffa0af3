"""Training: what a run holds, resuming, a loss that breaks, choices and their reasons."""

import json
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_resnet import callbacks, devices
from keras_resnet.errors import RunError, TrainingError, TrainingInterrupted, UsageError
from keras_resnet.run import Run
from keras_resnet.train import optimizer_of, resume, train


def silent(message):
    pass


def test_a_finished_run_is_complete(trained):
    assert trained.finished and not trained.checkpoints.exists()
    assert trained.metrics()["value"] >= 0.95 and trained.metrics()["samples"] == 360
    log = trained.log()
    assert [row["epoch"] for row in log] == list(range(1, 9))
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "images_per_second"} <= set(log[0])
    assert trained.classes() == tuple("0123456789")
    assert trained.curves_file.read_bytes().startswith(b"\x89PNG") and any(trained.tensorboard.iterdir())
    spec = trained.spec()
    assert (spec.network.stem, spec.training.batch_size, spec.data.image_size) == ("cifar", 32, 8)
    assert [p.name for p in trained.folder.iterdir() if p.name.startswith(".")] == []


def test_the_model_is_plain_float32_keras(trained):
    model = keras.saving.load_model(trained.model_file, compile=False)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}


def test_an_interrupted_run_resumes_to_the_same_weights(quick_spec, tmp_path, monkeypatch):
    spec = replace(quick_spec, training=replace(quick_spec.training, epochs=3))
    whole = train(spec, tmp_path, "whole", say=silent)
    genuine = callbacks.KeepCheckpoints.on_epoch_end

    def interrupt_after(self, epoch, logs=None):
        genuine(self, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(callbacks.KeepCheckpoints, "on_epoch_end", interrupt_after)
    with pytest.raises(TrainingInterrupted, match="kresnet train --resume cut"):
        train(spec, tmp_path, "cut", say=silent)
    monkeypatch.undo()
    cut = Run.find(tmp_path, "cut")
    with pytest.raises(RunError, match="no finished model"):
        cut.require_finished()
    said = []
    resume(cut, said.append)
    assert any("from epoch 3" in line for line in said)
    weights = [keras.saving.load_model(run.model_file, compile=False).get_weights() for run in (whole, cut)]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert len(cut.log()) == 3
    with pytest.raises(RunError, match="has finished"):
        resume(cut)


def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_weights(quick_spec, tmp_path):
    spec = quick_spec.override("optimizer.learning_rate", 1e30)
    with pytest.raises(TrainingError, match=r"(the loss became (nan|inf) at step \d+|weights became NaN)"):
        train(spec, tmp_path, "bad", say=silent)
    run = Run.find(tmp_path, "bad")
    assert not run.finished and any(run.checkpoints.glob("*.index"))


def test_a_taken_name_is_refused(quick_spec, trained, runs):
    with pytest.raises(UsageError, match="not taken"):
        train(quick_spec, runs, trained.name, say=silent)


def test_learning_rate_warms_up_and_falls_to_zero(quick_spec):
    spec = quick_spec.override("optimizer.warmup_epochs", 2.0)
    schedule = optimizer_of(spec, 10)._learning_rate
    rates = [float(schedule(step)) for step in (0, 10, 20, 50, 80)]
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.05, 0], atol=1e-7)


def test_weight_decay_spares_norms_and_biases(quick_spec):
    spec = quick_spec.override("optimizer.warmup_epochs", 0.0).override("optimizer.weight_decay", 0.5)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    for weight in model.trainable_weights:
        weight.assign(np.ones(weight.shape))
    optimizer = optimizer_of(spec, 10)
    optimizer.apply([np.zeros(w.shape, "float32") for w in model.trainable_weights], model.trainable_weights)
    changed = {w.name for w in model.trainable_weights if not np.allclose(w.numpy(), 1)}
    assert changed == {"kernel"}


@pytest.mark.parametrize(
    ("capability", "policy"), [((9, 0), "mixed_bfloat16"), ((7, 5), "mixed_float16"), ((6, 1), "float32")]
)
def test_precision_of_gpus(capability, policy):
    chosen, why = devices.precision_of_gpus([{"compute_capability": (9, 9)}, {"compute_capability": capability}])
    assert chosen == policy and f"{capability[0]}.{capability[1]}" in why


def test_bfloat16_trains_and_is_saved_in_float32(quick_spec, tmp_path):
    spec = quick_spec.override("training.precision", "mixed_bfloat16").override("training.epochs", 1)
    run = train(spec, tmp_path, say=silent)
    model = keras.saving.load_model(run.model_file, compile=False)
    assert {str(w.dtype) for w in model.weights} == {"float32"}


MIRRORED = """
import sys, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
from keras_resnet.spec import Spec
from keras_resnet.train import train
said = []
train(Spec.from_json(sys.argv[1]), Path(sys.argv[2]), say=said.append)
assert any("mirrored over 2 devices" in line for line in said), said
"""


def test_two_devices_are_mirrored(quick_spec, tmp_path):
    spec = quick_spec.override("training.epochs", 3).override("training.batch_size", 32)
    subprocess.run([sys.executable, "-c", MIRRORED, spec.to_json(), str(tmp_path)], check=True)
    run = Run.find(tmp_path)
    losses = [json.loads(line)["loss"] for line in run.log_file.read_text().splitlines()]
    assert losses[-1] < losses[0]
