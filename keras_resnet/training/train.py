"""Training, from a spec to a finished run: decide what was left open, build, fit, write."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.config.provenance import current_request
from keras_resnet.config.spec import Spec
from keras_resnet.data.load import DatasetSplits, require_source
from keras_resnet.errors import DataError, RunError, TrainingError, UsageError, WeightsError
from keras_resnet.models import build
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.command import find_request
from keras_resnet.run.data_fingerprint import fingerprint_splits
from keras_resnet.run.documents import DataChange, RunRecords
from keras_resnet.run.folders import require_free
from keras_resnet.run.training_data import explain_moved_data
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.printable import make_printable
from keras_resnet.training import distribute
from keras_resnet.training.checkpoint import Checkpoints, Progress, manifests
from keras_resnet.training.distribute import Devices
from keras_resnet.training.finish import write_finished_model
from keras_resnet.training.kernel_errors import explain_missing_kernels
from keras_resnet.training.prepare import (
    check_data_unchanged,
    keep_uncropped_chief_first,
    load_data_chief_first,
    require_memory,
    require_possible,
    restore_determinism,
    setup_devices,
)

if TYPE_CHECKING:
    from keras_resnet.training.loop import GoesOn, TrainingLoop
    from keras_resnet.training.trainer import Trainer


@distribute.translate_worker_errors()
@restore_determinism()
def train(spec: Spec, home: Path, name: str | None = None, log: Log = print, goes_on: GoesOn | None = None) -> Run:
    """Train what `spec` describes and return its finished run, a new folder in `home`.

    Every choice left open is made, logged with its reason and saved with the run. goes_on: see `loop.RunOutputs`.
    Raises UsageError, DataError, RunError or TrainingError; a run that was interrupted can be resumed.
    """
    require_free(home, name)
    require_possible(spec)
    require_source(spec.data)
    # What can be refused without TensorFlow has been by now.
    from keras_resnet.training.build_trainer import build_trainer
    from keras_resnet.training.methods.distillation import require_matching_teacher
    from keras_resnet.training.resolve import resolve

    devices, log = setup_devices(spec, log)
    messages: list[str] = []
    keep = partial(_keep_line, messages, log)
    data = load_data_chief_first(spec, devices, keep)
    build.require_size(spec.network, min(data.input_shape[:2]))
    require_matching_teacher(replace(spec, data=data.describe_in(spec.data)), data.classes)
    request = current_request()
    if request is None:
        request = find_request(spec)
    spec = resolve(spec, data, devices, keep)
    require_memory(spec, data.classes, devices)
    trainer = build_trainer(spec, data, devices)
    trainer.method.load_initial_weights(trainer.model, keep)
    created = None
    if devices.is_chief:
        records: RunRecords = {"request": request, "data": fingerprint_splits(data), "messages": messages}
        created = Run.create(home, spec, data.classes, name, records)
    folder = devices.broadcast(str(created.folder.resolve()) if created else "")
    run = created or Run(Path(folder))  # messages of the chief name the folder as it was given
    with _lock_run(run, devices) as folder_exists:
        try:
            return _Training(run, spec, data, trainer, folder_exists, goes_on=goes_on).finish(log)
        except Exception as error:
            if created:
                _remove_unless_begun(run, error, devices)
            raise


def _keep_line(lines: list[str], log: Log, line: str) -> None:
    """Log a line, and keep it for the run as terminals show it."""
    lines.append(make_printable(line))
    log(line)


@distribute.translate_worker_errors()
@restore_determinism()
def resume(run: Run, log: Log = print, data_changed: bool = False, goes_on: GoesOn | None = None) -> Run:
    """Continue an interrupted run from its latest checkpoint, under the spec it was started with.

    Raises RunError if another process trains it, or if its data is no longer what it was started with, unless
    `data_changed` says to continue all the same, which is recorded. A run that was killed after its model was written,
    when only its checkpoints were left to remove, is tidied up.
    """
    if _is_tidied_up(run, log):
        return run
    spec, classes = run.spec(), run.classes()
    require_possible(spec)
    with explain_moved_data(run):
        require_source(spec.data)
    from keras_resnet.training.build_trainer import build_trainer
    from keras_resnet.training.resolve import log_own_layers

    devices, log = setup_devices(spec, log)
    with _lock_run(run, devices) as folder_exists:
        data = load_data_chief_first(spec, devices, log)
        if data.classes != classes:
            raise RunError(f"the data no longer has the labels run {run.name} was started with")
        change = check_data_unchanged(run, data, data_changed, log) if devices.is_chief else None
        require_memory(spec, classes, devices)
        if devices.is_chief:
            run.ended_early_file.unlink(missing_ok=True)
        log_own_layers(spec, devices, log)
        trainer = build_trainer(spec, data, devices)
        # A checkpoint holds more than the weights that the run started from, and they may be gone by now.
        if not run.has_checkpoint:
            trainer.method.load_initial_weights(trainer.model, log)
        return _Training(run, spec, data, trainer, folder_exists, change, goes_on).finish(log)


def _is_tidied_up(run: Run, log: Log) -> bool:
    """Remove the checkpoints that a finished run was killed with. Returns False if `run` has not finished; raises
    RunError if it has and nothing is left to do."""
    was_cut_off = run.has_leftover_state
    if not run.is_finished:
        return False
    run.remove_leftovers()
    if not was_cut_off:
        raise RunError(f"run {run.name} has finished; there is nothing to resume")
    log(f"run {run.name} had finished; the checkpoints it left behind are removed")
    return True


@contextmanager
def _lock_run(run: Run, devices: Devices) -> Iterator[Callable[[], bool]]:
    """Keep other trainings out of `run` while the block runs, by the chief. Yields whether its folder still exists."""
    if not devices.is_chief:
        yield lambda: True
        return
    with run.lock_for_training() as folder_exists:
        yield folder_exists


def _remove_unless_begun(run: Run, error: Exception, devices: Devices) -> None:
    """Remove a run that `error` ended before its first step: what cannot begin leaves nothing and takes no name."""
    is_refused = isinstance(error, (UsageError, DataError, WeightsError))
    has_failed = devices.world_size == 1 and not isinstance(error, (RunError, TrainingError))
    has_trained = any(int(document.stem.partition("-")[2]) for document in manifests(run.checkpoints))
    if (is_refused or has_failed) and not has_trained:
        shutil.rmtree(run.folder, ignore_errors=True)


@dataclass
class _Training:
    """One training from its newest checkpoint to its finished model. data_change: how the data differs from what the
    run was started with. goes_on: see `loop.RunOutputs`."""

    run: Run
    spec: Spec
    data: DatasetSplits
    trainer: Trainer
    folder_exists: Callable[[], bool]
    data_change: str | None = None
    goes_on: GoesOn | None = None

    def __post_init__(self) -> None:
        self.devices = self.trainer.devices
        self.checkpoints = Checkpoints(
            self.run.checkpoints, self.trainer.state.variables(), writes=self.devices.is_chief
        )
        self.best_weights = Checkpoints(self.run.best, self.trainer.model.weights, writes=self.devices.is_chief)

    def finish(self, log: Log) -> Run:
        """Train to the end and return the finished run."""
        progress = self.restore_checkpoint()
        loop = self._create_loop(progress, log)
        images = counted(self.data.splits["train"].count, "training image")
        parameters = self.trainer.method.count_parameters(self.trainer.model)
        log(
            f"run: {self.run.folder} ({parameters:,} parameters, {images},"
            f" from step {progress.step + 1} of {loop.schedule.last_step})"
        )
        with _explain_how_to_resume(self.run), explain_missing_kernels(self.spec, self.devices):
            loop.fit(progress)
            self._load_final_weights(loop, log)
            if self.devices.is_chief:
                write_finished_model(self.run, self.trainer, self.data, log)
        self.devices.broadcast("finished")
        return self.run

    def restore_checkpoint(self) -> Progress:
        """Load the newest checkpoint, or save the first one if there is none. Returns how far the training has come."""
        progress = self.checkpoints.restore()
        self.devices.broadcast("restored")  # before the chief writes another one
        if progress.step == 0 and self.trainer.state.ema:
            self.trainer.state.ema.reset()
        if self.devices.is_chief:
            self.run.remove_leftovers(own=True)
            self.checkpoints.sweep()
            if progress.step == 0:
                self.checkpoints.save(progress)
            if self.data_change:
                when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                change: DataChange = {"time": when, "step": progress.step, "description": self.data_change}
                self.run.record_data_change(change, fingerprint_splits(self.data))
        return progress

    def _create_loop(self, progress: Progress, log: Log) -> TrainingLoop:
        from keras_resnet.training.build_trainer import build_train_pipeline
        from keras_resnet.training.logger import Logger
        from keras_resnet.training.loop import RunOutputs, TrainingLoop
        from keras_resnet.training.schedule import TrainingSchedule

        data = keep_uncropped_chief_first(self.spec, self.data, self.devices, log)
        train_data = build_train_pipeline(self.spec, data, self.trainer.task)
        schedule = TrainingSchedule.from_spec(self.spec, train_data.steps)
        logger = None
        if self.devices.is_chief:
            rows = [row for row in self.run.read_log(log) if row["step"] <= progress.step - bool(progress.sums)]
            logger = Logger(self.run, self.spec, schedule.epochs, rows, log)
        outputs = RunOutputs(self.run, self.checkpoints, self.best_weights, logger, self.folder_exists)
        outputs = outputs if self.goes_on is None else replace(outputs, goes_on=self.goes_on)
        return TrainingLoop(self.trainer, train_data, self.data, schedule, outputs)

    def _load_final_weights(self, loop: TrainingLoop, log: Log) -> None:
        """Put the weights of the best epoch, or the averages, where the spec asks for them, into the model."""
        if self.spec.training.patience is not None:
            self.best_weights.wait()
            self.best_weights.restore()
            log(f"weights: of epoch {loop.progress.best['epoch']}, the best")
        elif self.trainer.state.ema:
            self.trainer.state.ema.swap()


@contextmanager
def _explain_how_to_resume(run: Run) -> Iterator[None]:
    """Add to the error of a run that cannot be written, as of a full disk, how to continue it."""
    try:
        yield
    except RunError as error:
        if run.has_checkpoint:
            raise RunError(f"{error}. To continue when that is fixed: kresnet train --resume {run.name}") from error
        raise
