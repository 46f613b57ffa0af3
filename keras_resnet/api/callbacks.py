"""Callbacks for those who train with Keras' own `fit`: exact resume, a report, and verdicts on 8-bit files by epoch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_resnet import progress
from keras_resnet.api.fit_state import FitState, Position
from keras_resnet.api.session import session
from keras_resnet.errors import UsageError
from keras_resnet.export.verdict import Budget, Verdict

if TYPE_CHECKING:
    from keras_resnet.data.dataset import DatasetSplits

StrPath = str | os.PathLike[str]
Batch = tuple[np.ndarray, ...]
Logs = dict[str, Any] | None


class ExactResume(keras.callbacks.Callback):
    """Save the state of a `fit` and go on from it: with the same bits as one that was never interrupted.

    ::

        resume = keras_resnet.callbacks.ExactResume("state", every=100)
        model.fit(resume.batches(x, y, batch_size=32), steps_per_epoch=resume.steps(x, 32), epochs=10,
                  callbacks=[resume])

    What is saved after each epoch, and after `every` steps where that is given: weights, optimizer, metrics, the states
    of seeds (of dropout, of augmenting layers), the epoch and the step within it. The same script, started again, goes
    on there. The data have to come from `batches` or `stream`, which begin at any step; what `fit` shuffles by itself
    cannot be brought back. At the end of the training the state is removed, unless `keep`.

    Callbacks with a state of their own, such as EarlyStopping, begin anew; so does the history that `fit` returns.
    """

    def __init__(self, folder: StrPath, *, every: int | None = None, keep: bool = False) -> None:
        super().__init__()
        if every is not None and every < 1:
            raise UsageError(f"every must be a number of steps, 1 or more. Received: {every}")
        self.state = FitState(Path(folder))
        self.every, self.keep = every, keep
        self.position = self.state.read_position()
        self._batch: Batch | None = None
        self._skipped = self._done = 0

    def batches(self, x: np.ndarray, y: np.ndarray, batch_size: int = 32, seed: int = 0) -> Iterator[Batch]:
        """Yield batches of `x` and `y` without end, in an order of each epoch's own that follows from `seed`.

        The last batch of an epoch may be smaller. x: (N, …). y: (N, …).
        """
        steps = self.steps(x, batch_size)

        def begin(first: int) -> Iterator[Batch]:
            step = first
            while True:
                order = np.random.default_rng((seed, step // steps)).permutation(len(x))
                for place in range(step % steps, steps):
                    rows = order[place * batch_size : (place + 1) * batch_size]
                    yield x[rows], y[rows]
                step += steps - step % steps

        return self.stream(begin)

    @staticmethod
    def steps(x: np.ndarray, batch_size: int = 32) -> int:
        """Return how many batches an epoch of `x` has: what `fit` takes as steps_per_epoch."""
        return -(-len(x) // batch_size)

    def stream(self, begin: Callable[[int], Iterator[Batch]]) -> Iterator[Batch]:
        """Yield what `begin(step)` yields of the next step and all after it; steps count from 0 over all epochs.

        `begin` has to give the same batch for the same step each time.
        """
        for batch in begin(self.position.total):
            self._batch = self._batch or batch
            yield batch

    def on_train_begin(self, logs: Logs = None) -> None:
        """Restore the state, or save the first one."""
        if self._batch is None or not self.params.get("steps"):
            raise UsageError(
                "ExactResume needs data that begin at any step, and their number in an epoch:"
                " fit(resume.batches(x, y), steps_per_epoch=resume.steps(x), …)"
            )
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        if not self.position.total:
            self.state.save(self.model, self.position)
            return
        if self.position.step:
            self.model.test_on_batch(*self._batch)  # builds the metrics, which have a state by then
        self.state.restore(self.model)
        self.model._initial_epoch = self.position.epoch
        self._skipped = self.position.step
        place = f"step {self.position.step} of epoch {self.position.epoch + 1}"
        progress.log(f"resumed at {place}, saved in {self.state.folder}")

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Pass over the steps of the epoch that are done already: they take no data."""
        self._epoch = epoch
        if not self._skipped:
            return
        self.state.restore_metrics(self.model)  # which fit has reset
        train_function, self._done = self.model.train_function, 0

        def skip(iterator: Any) -> Any:
            if self._done >= self._skipped:
                self._skipped, self.model.train_function = 0, train_function
                return train_function(iterator)
            self._done += self.model.steps_per_execution
            return self.model.get_metrics_result()

        self.model.train_function = skip

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save the state every so many steps."""
        step = batch + 1
        if self._skipped or step >= self.params["steps"]:
            return
        if self.every and step % self.every < self.model.steps_per_execution:
            self._save(self._epoch, step)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save the state."""
        self._save(epoch + 1, 0)

    def on_train_end(self, logs: Logs = None) -> None:
        """Remove the state: the training is done."""
        if not self.keep:
            self.state.remove()
        self.position = Position()

    def _save(self, epoch: int, step: int) -> None:
        self.position = Position(epoch, step, epoch * self.params["steps"] + step)
        self.state.save(self.model, self.position)


class VerdictEvery(keras.callbacks.Callback):
    """Write the 8-bit file of the model that is being trained, after every `every` epochs, and verify it.

    A network can get better in floating point and worse in 8 bits: it is well to know before the last epoch. The best
    file that is within its budget is kept at `file`.

    data: of `keras_resnet.export.in_memory`, or any other. max_drop: points of accuracy that the file may lose.
    verdicts: by epoch, counted from 1. logs of the epoch get "int8_accuracy" and "int8_drop", so that callbacks behind
    this one, and the history, have them.
    """

    def __init__(self, data: DatasetSplits, file: StrPath, *, every: int = 5, max_drop: float = 1.0) -> None:
        super().__init__()
        if every < 1:
            raise UsageError(f"every must be a number of epochs, 1 or more. Received: {every}")
        Budget.from_points(max_drop)  # or why it is none
        self.data, self.file, self.every, self.max_drop = data, Path(file), every, max_drop
        self.verdicts: dict[int, Verdict] = {}

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Export and verify, where it is time."""
        if (epoch + 1) % self.every:
            return
        from keras_resnet.export.api import export_tflite

        latest = self.file.with_name(f"latest-{self.file.name}")
        with session():
            verdict = export_tflite(self.model, self.data, latest, max_drop=self.max_drop)
            summary, *remarks = str(verdict).splitlines()
            progress.log(f"epoch {epoch + 1}: {summary}")
            for remark in remarks:
                progress.log_once(remark)
        best = max((each.value for each in self.verdicts.values() if each.passed), default=-1.0)
        if verdict.passed and verdict.value > best:
            latest.replace(self.file)
        self.verdicts[epoch + 1] = verdict
        if logs is not None:
            logs |= {"int8_accuracy": verdict.value, "int8_drop": verdict.drop}


class FitReport(keras.callbacks.Callback):
    """Write a page about a `fit`, again after each epoch: curves, a table of the epochs, the network, and the verdicts
    of a `VerdictEvery` where there is one.

    file: the page, which needs no other file. title: its headline.
    """

    def __init__(self, file: StrPath = "fit.html", *, title: str = "", verdicts: VerdictEvery | None = None) -> None:
        super().__init__()
        self.file, self.title, self.verdicts = Path(file), title, verdicts
        self.rows: list[dict[str, float]] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin with no epochs."""
        self.rows = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Add the epoch, and write the page."""
        from keras_resnet.reporting.fit_page import FitPage

        self.rows.append({"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}})
        lines: list[str] = []
        self.model.summary(print_fn=lines.append)
        verdicts = self.verdicts.verdicts if self.verdicts else {}
        # What has to be known beside a verdict is nearly the same after each epoch: that of the latest is shown.
        last = max(verdicts, default=0)
        shown = {number: str(each) if number == last else each.summary for number, each in verdicts.items()}
        FitPage(self.title or f"Training of {self.model.name}", self.rows, "\n".join(lines), shown).write(self.file)
