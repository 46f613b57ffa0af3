"""Training: what a run holds, resuming, a loss that breaks, choices and their reasons."""

import re
import subprocess
import sys
import types
from dataclasses import replace

import keras
import numpy as np
import psutil
import pytest
from samples import paint
from trainings import interrupt_after

from keras_resnet.config.recipes import RECIPES, get_recipe
from keras_resnet.config.recipes.classification import CLASSIFICATION_RECIPES
from keras_resnet.config.recipes.detection import DETECTION_RECIPES
from keras_resnet.config.spec import AugmentSpec, DataSpec, NetworkSpec, Spec, TrainingSpec
from keras_resnet.data.sources import shapes
from keras_resnet.errors import DataError, RunError, TrainingError, TrainingInterrupted, UsageError
from keras_resnet.run import Run
from keras_resnet.training import logger, precision
from keras_resnet.training.curves import Curves
from keras_resnet.training.logger import Logger
from keras_resnet.training.optimizers import create_optimizer
from keras_resnet.training.train import resume, train


def silent(message):
    pass


def test_a_finished_run_is_complete(trained):
    assert trained.is_finished and not trained.checkpoints.exists()
    assert trained.metrics()["value"] >= 0.95 and trained.metrics()["samples"] == 360
    log = trained.read_log()
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
    whole = train(spec, tmp_path, "whole", log=silent)
    interrupt_after(2, monkeypatch)
    with pytest.raises(TrainingInterrupted, match="kresnet train --resume cut"):
        train(spec, tmp_path, "cut", log=silent)
    monkeypatch.undo()
    cut = Run.find(tmp_path, "cut")
    with pytest.raises(RunError, match="no finished model"):
        cut.require_finished()
    said = []
    resume(cut, said.append)
    assert any(re.search(r"from step (9[0-9]) of 132", line) for line in said), said
    parameters = sum(part["parameters"] for part in cut.analysis()["parts"])
    assert any(f"({parameters:,} parameters, " in line for line in said), said
    weights = [keras.saving.load_model(run.model_file, compile=False).get_weights() for run in (whole, cut)]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert [row["step"] for row in cut.read_log()] == [44, 88, 132]
    with pytest.raises(RunError, match="has finished"):
        resume(cut)


def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_weights(quick_spec, tmp_path):
    spec = quick_spec.override("optimizer.learning_rate", 1e30)
    with pytest.raises(TrainingError, match=r"(the loss became (nan|inf) at step \d+|weights became NaN)"):
        train(spec, tmp_path, "bad", log=silent)
    run = Run.find(tmp_path, "bad")
    assert not run.is_finished and run.has_checkpoint


def test_a_taken_name_is_refused(quick_spec, trained, runs):
    with pytest.raises(UsageError, match="--name must be new: "):
        train(quick_spec, runs, trained.name, log=silent)


def test_learning_rate_warms_up_and_falls_to_zero(quick_spec):
    spec = quick_spec.override("optimizer.warmup_epochs", 2.0)
    schedule = create_optimizer(spec, 10)._learning_rate
    rates = [float(schedule(step)) for step in (0, 10, 20, 50, 80)]
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.05, 0], atol=1e-7)


def test_weight_decay_spares_norms_and_biases(quick_spec):
    spec = quick_spec.override("optimizer.warmup_epochs", 0.0).override("optimizer.weight_decay", 0.5)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    for weight in model.trainable_weights:
        weight.assign(np.ones(weight.shape))
    optimizer = create_optimizer(spec, 10)
    optimizer.apply([np.zeros(w.shape, "float32") for w in model.trainable_weights], model.trainable_weights)
    changed = {w.name for w in model.trainable_weights if not np.allclose(w.numpy(), 1)}
    assert changed == {"kernel"}


@pytest.mark.parametrize(
    ("capability", "policy"),
    [
        ((12, 0), "mixed_bfloat16"),
        ((8, 0), "mixed_bfloat16"),
        ((7, 5), "mixed_float16"),
        ((7, 0), "mixed_float16"),
        ((6, 1), "float32"),
    ],
)
def test_precision_of_gpus(capability, policy):
    chosen, why = precision.choose_gpu_precision([{"compute_capability": (99, 0)}, {"compute_capability": capability}])
    assert chosen == policy and f"{capability[0]}.{capability[1]}" in why


def test_a_gpu_of_unknown_capability_gets_float32():
    """Those of other makers than NVIDIA have none."""
    chosen, why = precision.choose_gpu_precision([{"compute_capability": (9, 0)}, {"device_name": "other"}])
    assert chosen == "float32" and "does not say" in why


def test_bfloat16_trains_and_is_saved_in_float32(quick_spec, tmp_path):
    spec = quick_spec.override("training.precision", "mixed_bfloat16").override("training.epochs", 1)
    run = train(spec, tmp_path, log=silent)
    model = keras.saving.load_model(run.model_file, compile=False)
    assert {str(w.dtype) for w in model.weights} == {"float32"}


def cli(tmp_path, tfds_home, *options):
    command = [sys.executable, "-m", "keras_resnet", "train", "--depth", "8", "--data-dir", tfds_home, "--precision"]
    return subprocess.run(
        [*command, "float32", "--runs", str(tmp_path), *options], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_two_devices_are_mirrored(tfds_home, tmp_path):
    done = cli(tmp_path, tfds_home, "--devices", "cpu:2", "--epochs", "3")
    assert "devices: mirrored over 2 CPUs (as asked: cpu:2)" in done.stderr
    losses = [row["loss"] for row in Run.find(tmp_path).read_log()]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--devices", "cpu:3", "--batch-size", "32"), 2, "multiple of the 3 devices. Received: 32"),
        pytest.param(
            ("--devices", "cpu:2", "--accumulate-steps", "3", "--batch-size", "32"),
            2,
            "devices times --accumulate-steps 3",
            marks=pytest.mark.slow,
        ),
        pytest.param(("--devices", "tpu"), 1, "no TPU here can be used", marks=pytest.mark.slow),
    ],
)
def test_devices_that_cannot_be_had_are_one_sentence(tfds_home, tmp_path, options, code, words):
    done = cli(tmp_path, tfds_home, *options)
    assert done.returncode == code and words in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (
            ("--devices", "some"),
            2,
            "--devices must be auto, a number, cpu:N, gpu:0,1, tpu or tpu:NAME. Received: 'some'",
        ),
        (("--devices", "gpu:0,1"), 2, "--devices gpu:0,1: this machine has 0 GPUs that TensorFlow can use"),
        (("--track", "nothing"), 2, "--track must be one of mlflow, wandb. Received: 'nothing'"),
        (("--track", "wandb"), 2, "--track wandb: it is not installed; install it with: pip install wandb"),
        (("--data-dir", "gs://nobody", "--data", "cifar10"), 1, "storage.googleapis.com cannot be reached"),
        (("--train-sizes", "8,16"), 2, "--train-sizes must be at most --image-size (8). Received: (8, 16)"),
        (("--train-sizes", "large"), 2, "--train-sizes must be whole numbers with commas between"),
        (("--set", "optimizer.learning_rat=1"), 2, "Did you mean 'optimizer.learning_rate'"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_sentence(kresnet, tfds_home, tmp_path, options, code, words):
    common = ("train", "--depth", "8", "--data-dir", tfds_home, "--precision", "float32", "--runs", tmp_path)
    done, _, err = kresnet(*common, *options)
    assert done == code and words in err[-1] and "Traceback" not in "".join(err)
    assert not list(tmp_path.iterdir())


def test_patience_ends_and_keeps_the_best(quick_spec, tmp_path):
    changes = {"training.patience": 2, "training.epochs": 30, "training.batch_size": 256}
    said = []
    run = train(quick_spec.override_all({**changes, "optimizer.learning_rate": 0.4}), tmp_path, log=said.append)
    losses = [row["val_loss"] for row in run.read_log()]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 30
    assert f"weights: of epoch {best + 1}, the best" in said and not run.best.exists()
    assert run.metrics()["value"] == pytest.approx(run.read_log()[best]["val_accuracy"])


@pytest.mark.slow
def test_the_average_is_validated_and_kept(quick_spec, tmp_path):
    run = train(quick_spec.override("training.ema", 0.9), tmp_path, log=silent)
    assert run.metrics()["value"] == pytest.approx(run.read_log()[-1]["val_accuracy"]) and run.metrics()["value"] > 0.9


@pytest.mark.slow
def test_the_rate_follows_the_batch_where_asked(quick_spec, tmp_path):
    said = []
    spec = quick_spec.override("optimizer.reference_batch", 64).override("training.epochs", 1)
    run = train(spec.override("training.stop_after", 1), tmp_path, log=said.append)
    assert "learning rate: 0.05 (0.1 for 64 images, in proportion)" in said
    assert run.spec().optimizer.learning_rate == 0.05


@pytest.mark.slow
def test_training_images_may_grow(quick_spec, tmp_path):
    spec = quick_spec.override("data.image_size", 16).override("augment.train_sizes", (8, 16))
    run = train(spec.override("training.epochs", 4).override("training.batch_size", 256), tmp_path, log=silent)
    assert len(run.read_log()) == 4
    assert keras.saving.load_model(run.model_file, compile=False).input_shape == (None, 16, 16, 3)


@pytest.mark.slow
def test_a_pupil_learns_from_a_teacher(quick_spec, trained, tmp_path):
    """From the teacher alone: with no weight on the labels, it learns them all the same."""
    spec = quick_spec.override("distill.teacher", str(trained.folder)).override("distill.weight", 1.0)
    assert train(spec, tmp_path, log=silent).metrics()["value"] > 0.9
    with pytest.raises(
        UsageError, match=r"must have the labels and the image size of the data.*Received: 10 labels, 8"
    ):
        train(spec.override("data.image_size", 16), tmp_path, log=silent)


def test_logs(quick_spec, tmp_path, monkeypatch):
    rows, runs = [], []
    fake = types.SimpleNamespace(
        set_experiment=runs.append,
        start_run=lambda run_name: runs.append(run_name),
        log_params=runs.append,
        log_metrics=lambda row, step: rows.append((step, row["val_loss"])),
    )
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    spec = quick_spec.override("log.track", ("mlflow",)).override("log.histograms", True).override("training.epochs", 2)
    # The curves are drawn once at the end, with all epochs, where nothing is drawn meanwhile.
    drawn, save = [], Curves.save
    monkeypatch.setattr(Curves, "save", lambda self, rows, path: (drawn.append(len(rows)), save(self, rows, path)))
    monkeypatch.setattr(logger, "CURVES_INTERVAL", 1e9)
    run = train(spec.override("log.profile", True), tmp_path, "seen", log=silent)
    assert drawn == [2] and run.curves_file.read_bytes().startswith(b"\x89PNG")
    assert runs[:2] == ["kresnet", "seen"] and runs[2]["optimizer.learning_rate"] == 0.1
    assert rows == [(row["epoch"], row["val_loss"]) for row in run.read_log()]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.tensorboard), {"tensors": 0}).Reload()
    assert {"val_accuracy", "learning_rate", "training images", "stem_conv/kernel"} <= set(events.Tags()["tensors"])
    assert events.Tags()["graph"]
    assert list(run.tensorboard.rglob("*.xplane.pb"))


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "he2015-cifar"])
def test_each_recipe_is_whole(name):
    assert Spec.from_json(RECIPES[name].spec.to_json()) == RECIPES[name].spec
    source = get_recipe(name, quick=True).data.source
    assert source == "digits" if RECIPES[name].spec.task == "classify" else source.startswith("shapes")


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFICATION_RECIPES)
def test_each_recipe_converges_in_its_quick_form(name, tfds_home, tmp_path):
    spec = get_recipe(name, quick=True).override("data.data_dir", tfds_home)
    assert train(spec, tmp_path, log=print).metrics()["value"] >= 0.97


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "edge" else pytest.mark.slow) for name in CLASSIFICATION_RECIPES],
)
def test_each_recipe_trains_a_step(name, tfds_home, tmp_path):
    spec = get_recipe(name, quick=True).override("data.data_dir", tfds_home).override("training.stop_after", 1)
    assert train(spec.override("network.depth", 8), tmp_path, log=silent).is_finished


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTION_RECIPES)
def test_each_recipe_with_objects_trains_a_step(name, tmp_path, monkeypatch):
    monkeypatch.setattr(shapes, "TRAIN", 32)
    monkeypatch.setattr(shapes, "VALIDATION", 16)
    spec = get_recipe(name, quick=True).override("data.data_dir", str(tmp_path)).override("training.stop_after", 1)
    run = train(spec.override("network.depth", 8), tmp_path, log=silent)
    assert run.is_finished and run.metrics()["samples"] == 16


@pytest.mark.slow
def test_memory_stays_as_it_is(quick_spec, tmp_path, monkeypatch):
    """Resident memory after each of 12 epochs: the last within 5% of the third, when all is traced and warm."""
    sizes = []
    genuine = Logger.on_epoch_end

    def record(self, row, weights):
        genuine(self, row, weights)
        sizes.append(psutil.Process().memory_info().rss)

    monkeypatch.setattr(Logger, "on_epoch_end", record)
    train(quick_spec.override("training.epochs", 12), tmp_path, log=silent)
    assert sizes[-1] < 1.05 * sizes[2]


@pytest.mark.slow
def test_resized_crops_of_files_are_decoded_once(tmp_path, monkeypatch):
    """Also by a training that is resumed, which ends with the weights of one that decodes for each crop."""
    from keras_resnet.data.sources import image_folder

    monkeypatch.setattr(image_folder, "fits_in_memory", lambda *of: False)
    spec = Spec(
        network=NetworkSpec(8),
        data=DataSpec(str(paint(tmp_path / "images", 10)), cache="off"),
        augment=AugmentSpec(crop="resized", flip=True),
        training=TrainingSpec(epochs=2, batch_size=8, precision="float32"),
    )
    said = []
    whole = train(spec, tmp_path, "whole", said.append)
    assert not any("uncropped" in line for line in said)
    spec = replace(spec, data=replace(spec.data, cache="auto"))
    with monkeypatch.context() as patch, pytest.raises(TrainingInterrupted):
        interrupt_after(1, patch)
        train(spec, tmp_path, "cut", said.append)
    resume(Run.find(tmp_path, "cut"), said.append)
    first, second = [line for line in said if "uncropped" in line]
    assert first.startswith("cache: keeping 24 uncropped images for the next command, ")
    assert second.startswith("cache: 24 uncropped images were decoded by an earlier command")
    runs = whole, Run.find(tmp_path, "cut")
    weights = [keras.saving.load_model(run.model_file, compile=False).get_weights() for run in runs]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_an_image_that_is_damaged_meanwhile_is_a_sentence(tmp_path, monkeypatch):
    """Read from disk without a cache it is decoded again in each epoch."""
    from keras_resnet.data.sources import image_folder

    monkeypatch.setattr(image_folder, "fits_in_memory", lambda *of: False)
    root = paint(tmp_path / "images", 10)
    spec = Spec(
        network=NetworkSpec(8),
        data=DataSpec(str(root), cache="off"),
        training=TrainingSpec(epochs=3, batch_size=8, precision="float32"),
    )

    def damage(message):
        if message.lstrip().startswith("1/"):
            for file in root.rglob("*.png"):
                file.write_bytes(file.read_bytes()[:60])

    with pytest.raises(DataError, match=r"cannot read image .*\.png: .*; it could be read when the training began"):
        train(spec, tmp_path, "meanwhile", damage)
