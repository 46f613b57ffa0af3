"""From the first step to the last: steps, epochs, validation, checkpoints, and stopping in good order."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from keras_resnet.data import pipeline
from keras_resnet.data.dataset import Split
from keras_resnet.data.pipeline import TrainPipeline
from keras_resnet.errors import RunError, TrainingError, TrainingInterrupted, TrainingStopped
from keras_resnet.progress import counting
from keras_resnet.run import Run
from keras_resnet.signals import leave_terminal, stopping_signals
from keras_resnet.training.checkpoint import Checkpoints, Progress
from keras_resnet.training.heartbeat import beat
from keras_resnet.training.logger import Logger, Throughput
from keras_resnet.training.train_step import TrainState, training_step, validation_step

# Steps whose results are not waited for: an accelerator is given its next step before it has finished this one.
AHEAD = 2
EVALUATION_BATCH = 64
# Seconds between two looks at whether the run folder is there.
LOOK = 1.0


@dataclass(frozen=True)
class Schedule:
    """steps of an epoch; last_step, counted over all epochs; sizes of images, in equal shares of the epochs; steps
    between checkpoints; patience, in epochs."""

    steps: int
    last_step: int
    planned_epochs: int
    sizes: tuple[int, ...]
    checkpoint_every: int
    patience: int | None = None

    @property
    def epochs(self) -> int:
        """Epochs until the last step."""
        return -(-self.last_step // self.steps)

    def segments(self, first_step: int) -> Iterator[tuple[int, int, int]]:
        """(first step, last step, size of images) from `first_step` on, split where the size changes."""
        while first_step < self.last_step:
            epoch = first_step // self.steps
            share = min(epoch, self.planned_epochs - 1) * len(self.sizes) // self.planned_epochs
            end = -(-(share + 1) * self.planned_epochs // len(self.sizes)) * self.steps
            last = self.last_step if share == len(self.sizes) - 1 else min(end, self.last_step)
            yield first_step, last, self.sizes[share]
            first_step = last


@dataclass(frozen=True)
class Files:
    """Where a training keeps what it needs; journal is None in workers that do not write. is_there: whether the run
    folder still is."""

    run: Run
    checkpoints: Checkpoints
    best: Checkpoints
    journal: Logger | None
    is_there: Callable[[], bool] = lambda: True


class Loop:
    """One training under way. `run` does all of it; `progress` is how far it has come."""

    def __init__(self, job: TrainState, stream: TrainPipeline, held_out: Split, length: Schedule, files: Files) -> None:
        self.job, self.stream, self.length, self.files = job, stream, length, files
        self.progress = Progress()
        batch = EVALUATION_BATCH * job.devices.replicas
        part = partial(pipeline.validation, held_out, stream.image_size, batch, stream.encode)
        # Made once: each making leaves some of TensorFlow's functions behind.
        self._validation = self._distributed(part, batch)
        self._learn, self._judge = training_step(job), validation_step(job)
        self._pending: list[tuple[int, Any]] = []
        self._pace = Throughput(stream.batch_size)
        self._steps_here = 0
        self._asked: list[int] = []
        self._looked = 0.0
        self._advance: Callable[[int, str], None] = lambda steps, words: None

    def run(self, progress: Progress) -> None:
        """Train on from `progress` to the end.

        Raises TrainingError when the loss is no longer finite, TrainingStopped after SIGTERM or SIGHUP and
        TrainingInterrupted after Ctrl-C, both with the state saved; RunError when the run folder is gone, or cannot be
        written.
        """
        self.progress = progress
        journal = self.files.journal
        try:
            self._run(progress)
        except BaseException:
            with suppress(RunError):  # why the training ended is what is to be told
                if journal:
                    journal.close()
            raise
        if journal:
            journal.close()

    def _run(self, progress: Progress) -> None:
        with (
            counting(self.length.last_step - progress.step, "steps", "first step") as self._advance,
            _listening() as self._asked,
        ):
            if progress.sums and progress.step % self.length.steps == 0:
                self._end_epoch()  # stopped between its last step and its validation
            for first, last, size in self.length.segments(progress.step):
                if self._patience_ended() or not self._train(first, last, size):
                    break
        self.files.checkpoints.wait()

    def _train(self, first: int, last: int, size: int) -> bool:
        """Steps `first` … `last` - 1; False if patience ended before."""
        batches = iter(
            self._distributed(
                lambda rank, ranks: replace(self.stream, rank=rank, ranks=ranks).batches(first, last, size)
            )
        )
        self._pace.begin()
        for step in range(first, last):
            images, targets = next(batches)
            self._step(step, images, targets)
            if (step + 1) % self.length.steps == 0 or step + 1 == self.length.last_step:
                self._end_epoch()
                if self._patience_ended():
                    return False
            elif (step + 1) % self.length.checkpoint_every == 0:
                self._settle(0)
                self.files.checkpoints.save(self.progress)
        return True

    def _step(self, step: int, images: Any, targets: Any) -> None:
        self._steps_here += 1
        journal = self.files.journal
        if journal:
            journal.step(self._steps_here)
        stop = np.float32(bool(self._asked))
        self._pending.append((step + 1, self._learn(images, targets, stop)))
        if journal and self._steps_here == 1:
            local = self.job.devices.strategy.experimental_local_results(images)[0]
            journal.first_batch(local, self._learn.get_concrete_function(images, targets, stop).graph)
        self._settle(AHEAD)
        self._alive()

    def _alive(self) -> None:
        """Tell who launched this, and see that there still is somewhere to write to."""
        beat(self.files.run.folder)
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            if not self.files.is_there():
                raise RunError(
                    f"the folder of run {self.files.run.name} is gone: {self.files.run.folder} was deleted or moved;"
                    f" training ended after step {self.progress.step}"
                )

    def _settle(self, ahead: int) -> None:
        """Take in the results of all steps but the newest `ahead`."""
        while len(self._pending) > ahead:
            step, found = self._pending.pop(0)
            loss, stop = self._take_in(step, found)
            epoch = (step - 1) // self.length.steps + 1
            self._advance(1, f"epoch {epoch}/{self.length.epochs}, loss {loss:.3f}, {self._pace.step():.0f} images/s")
            if stop:
                self._stop()

    def _take_in(self, step: int, found: Any) -> tuple[float, bool]:
        """Count one step's results in; returns its loss and whether to stop."""
        loss, stop, *followed = (float(value) for value in np.asarray(found))
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} at step {step} (epoch {(step - 1) // self.length.steps + 1}); the last"
                f" checkpoint before it is kept in run {self.files.run.name}; try a lower --learning-rate"
            )
        sums = self.progress.sums or (0.0,) * (2 + len(followed))
        sums = tuple(a + b for a, b in zip(sums, (1.0, loss, *followed), strict=True))
        self.progress = Progress(step, sums, self.progress.best)
        return loss, bool(stop)

    def _stop(self) -> None:
        """All processes are here after the same step: what every one of them saw was summed over them."""
        for step, found in self._pending:
            self._take_in(step, found)
        self.files.checkpoints.save(self.progress)
        self.files.checkpoints.wait()
        words = (
            f"at step {self.progress.step}, which is saved. Go on with: kresnet train --resume {self.files.run.name}"
        )
        if signal.SIGINT in self._asked:
            raise TrainingInterrupted(f"interrupted {words}")
        raise TrainingStopped(f"stopped {words}")

    def _end_epoch(self) -> None:
        """Validate, record, keep. Recorded first: a resumed training drops rows that its checkpoint does not know."""
        self._settle(0)
        rate, step = self._pace.rate, self.progress.step
        epoch = -(-step // self.length.steps)
        steps, *summed = self.progress.sums
        means = [value / steps for value in summed]
        names = ("loss", *self.job.names)
        row: dict[str, Any] = {"epoch": epoch, "step": step, **dict(zip(names, means, strict=True))}
        with self._averaged():
            row |= self._validate()
            best = self._best(epoch, row["val_loss"])
            if best != self.progress.best:
                self.files.best.save(Progress(step))
        row["learning_rate"] = float(np.asarray(self.job.optimizer.learning_rate))
        row["images_per_second"] = rate
        sums = () if step % self.length.steps == 0 else self.progress.sums
        self.progress = Progress(step, sums, best)
        if self.files.journal:
            self.files.journal.epoch(row, self.job.model.trainable_variables)
        self.files.checkpoints.save(self.progress)
        self._pace.begin()

    def _validate(self) -> dict[str, float]:
        """What is followed, over all processes' shares of the images; what is judged, of all images in each process: no
        one waits for another longer than for a step."""
        total: Any = 0.0
        for batch in self._validation:
            total = total + np.asarray(self._judge(*batch), np.float64)
            self._alive()
        loss, count, *followed = (float(value) for value in total)
        found = {name: value / count for name, value in zip(self.job.names, followed, strict=True)}
        found = {"loss": loss / count, **found} | (self.job.judge(self._alive) if self.job.judge else {})
        return {f"val_{name}": value for name, value in found.items()}

    def _best(self, epoch: int, loss: float) -> dict[str, Any]:
        best = self.progress.best
        if self.length.patience is None or (best and loss >= best["loss"]):
            return best
        return {"epoch": epoch, "loss": loss}

    def _patience_ended(self) -> bool:
        best, patience = self.progress.best, self.length.patience
        return (
            patience is not None and bool(best) and self.progress.step // self.length.steps - best["epoch"] >= patience
        )

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averages in place of the weights, where there are any."""
        if self.job.average:
            self.job.average.swap()
        try:
            yield
        finally:
            if self.job.average:
                self.job.average.swap()

    def _distributed(self, make: Callable[[int, int], Any], batch: int | None = None) -> Any:
        """Batches for all replicas, of which this process makes those of its own."""
        batch = batch or self.stream.batch_size

        def of_worker(context: Any) -> Any:
            dataset = make(self.job.devices.rank, self.job.devices.ranks)
            share = batch // self.job.devices.replicas
            return dataset if self.job.devices.replicas == self.job.devices.ranks else dataset.rebatch(share)

        return self.job.devices.strategy.distribute_datasets_from_function(of_worker)


@contextmanager
def _listening() -> Iterator[list[int]]:
    """Collects SIGTERM, SIGHUP and the first Ctrl-C instead of dying of them; a second Ctrl-C is immediate. A SIGHUP
    that is ignored, as nohup has it, stays so."""
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:
        if number == signal.SIGINT and number in asked:
            raise KeyboardInterrupt
        if number == signal.SIGHUP:
            leave_terminal()
        asked.append(number)

    try:
        before = {number: signal.signal(number, note) for number in stopping_signals()}
    except ValueError:  # not the main thread, which alone may listen
        yield asked
        return
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
