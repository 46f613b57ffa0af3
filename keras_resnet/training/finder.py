"""Finders of a learning rate and a batch size, measured on the real data in real training steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.atomic_write import write_atomically
from keras_resnet.config.spec import Spec
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import KresnetError, TrainingError
from keras_resnet.native_logs import silence_native_logs
from keras_resnet.progress import Log, show_activity, show_progress
from keras_resnet.runtime.plurals import counted
from keras_resnet.training.initialize import require_parts
from keras_resnet.training.prepare import load_data_chief_first, restore_determinism, setup_devices
from keras_resnet.training.resolve import resolve

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_resnet.training.trainer import Trainer

# Smith 2017, section 3.3: a rise over many decades in one short training, until the loss leaves.
MIN_RATE, MAX_RATE, STEPS = 1e-5, 10.0, 120
SMOOTHING, DIVERGED = 0.9, 4.0
# A tenth of the rate at which the loss is lowest: there it is about to rise.
SUGGESTED_FRACTION = 0.1
# A larger batch has to be this much faster to be worth its memory.
MIN_SPEEDUP = 1.05
MIN_BATCH_SIZE, TIMED_STEPS = 16, 5


@dataclass(frozen=True, repr=False)
class LearningRateRange:
    """What a learning-rate range test measured: rates (steps,) and smoothed losses (steps,)."""

    rates: np.ndarray
    losses: np.ndarray

    @property
    def suggested(self) -> float:
        """The rate to train with, to one significant digit."""
        return float(f"{SUGGESTED_FRACTION * self.rates[int(np.argmin(self.losses))]:.0e}")

    def __repr__(self) -> str:
        tried = f"of {counted(len(self.rates), 'rate')} from {self.rates[0]:g} to {self.rates[-1]:g}"
        return f"<LearningRateRange: suggested {self.suggested:g}; lowest loss {self.losses.min():.4f} {tried}>"


@dataclass(frozen=True)
class BatchSizeTrial:
    """What was measured with one batch size: images per second, and peak memory in bytes."""

    batch_size: int
    images_per_second: float
    memory: int


@restore_determinism()
def find_learning_rate(spec: Spec, figure: Path, log: Log) -> LearningRateRange:
    """Train while the learning rate rises, return the losses, drawn to `figure` (PNG). Raises as `train` does."""
    spec, data, trainer = _prepare(spec, log, MIN_RATE)
    rates = np.geomspace(MIN_RATE, MAX_RATE, STEPS)
    losses: list[float] = []
    average, train_function = 0.0, trainer.make_train_function()
    with show_progress(STEPS, "steps", "trying rates") as advance:
        for count, (rate, batch) in enumerate(zip(rates, _make_batches(spec, data, trainer, STEPS), strict=False), 1):
            trainer.optimizer.learning_rate = rate
            loss = _run_step(train_function, batch)
            average = SMOOTHING * average + (1 - SMOOTHING) * loss
            smooth = average / (1 - SMOOTHING**count)
            if not math.isfinite(loss) or (losses and smooth > DIVERGED * min(losses)):
                break
            losses.append(smooth)
            advance(1, f"rate {rate:.2g}, loss {smooth:.3f}")
    if len(losses) < 2:
        raise TrainingError(f"the loss was not finite even at a learning rate of {MIN_RATE:g}")
    result = LearningRateRange(rates[: len(losses)], np.array(losses))
    with write_atomically(figure) as temporary:
        _draw(result, temporary)
    return result


def find_batch_size(spec: Spec, log: Log) -> list[BatchSizeTrial]:
    """Time ever larger batches, each in a process of its own, until memory ends or they are no faster."""
    trials: list[BatchSizeTrial] = []
    size = MIN_BATCH_SIZE
    while True:
        # Mirrored or not, a step takes as long: each process need not find out.
        augment = replace(spec.augment, flip=bool(spec.augment.flip))
        trial_spec = replace(spec, augment=augment, training=replace(spec.training, batch_size=size))
        try:
            with (
                show_activity(f"trying batches of {size}"),
                ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
            ):
                trial = pool.submit(_time_steps, trial_spec.to_json()).result()
        except BrokenProcessPool:
            log(f"batch size {size}: the process was killed, most likely because memory ran out")
            return trials
        if isinstance(trial, str):
            log(f"batch size {size}: {trial}")
            if not trials:
                raise TrainingError(f"not even batches of {size} can be tried: {trial}")
            return trials
        log(f"batch size {size}: {trial.images_per_second:.0f} images/s, {trial.memory / 2**20:.0f} MiB")
        trials.append(trial)
        if len(trials) > 2 and trials[-1].images_per_second < MIN_SPEEDUP * trials[-3].images_per_second:
            return trials
        size *= 2


def choose_batch_size(trials: list[BatchSizeTrial]) -> BatchSizeTrial:
    """Return the smallest batch within 5% of the fastest."""
    fastest = max(trial.images_per_second for trial in trials)
    return next(trial for trial in trials if trial.images_per_second * MIN_SPEEDUP >= fastest)


def _time_steps(spec_json: str) -> BatchSizeTrial | str:
    """Measure a batch size, in a process of its own. Returns a string that says why where that is impossible."""
    with silence_native_logs():
        return _time_spec(Spec.from_json(spec_json))


def _time_spec(spec: Spec) -> BatchSizeTrial | str:
    import tensorflow as tf

    try:
        spec, data, trainer = _prepare(spec, lambda message: None)
        train_function, seconds = trainer.make_train_function(), []
        for batch in _make_batches(spec, data, trainer, TIMED_STEPS + 2):
            start = time.perf_counter()
            _run_step(train_function, batch)
            seconds.append(time.perf_counter() - start)
    except KresnetError as error:
        return str(error)
    except tf.errors.ResourceExhaustedError:
        return "does not fit into memory"
    batch_size = spec.training.batch_size or 0
    return BatchSizeTrial(batch_size, batch_size / min(seconds[2:]), _peak_memory())


def _peak_memory() -> int:
    """Return the most bytes in use so far: of the first GPU, else of this process."""
    import resource

    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _prepare(spec: Spec, log: Log, constant_learning_rate: float | None = None) -> tuple[Spec, DatasetSplits, Trainer]:
    from keras_resnet.training.build_trainer import build_trainer

    require_parts(spec)
    devices, log = setup_devices(spec, log)
    data = load_data_chief_first(spec, devices, log)
    spec = resolve(spec, data, devices, log)
    trainer = build_trainer(spec, data, devices, constant_learning_rate)
    trainer.method.load_initial_weights(trainer.model, log)
    return spec, data, trainer


def _make_batches(spec: Spec, data: DatasetSplits, trainer: Trainer, count: int) -> tf.data.Dataset:
    from keras_resnet.training.build_trainer import build_train_pipeline

    pipeline = build_train_pipeline(spec, data, trainer.task)
    return trainer.devices.distribute(
        lambda rank, ranks: replace(pipeline, rank=rank, ranks=ranks).batches(0, count), pipeline.batch_size
    )


def _run_step(train_function: Callable[..., tf.Tensor], batch: tuple[Any, Any]) -> float:
    """Run one training step and return its loss."""
    images, targets = batch
    return float(train_function(images, targets, np.float32(0))[0])


def _draw(result: LearningRateRange, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(result.rates, result.losses)
    axes.axvline(result.suggested, color="C1", linestyle="--", label=f"suggested: {result.suggested:g}")
    axes.set(xlabel="learning rate", ylabel="smoothed loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, format="png")


def to_json_rows(trials: list[BatchSizeTrial]) -> list[dict[str, float]]:
    """Return one JSON object for each batch size."""
    return [asdict(trial) for trial in trials]
