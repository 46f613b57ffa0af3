"""Before a training: which learning rate, which batch size. Measured on the real data, in the real step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.atomic_write import writing
from keras_resnet.config.spec import Spec
from keras_resnet.data.load import DatasetSplits
from keras_resnet.data.pipeline import TrainPipeline
from keras_resnet.errors import KresnetError, TrainingError
from keras_resnet.native_logs import hushed
from keras_resnet.progress import Log, counting, waiting
from keras_resnet.tasks import get_task
from keras_resnet.training.initialize import initialize, require_parts
from keras_resnet.training.resolve import resolve
from keras_resnet.training.train import build, setup_devices, shared_data

# Smith 2017, section 3.3: a rise over many decades in one short training, until the loss leaves.
LOWEST, HIGHEST, STEPS = 1e-5, 10.0, 120
SMOOTHING, LEFT = 0.9, 4.0
# A tenth of the rate at which the loss is lowest: there it is about to rise.
BELOW_LOWEST = 0.1
# A larger batch has to be this much faster to be worth its memory.
WORTHWHILE = 1.05
SMALLEST_BATCH, TIMED_STEPS = 16, 5


@dataclass(frozen=True)
class Rates:
    """rates (steps,) and smoothed losses (steps,), and the rate to train with."""

    rates: np.ndarray
    losses: np.ndarray

    @property
    def suggested(self) -> float:
        """To one significant digit."""
        return float(f"{BELOW_LOWEST * self.rates[int(np.argmin(self.losses))]:.0e}")


@dataclass(frozen=True)
class Pace:
    """What a batch size gave: images per second, and the most memory in use, in bytes."""

    batch_size: int
    images_per_second: float
    memory: int


def find_rate(spec: Spec, figure: Path, log: Log) -> Rates:
    """Train while the rate rises and return what the loss did; drawn to `figure` (PNG). Raises as `train` does."""
    spec, data, job = _prepared(spec, log, rate=LOWEST)
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    losses: list[float] = []
    average, step = 0.0, _step(job)
    with counting(STEPS, "steps", "trying rates") as advance:
        for count, (rate, batch) in enumerate(zip(rates, _batches(spec, data, job, STEPS), strict=False), 1):
            job.optimizer.learning_rate = rate
            loss = step(*batch)
            average = SMOOTHING * average + (1 - SMOOTHING) * loss
            smooth = average / (1 - SMOOTHING**count)
            if not math.isfinite(loss) or (losses and smooth > LEFT * min(losses)):
                break
            losses.append(smooth)
            advance(1, f"rate {rate:.2g}, loss {smooth:.3f}")
    if len(losses) < 2:
        raise TrainingError(f"the loss was not a finite number at a rate of {LOWEST:g} already")
    found = Rates(rates[: len(losses)], np.array(losses))
    with writing(figure) as temporary:
        _draw(found, temporary)
    return found


def find_batch_size(spec: Spec, log: Log) -> list[Pace]:
    """Time ever larger batches, each in a process of its own, until memory ends or they are no faster."""
    found: list[Pace] = []
    size = SMALLEST_BATCH
    while True:
        # Mirrored or not, a step takes as long: each process need not find out.
        augment = replace(spec.augment, flip=bool(spec.augment.flip))
        tried = replace(spec, augment=augment, training=replace(spec.training, batch_size=size))
        try:
            with (
                waiting(f"trying batches of {size}"),
                ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
            ):
                pace = pool.submit(_time, tried.to_json()).result()
        except BrokenProcessPool:
            log(f"batch size {size}: the process was killed, for want of memory most likely")
            return found
        if isinstance(pace, str):
            log(f"batch size {size}: {pace}")
            if not found:
                raise TrainingError(f"not even batches of {size} can be tried: {pace}")
            return found
        log(f"batch size {size}: {pace.images_per_second:.0f} images/s, {pace.memory / 2**20:.0f} MiB")
        found.append(pace)
        if len(found) > 2 and found[-1].images_per_second < WORTHWHILE * found[-3].images_per_second:
            return found
        size *= 2


def best_of(found: list[Pace]) -> Pace:
    """The smallest batch within 5% of the fastest."""
    fastest = max(pace.images_per_second for pace in found)
    return next(pace for pace in found if pace.images_per_second * WORTHWHILE >= fastest)


def _time(spec_json: str) -> Pace | str:
    """In a process of its own: the pace of a batch size, or why there is none."""
    with hushed():
        return _timed(Spec.from_json(spec_json))


def _timed(spec: Spec) -> Pace | str:
    import tensorflow as tf

    try:
        spec, data, job = _prepared(spec, lambda message: None)
        run, seconds = _step(job), []
        for batch in _batches(spec, data, job, TIMED_STEPS + 2):
            start = time.perf_counter()
            run(*batch)
            seconds.append(time.perf_counter() - start)
    except KresnetError as error:
        return str(error)
    except tf.errors.ResourceExhaustedError:
        return "does not fit into memory"
    return Pace(spec.training.batch_size or 0, (spec.training.batch_size or 0) / min(seconds[2:]), _memory())


def _memory() -> int:
    """The most bytes in use so far: of the first GPU, else of this process."""
    import resource

    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _prepared(spec: Spec, log: Log, rate: float | None = None) -> tuple[Spec, DatasetSplits, Any]:
    require_parts(spec)
    here, log = setup_devices(spec, log)
    data = shared_data(spec, here, log)
    spec = resolve(spec, data, here, log)
    job = build(spec, data, here, rate)
    initialize(job.model, spec, log)
    return spec, data, job


def _batches(spec: Spec, data: DatasetSplits, job: Any, count: int) -> Any:
    size, batch = data.image_size, spec.training.batch_size or 0
    encode = get_task(spec, data.classes).encode
    stream = TrainPipeline(data.splits["train"], size, batch, spec.training.seed, encode, augment=spec.augment)
    share = batch // job.devices.replicas
    dataset = stream.batches(0, count).rebatch(share)
    return job.devices.strategy.distribute_datasets_from_function(lambda context: dataset)


def _step(job: Any) -> Callable[[Any, Any], float]:
    from keras_resnet.training.train_step import training_step

    step = training_step(job)
    return lambda images, targets: float(step(images, targets, np.float32(0))[0])


def _draw(found: Rates, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(found.rates, found.losses)
    axes.axvline(found.suggested, color="C1", linestyle="--", label=f"suggested: {found.suggested:g}")
    axes.set(xlabel="learning rate", ylabel="smoothed loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, format="png")


def rows_of(found: list[Pace]) -> list[dict[str, Any]]:
    """For JSON."""
    return [asdict(pace) for pace in found]
