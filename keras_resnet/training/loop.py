"""The training loop, from the first step to the last: epochs, validation, checkpoints, and stopping in good order."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.config.image_size import ImageSize
from keras_resnet.data import pipeline
from keras_resnet.data.load import DatasetSplits
from keras_resnet.data.pipeline import TrainPipeline
from keras_resnet.errors import RunError, TrainingError, TrainingInterrupted, TrainingPruned, TrainingStopped
from keras_resnet.progress import Pace, show_progress
from keras_resnet.run import Run
from keras_resnet.signals import collect_stop_signals, ignore_stop_signals
from keras_resnet.training.checkpoint import Checkpoints, Progress
from keras_resnet.training.evaluator import ValidationEvaluator
from keras_resnet.training.heartbeat import beat
from keras_resnet.training.logger import Logger
from keras_resnet.training.schedule import TrainingSchedule
from keras_resnet.training.throughput import Throughput, format_rate
from keras_resnet.training.trainer import Trainer

if TYPE_CHECKING:
    import tensorflow as tf

# Steps whose results are not waited for: an accelerator is given its next step before it has finished this one.
STEPS_AHEAD = 2
EVALUATION_BATCH = 64
FIRST_STEP = "first step"
# Takes the row of an epoch, as log.jsonl has it.
GoesOn = Callable[[dict[str, Any]], bool]
# Where no bar shows the time left, it is told once, after so many steps.
TOLD_STEPS = 20
# Seconds between two checks that the run folder is there.
FOLDER_CHECK_INTERVAL = 1.0


@dataclass(frozen=True)
class RunOutputs:
    """Where a training writes. logger: None in workers that do not write. folder_exists: whether the run's still
    does. goes_on: takes the row of each epoch but the last, and returns whether the training goes on after it."""

    run: Run
    checkpoints: Checkpoints
    best_weights: Checkpoints
    logger: Logger | None
    folder_exists: Callable[[], bool] = lambda: True
    goes_on: GoesOn = lambda row: True


class TrainingLoop:
    """One training under way: `fit` does all of it, and `progress` is how far it has come."""

    def __init__(
        self,
        trainer: Trainer,
        train_data: TrainPipeline,
        data: DatasetSplits,
        schedule: TrainingSchedule,
        outputs: RunOutputs,
    ) -> None:
        self.trainer, self.train_data, self.schedule, self.outputs = trainer, train_data, schedule, outputs
        self.progress = Progress()
        batch = EVALUATION_BATCH * trainer.devices.replicas
        make_batches = partial(
            pipeline.validation_batches,
            data.splits["validation"],
            train_data.image_size,
            batch,
            train_data.encode_targets,
        )
        # Made once: each making leaves some of TensorFlow's functions behind.
        self._validation = trainer.devices.distribute(make_batches, batch)
        self._batch_size = train_data.batch_size
        self._train_function, self._test_function = trainer.make_train_function(), trainer.make_test_function()
        self._evaluator = ValidationEvaluator.create(trainer, data, self._check_alive)
        self._pending: list[tuple[int, tf.Tensor]] = []
        self._throughput = Throughput(self._batch_size)
        self._steps_here = 0
        self._words = FIRST_STEP
        self._pace = Pace(0)
        self._signals: list[int] = []
        self._folder_checked = 0.0
        self._show_progress: Callable[[int, str], None] = lambda steps, message: None

    def fit(self, progress: Progress) -> None:
        """Train on from `progress` to the end.

        Raises TrainingError when the loss is no longer finite, TrainingStopped after SIGTERM or SIGHUP and
        TrainingInterrupted after Ctrl-C, both with the state saved; RunError when the run folder is gone, or cannot be
        written.
        """
        self.progress = progress
        logger = self.outputs.logger
        try:
            self._fit()
        except BaseException:
            with suppress(RunError):  # the reason why the training ended matters more
                if logger:
                    logger.close()
            raise
        if logger:
            logger.close()

    def _fit(self) -> None:
        step = self.progress.step
        self._pace = Pace(self.schedule.last_step - step)
        with (
            show_progress(self._pace.left, "steps", FIRST_STEP) as self._show_progress,
            collect_stop_signals() as self._signals,
        ):
            if self.progress.sums and step % self.schedule.steps_per_epoch == 0:
                self._end_epoch()  # stopped between its last step and its validation
            for first, last, size in self.schedule.segments(step):
                self._run_epochs(first, last, size)
        self.outputs.checkpoints.wait()

    def _run_epochs(self, first: int, last: int, size: ImageSize) -> None:
        """Run steps `first` … `last` - 1 on images of `size`, or fewer if patience ends."""
        if self._patience_ended():
            return
        batches = iter(self.trainer.devices.distribute(self._make_batches(first, last, size), self._batch_size))
        for start, end in self.schedule.split_into_epochs(first, last):
            if self._patience_ended():
                return
            self.run_epoch(start, end, batches)

    def run_epoch(self, first: int, last: int, batches: Iterator[tuple[Any, Any]]) -> None:
        """Run steps `first` … `last` - 1 of an epoch, and end it after its last step."""
        self._throughput.start()
        for step in range(first, last):
            images, targets = next(batches)
            self._run_step(step, images, targets)
            if (step + 1) % self.schedule.steps_per_epoch == 0 or step + 1 == self.schedule.last_step:
                self._end_epoch()
            elif (step + 1) % self.schedule.checkpoint_every == 0:
                self._collect_results(0)
                self.save_checkpoint()

    def save_checkpoint(self) -> None:
        """Save the present state, in the background."""
        self.outputs.checkpoints.save(self.progress)

    def _make_batches(self, first: int, last: int, size: ImageSize) -> Callable[[int, int], tf.data.Dataset]:
        """Return what makes a process's own part of the batches of steps `first` … `last` - 1."""
        return lambda rank, ranks: replace(self.train_data, rank=rank, ranks=ranks).batches(first, last, size)

    def _run_step(self, step: int, images: Any, targets: Any) -> None:
        self._steps_here += 1
        logger = self.outputs.logger
        if logger:
            logger.on_step_begin(self._steps_here)
        stop = np.float32(bool(self._signals))
        self._pending.append((step + 1, self._train_function(images, targets, stop)))
        self._count_step()
        if logger and self._steps_here == 1:
            local = self.trainer.devices.strategy.experimental_local_results(images)[0]
            logger.on_first_batch(local, self._train_function.get_concrete_function(images, targets, stop).graph)
        self._collect_results(STEPS_AHEAD)
        self._check_alive()

    def _count_step(self) -> None:
        """Measure and show how fast steps are begun, each of which waits for one before it. The first one of the
        process, in which the network is traced, counts for nothing."""
        if self._steps_here == 1:
            self._throughput.start()
        else:
            self._throughput.step()
        self._show_progress(1, self._words)
        self._pace.advance()
        if self.outputs.logger and self._pace.timed == TOLD_STEPS and not sys.stderr.isatty():
            self.outputs.logger.tell_time_left(self._pace)

    def _check_alive(self) -> None:
        """Tell the launcher that this process is alive. Raises RunError if the run folder is gone."""
        beat(self.outputs.run.folder)
        if time.monotonic() - self._folder_checked > FOLDER_CHECK_INTERVAL:
            self._folder_checked = time.monotonic()
            if not self.outputs.folder_exists():
                raise RunError(
                    f"the folder of run {self.outputs.run.name} is gone: {self.outputs.run.folder} was deleted or"
                    f" moved; training ended after step {self.progress.step}"
                )

    def _collect_results(self, pending: int) -> None:
        """Wait for the results of all steps but the newest `pending`."""
        while len(self._pending) > pending:
            step, results = self._pending.pop(0)
            loss, stop = self._add_results(step, results)
            epoch = (step - 1) // self.schedule.steps_per_epoch + 1
            speed = format_rate(self._throughput.rate)
            self._words = f"epoch {epoch}/{self.schedule.epochs}, loss {loss:.3f}, {speed} images/s"
            if stop:
                self._stop()

    def _add_results(self, step: int, results: tf.Tensor) -> tuple[float, bool]:
        """Add a step's results to the epoch's sums. Returns its loss and whether to stop."""
        loss, stop, *metrics = (float(value) for value in np.asarray(results))
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} at step {step} (epoch {(step - 1) // self.schedule.steps_per_epoch + 1}); the"
                f" last checkpoint before it is kept in run {self.outputs.run.name}; try a lower --learning-rate"
            )
        sums = self.progress.sums or (0.0,) * (2 + len(metrics))
        sums = tuple(a + b for a, b in zip(sums, (1.0, loss, *metrics), strict=True))
        self.progress = Progress(step, sums, self.progress.best)
        return loss, bool(stop)

    def _stop(self) -> None:
        """End the training with its state saved, whatever signals follow. All processes are here after the same step:
        the wish of each to stop was summed over them."""
        ignore_stop_signals()
        for step, results in self._pending:
            self._add_results(step, results)
        self.save_checkpoint()
        self.outputs.checkpoints.wait()
        run = self.outputs.run
        message = f"at step {self.progress.step}, which is saved. Resume it with: kresnet train --resume {run.name}"
        if signal.SIGINT in self._signals:
            raise TrainingInterrupted(f"interrupted {message}")
        raise TrainingStopped(f"stopped {message}")

    def _end_epoch(self) -> None:
        """Validate, log, save. Logged first: a resumed training drops rows that its checkpoint does not know."""
        self._collect_results(0)
        images_per_second, step = self._throughput.rate, self.progress.step
        epoch = -(-step // self.schedule.steps_per_epoch)
        steps, *sums = self.progress.sums
        names = ("loss", *self.trainer.metric_names)
        row: dict[str, Any] = {"epoch": epoch, "step": step}
        row |= {name: value / steps for name, value in zip(names, sums, strict=True)}
        with self._averaged_weights():
            row |= {f"val_{name}": value for name, value in self._validate().items()}
            best = self._best_epoch(epoch, row["val_loss"])
            if best != self.progress.best:
                self.outputs.best_weights.save(Progress(step))
        row["learning_rate"] = float(np.asarray(self.trainer.optimizer.learning_rate))
        row["images_per_second"] = images_per_second
        is_whole = step % self.schedule.steps_per_epoch == 0
        self.progress = Progress(step, () if is_whole else self.progress.sums, best)
        if self.outputs.logger:
            self.outputs.logger.on_epoch_end(row, self.trainer.model.trainable_variables)
        self.save_checkpoint()
        if step < self.schedule.last_step and not self.outputs.goes_on(row):
            self.outputs.checkpoints.wait()
            name = self.outputs.run.name
            raise TrainingPruned(f"ended after epoch {epoch}. Resume it with: kresnet train --resume {name}")

    def _validate(self) -> dict[str, float]:
        """Return the means of loss and metrics over the validation images, of which each process takes its share, and
        the task's evaluation metrics, for which each process takes all of them: none waits longer than for a step."""
        totals: Any = 0.0
        for images, targets, mask in self._validation:
            totals = totals + np.asarray(self._test_function(images, targets, mask), np.float64)
            self._check_alive()
        loss, count, *metrics = (float(value) for value in totals)
        means = {name: value / count for name, value in zip(self.trainer.metric_names, metrics, strict=True)}
        return {"loss": loss / count, **means} | (self._evaluator.evaluate() if self._evaluator else {})

    def _best_epoch(self, epoch: int, loss: float) -> dict[str, float]:
        """Return the epoch with the lowest validation loss so far, where patience asks for it."""
        best = self.progress.best
        if self.schedule.patience is None or (best and loss >= best["loss"]):
            return best
        return {"epoch": epoch, "loss": loss}

    def _patience_ended(self) -> bool:
        best, patience = self.progress.best, self.schedule.patience
        if patience is None or not best:
            return False
        return self.progress.step // self.schedule.steps_per_epoch - best["epoch"] >= patience

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Put the averages in place of the weights while the block runs, if there are any."""
        ema = self.trainer.state.ema
        if ema:
            ema.swap()
        try:
            yield
        finally:
            if ema:
                ema.swap()
