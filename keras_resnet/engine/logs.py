"""What happens while `model.fit` runs: watch the loss, keep checkpoints, log, draw, show progress."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet import console
from keras_resnet.checkpoint import Checkpoints
from keras_resnet.errors import TrainingError
from keras_resnet.run import Run
from keras_resnet.spec import Spec


@dataclass(frozen=True)
class Length:
    """steps of an epoch; first_epoch, counted from 0, to train; last_step, counted over all epochs from 1."""

    steps: int
    first_epoch: int
    last_step: int

    @property
    def epochs(self) -> int:
        """Epochs until the last step."""
        return -(-self.last_step // self.steps)


@contextmanager
def during_training(
    run: Run, checkpoints: Checkpoints, spec: Spec, length: Length, say: Callable[[str], None]
) -> Iterator[list[keras.callbacks.Callback]]:
    """The callbacks of one training, in order: a bad loss stops it before anything is kept, and an epoch
    is logged before its checkpoint, because a resumed run drops the rows its checkpoint does not know."""
    batch = spec.training.batch_size or 0
    with console.progress(length.last_step - length.first_epoch * length.steps, "steps") as advance:
        yield [
            StopOnBadLoss(length.steps, run.name),
            StopAt(length),
            Log(run, length, say, batch),
            KeepCheckpoints(checkpoints),
            ShowProgress(advance, length.epochs, batch),
        ]


class StopAt(keras.callbacks.Callback):
    """Ends the training at its last step, which need not be the last of an epoch."""

    def __init__(self, length: Length) -> None:
        super().__init__()
        self._length, self._done = length, length.first_epoch * length.steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._done += 1
        if self._done >= self._length.last_step:
            self.model.stop_training = True


class StopOnBadLoss(keras.callbacks.Callback):
    """Raises TrainingError at the step at which the loss is no longer a finite number."""

    def __init__(self, steps: int, run_name: str) -> None:
        super().__init__()
        self._steps, self._run_name, self._epoch = steps, run_name, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            step = self._epoch * self._steps + batch + 1
            raise TrainingError(
                f"the loss became {loss} at step {step} (epoch {self._epoch + 1}); the weights after epoch"
                f" {self._epoch} are kept in run {self._run_name}; try a lower --learning-rate"
            )


class KeepCheckpoints(keras.callbacks.Callback):
    """Saves the training state after each epoch whose weights are all finite."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        super().__init__()
        self._checkpoints = checkpoints

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        bad = [w.path for w in self.model.trainable_variables if not np.isfinite(np.asarray(w)).all()]
        if bad:
            raise TrainingError(f"weights became NaN or infinite in epoch {epoch + 1}, first in {bad[0]}")
        self._checkpoints.save(epoch + 1)


class Log(keras.callbacks.Callback):
    """One JSON object an epoch to log.jsonl, the same scalars to TensorBoard, the curves redrawn."""

    def __init__(self, run: Run, length: Length, say: Callable[[str], None], batch: int) -> None:
        super().__init__()
        import tensorflow as tf

        self._run, self._say, self._epochs, self._batch, self._steps = run, say, length.epochs, batch, 0
        self._rows = run.log()[: length.first_epoch]
        self._writer = tf.summary.create_file_writer(str(run.tensorboard))
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start, self._steps = time.perf_counter(), 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._steps += 1

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {"epoch": epoch + 1, **{key: float(value) for key, value in (logs or {}).items()}}
        row["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        row["images_per_second"] = self._steps * self._batch / (self._trained - self._start)
        self._rows.append(row)
        self._run.write_text(self._run.log_file, "".join(json.dumps(r) + "\n" for r in self._rows))
        self._run.write_with(self._run.curves_file, lambda path: draw_curves(self._rows, path))
        self._scalars(row)
        self._say(
            f"epoch {epoch + 1}/{self._epochs}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.2%};"
            f" validation loss {row['val_loss']:.4f}, accuracy {row['val_accuracy']:.2%};"
            f" {row['images_per_second']:.0f} images/s"
        )

    def _scalars(self, row: dict[str, float]) -> None:
        import tensorflow as tf

        with self._writer.as_default():
            for key, value in row.items():
                tf.summary.scalar(key, value, step=int(row["epoch"]))
        self._writer.flush()


class ShowProgress(keras.callbacks.Callback):
    """Moves the progress bar: epoch, loss and throughput."""

    def __init__(self, advance: Callable[[int, str], None], epochs: int, batch: int) -> None:
        super().__init__()
        self._advance, self._epochs, self._batch, self._epoch = advance, epochs, batch, 0
        self._start = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._start = epoch, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        rate = (batch + 1) * self._batch / (time.perf_counter() - self._start)
        loss = float((logs or {}).get("loss", math.nan))
        self._advance(1, f"epoch {self._epoch + 1}/{self._epochs}, loss {loss:.3f}, {rate:.0f} images/s")


def draw_curves(rows: list[dict[str, Any]], path: Any) -> None:
    """Loss and error in % over epochs, training dashed and validation solid as in He et al., as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, error = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for prefix, style, label in (("", "--", "training"), ("val_", "-", "validation")):
        loss.plot(epochs, [row[f"{prefix}loss"] for row in rows], style, color="C0", label=label)
        errors = [100 * (1 - row[f"{prefix}accuracy"]) for row in rows]
        error.plot(epochs, errors, style, color="C1", label=label)
    for axes, title in ((loss, "loss"), (error, "error (%)")):
        axes.set(xlabel="epoch", ylabel=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120, format="png")
