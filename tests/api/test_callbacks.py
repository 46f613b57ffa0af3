"""Callbacks for `fit`, each with a small model of the user's own."""

import keras
import numpy as np
import pytest

import keras_resnet as kr
from keras_resnet.errors import RunError, UsageError

EPOCHS, BATCH = 3, 16


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.repeat((found.images * 255 / 16).astype("uint8")[..., None], 3, axis=-1)
    return images[:200], found.target[:200], images[200:280], found.target[200:280]


def build(width=8):
    """A model with dropout, batch normalization and augmentation: each has a state that a restart can lose."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.RandomTranslation(0.1, 0.1),
            layers.Conv2D(width, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.05, 40)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    return model


class Fail(keras.callbacks.Callback):
    """Ends the training as a crash does, after a step."""

    def __init__(self, epoch, step):
        super().__init__()
        self.place, self.epoch = (epoch, step), 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise KeyboardInterrupt


class Watch(keras.callbacks.Callback):
    """The logs by epoch."""

    def __init__(self):
        super().__init__()
        self.logs = {}

    def on_epoch_end(self, epoch, logs=None):
        self.logs[epoch] = dict(logs)


def fit(digits, folder, every=None, fail=None, model=None):
    """Train, or go on training; returns (the model, the logs by epoch)."""
    x, y, *validation = digits
    model, watch = model or build(), Watch()
    resume = kr.callbacks.ExactResume(folder, every=every)
    more = [Fail(*fail)] if fail else []
    batches, steps = resume.batches(x, y, BATCH, seed=5), resume.steps(x, BATCH)
    options = {"steps_per_epoch": steps, "epochs": EPOCHS, "verbose": 0, "validation_data": tuple(validation)}
    model.fit(batches, callbacks=[resume, watch, *more], **options)
    return model, watch.logs


def weights(model):
    return [np.asarray(each) for each in model.variables + model.optimizer.variables]


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    model, logs = fit(digits, tmp_path_factory.mktemp("whole"))
    return weights(model), logs


@pytest.mark.parametrize(
    ("every", "fail"),
    [(None, (1, 4)), (5, (1, 7)), pytest.param(5, (0, 6), marks=pytest.mark.slow)],
    ids=["after an epoch", "within one", "within the first"],
)
def test_a_resumed_fit_has_the_bits_of_a_whole_one(digits, whole, tmp_path, every, fail):
    with pytest.raises(KeyboardInterrupt):
        fit(digits, tmp_path / "state", every, fail)
    keras.utils.set_random_seed(99)  # another process would have other seeds
    model, logs = fit(digits, tmp_path / "state", every)
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(weights(model), whole[0], strict=True))
    assert logs and all(logs[epoch] == whole[1][epoch] for epoch in logs)
    assert sorted(logs) == list(range(fail[0] if every else 1, EPOCHS))
    assert not (tmp_path / "state").exists()


def test_each_epoch_has_its_own_order_of_all_images(digits, tmp_path):
    x, y, *_ = digits
    resume = kr.callbacks.ExactResume(tmp_path)
    stream, steps = resume.batches(np.arange(len(x)), y, BATCH), resume.steps(x, BATCH)
    epochs = [np.concatenate([next(stream)[0] for _ in range(steps)]) for _ in range(2)]
    assert [sorted(each) == list(range(len(x))) for each in epochs] == [True, True]
    assert not np.array_equal(*epochs)


def test_what_cannot_be_resumed_is_refused(digits, tmp_path):
    x, y, *_ = digits
    resume = kr.callbacks.ExactResume(tmp_path / "a")
    with pytest.raises(UsageError, match="ExactResume needs data that begin at any step"):
        build().fit(x, y, callbacks=[resume], verbose=0)
    with pytest.raises(KeyboardInterrupt):
        fit(digits, tmp_path / "b", 2, (0, 5))
    with pytest.raises(RunError, match=r"state\.npz is of another model or optimizer: .*kernel differs"):
        fit(digits, tmp_path / "b", model=build(width=6))
    (tmp_path / "b" / "state.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(RunError, match=r"state\.npz is unreadable: .*; remove it to begin anew"):
        kr.callbacks.ExactResume(tmp_path / "b")


@pytest.fixture(scope="module")
def watched(digits, tmp_path_factory):
    """A fit with verdicts every second epoch and a report: (folder, the callback, the history)."""
    folder = tmp_path_factory.mktemp("watched")
    x, y, *validation = digits
    data = kr.export.in_memory((x, y), tuple(validation), classes=[str(digit) for digit in range(10)])
    verdicts = kr.callbacks.VerdictEvery(data, folder / "best.tflite", every=2, max_drop=100.0)
    report = kr.callbacks.FitReport(folder / "fit.html", title="My digits", verdicts=verdicts)
    history = build().fit(
        x, y, epochs=EPOCHS, validation_data=tuple(validation), verbose=0, callbacks=[verdicts, report]
    )
    return folder, verdicts, history.history


def test_a_verdict_is_passed_every_second_epoch(watched, digits):
    folder, callback, history = watched
    assert list(callback.verdicts) == [2] and len(history["int8_accuracy"]) == 1
    verdict = callback.verdicts[2]
    assert (folder / "best.tflite").is_file() and verdict.passed
    model = kr.export.load_file(folder / "best.tflite")
    accuracy = np.mean(model(digits[2]).argmax(1) == digits[3])
    assert accuracy == pytest.approx(verdict.value) == history["int8_accuracy"][0]


def test_the_report_of_a_fit_has_its_epochs_and_verdicts(watched):
    folder, _, history = watched
    page = (folder / "fit.html").read_text(encoding="utf-8")
    assert "<h1>My digits</h1>" in page and page.count("<svg") >= 2
    assert all(f"{loss:.4g}" in page for loss in (*history["loss"], *history["val_accuracy"]))
    assert "epoch 2: PASSED" in page and "conv2d" in page


def test_impossible_requests_are_refused(tmp_path):
    with pytest.raises(UsageError, match="every must be a number of epochs, 1 or more"):
        kr.callbacks.VerdictEvery(None, tmp_path / "a.tflite", every=0)
    with pytest.raises(UsageError, match="max_drop must be between 0 and 100 points"):
        kr.callbacks.VerdictEvery(None, tmp_path / "a.tflite", max_drop=-1)
    with pytest.raises(UsageError, match="every must be a number of steps, 1 or more"):
        kr.callbacks.ExactResume(tmp_path, every=0)
