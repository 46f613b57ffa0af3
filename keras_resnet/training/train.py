"""Training: decide what was left open, build, fit, and leave a finished run."""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.compression.sparsity import require_kept
from keras_resnet.config.spec import Spec
from keras_resnet.data import pipeline
from keras_resnet.data.dataset import TRAINING
from keras_resnet.data.load import DatasetSplits, load_dataset
from keras_resnet.data.pipeline import TrainPipeline
from keras_resnet.errors import DataError, RunError, TrainingError, UsageError, WeightsError
from keras_resnet.evaluation.analysis import analyze_model
from keras_resnet.evaluation.evaluate import evaluate, evaluation_batches, graph_predictor, load_model, validate
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import describe_baselines
from keras_resnet.models import build as catalog
from keras_resnet.models.flops import count_cost
from keras_resnet.models.layers import Layers
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.data_fingerprint import describe_changes, fingerprint_splits
from keras_resnet.run.folders import require_free
from keras_resnet.runtime.plurals import counted
from keras_resnet.tasks import get_task
from keras_resnet.training import distribute
from keras_resnet.training.checkpoint import Checkpoints, manifests
from keras_resnet.training.distribute import Devices
from keras_resnet.training.initialize import freeze, initialize, require_parts
from keras_resnet.training.resolve import resolve, training_bricks

# What a parameter takes at least, with its gradient; and a pixel, as it is read and as the network takes it.
WEIGHT_BYTES, PIXEL_BYTES = 8, 3 * (1 + 4)


@distribute.translate_worker_errors()
def train(
    spec: Spec, home: Path, name: str | None = None, log: Log = print, method: TrainingMethod | None = None
) -> Run:
    """Train what `spec` describes and return its finished run, a new folder in `home`.

    Every choice left open is made, told to `log` with its reason and saved with the run. Raises
    UsageError, DataError, RunError or TrainingError; a run that was interrupted can be resumed.
    """
    require_free(home, name)
    method = _fitting(method, spec)
    _require_possible(spec)
    here, log = setup_devices(spec, log)
    data = shared_data(spec, here, log)
    catalog.require_size(spec.network, data.image_size)
    spec = resolve(spec, data, here, log)
    require_memory(spec, data.classes, here)
    job = build(spec, data, here, method=method)
    method.start(job.model, spec, data.classes, log)
    made = Run.create(home, spec, data.classes, name, fingerprint_splits(data)) if here.is_chief else None
    run = Run(Path(here.tell_all(str(made.folder.resolve()) if made else "")))
    with _in_training(run, here) as is_there:
        try:
            return _fit(run, spec, data, job, method, log, is_there)
        except Exception as error:
            refused = isinstance(error, (UsageError, DataError, WeightsError))
            failed = here.ranks == 1 and not isinstance(error, (RunError, TrainingError))
            if made and (refused or failed) and not _has_trained(run):
                shutil.rmtree(run.folder, ignore_errors=True)  # what cannot even begin leaves nothing and takes no name
            raise


@distribute.translate_worker_errors()
def resume(run: Run, log: Log = print, method: TrainingMethod | None = None, data_changed: bool = False) -> Run:
    """Continue an interrupted run from its latest checkpoint, under the spec it was started with.

    Raises RunError where another process trains it, or where its data are no longer those it was started with, unless
    `data_changed` says to go on all the same, which is recorded. A run that was killed after its model was written,
    when only its state was left to remove, is tidied up.
    """
    cut_off = run.has_leftover_state
    if run.is_finished:
        run.remove_leftovers()
        if not cut_off:
            raise RunError(f"run {run.name} has finished; there is nothing to resume")
        log(f"run {run.name} had finished; what its training kept to go on from is removed")
        return run
    if any(run.checkpoints.glob("*.index")):
        raise RunError(f"run {run.name} was begun by an earlier version of kresnet, which alone can resume it")
    spec, classes = run.spec(), run.classes()
    method = _fitting(method, spec)
    _require_possible(spec)
    here, log = setup_devices(spec, log)
    with _in_training(run, here) as is_there:
        data = shared_data(spec, here, log)
        if data.classes != classes:
            raise RunError(f"the data no longer has the labels run {run.name} was started with")
        changed = _changed_data(run, data, data_changed, log) if here.is_chief else None
        require_memory(spec, classes, here)
        job = build(spec, data, here, method=method)
        if not run.has_checkpoint:  # which holds more than the weights it started from, and they may be gone by now
            method.start(job.model, spec, classes, log)
        return _fit(run, spec, data, job, method, log, is_there, changed)


def _require_possible(spec: Spec) -> None:
    """Raises UsageError for what can be known to be impossible before any data are read."""
    from keras_resnet.training.logger import require_trackers

    catalog.require_known(spec.network)
    require_parts(spec)
    require_trackers(spec.log.track)
    if spec.data.image_size is not None:
        catalog.require_size(spec.network, spec.data.image_size)


@contextmanager
def _in_training(run: Run, here: Devices) -> Iterator[Callable[[], bool]]:
    """The chief keeps other trainings out of `run`; yields whether its folder is still there."""
    if not here.is_chief:
        yield lambda: True
        return
    with run.lock_for_training() as is_there:
        yield is_there


def _has_trained(run: Run) -> bool:
    """Whether there is more than the state before the first step."""
    return any(int(document.stem.partition("-")[2]) for document in manifests(run.checkpoints))


def _changed_data(run: Run, data: DatasetSplits, go_on: bool, log: Log) -> str | None:
    """How `data` differs from what `run` was started with, None where it does not. Raises RunError unless it may."""
    before = run.document().get("data")
    if not before:
        log(f"data: whether it has changed is not known, run {run.name} was begun by an earlier version")
        return None
    if not (what := describe_changes(before, fingerprint_splits(data))):
        return None
    if not go_on:
        raise RunError(
            f"the data of run {run.name} has changed since it was started: {what}. To go on with what is there now:"
            f" kresnet train --resume {run.name} --data-changed"
        )
    log(f"data: changed since run {run.name} was started: {what} (--data-changed: goes on, and keeps that in mind)")
    return what


def setup_devices(spec: Spec, log: Log) -> tuple[Devices, Log]:
    """The devices, and who is heard: of several workers the first."""
    here = distribute.start(spec.training.devices)
    if spec.training.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    if not here.is_chief:
        return here, lambda message: None
    log(f"devices: {here.why}")
    return here, log


def shared_data(spec: Spec, here: Devices, log: Log) -> DatasetSplits:
    """The data; the chief opens it first, because that may prepare it for the others."""
    data = load_dataset(spec.data, log, TRAINING) if here.is_chief else None
    here.tell_all("the data is there")
    return data or load_dataset(spec.data, log, TRAINING)


def require_memory(spec: Spec, classes: tuple[str, ...], here: Devices) -> None:
    """Raises UsageError where weights with their gradients, or a batch of images, take more memory than the machine
    has: before anything is allocated."""
    size, batch = spec.data.image_size, spec.training.batch_size
    assert size is not None and batch is not None
    cost = count_cost(spec.network, classes=len(classes), input_shape=(size, size, 3))
    weights = WEIGHT_BYTES * cost.trainable
    images = PIXEL_BYTES * size * size * batch // here.replicas
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for what, needed in (
        (f"a network of {cost.trainable:.3g} parameters", weights),
        (f"a batch of {counted(batch, 'image')} of {size} pixels", images),
    ):
        if needed > there:
            raise UsageError(
                f"{what} takes {needed / 2**30:,.0f} GiB or more, and this machine has {there / 2**30:,.0f}"
            )


def build(
    spec: Spec, data: DatasetSplits, here: Devices, rate: float | None = None, method: TrainingMethod | None = None
) -> Any:
    """What a step needs (a `step.Job`), with a rate of its own instead of the schedule where `rate` is given. Nothing
    is written yet: a request that turns out to be impossible here leaves no run behind."""
    import keras

    from keras_resnet.training.optimizers import optimizer_of, total_steps
    from keras_resnet.training.train_step import ExponentialMovingAverage, TrainState

    method = _fitting(method, spec)
    task, training = get_task(spec, data.classes), spec.training
    assert training.batch_size is not None
    here.require_divisible(training.batch_size, training.accumulate_steps)
    if spec.compress.uses_tfmot and here.ranks > 1:
        raise UsageError(f"tensorflow-model-optimization trains in one process. Received: {here.ranks} of them")
    steps = pipeline.steps_per_epoch(data.splits["train"], training.batch_size)
    bricks = training_bricks(training.precision, here.replicas)
    keras.utils.set_random_seed(training.seed)
    with here.strategy.scope():
        model = method.make(spec, data.classes, bricks, total_steps(spec, steps))
        optimizer = optimizer_of(spec, steps, rate)
        optimizer.build(model.trainable_variables)
        return TrainState(
            model=model,
            optimizer=optimizer,
            loss=task.loss(spec),
            follow=task.train_metrics,
            names=task.train_metric_names,
            devices=here,
            accumulate_steps=training.accumulate_steps,
            clip_grad_norm=spec.optimizer.clip_grad_norm,
            average=None if training.ema is None else ExponentialMovingAverage(model, training.ema),
            teacher=_teacher(spec, data, bricks),
            soften=task.distillation_loss(spec.distill.temperature) if spec.distill.teacher else None,
            teacher_weight=spec.distill.weight,
            before=method.before(model, spec),
            judge=_judging(model, spec, data) if task.eval_metric_names else None,
        )


def _judging(model: Any, spec: Spec, data: DatasetSplits) -> Callable[[Callable[[], None]], dict[str, float]]:
    """See `step.Job`."""
    task = get_task(spec, data.classes)
    # Made once: each making leaves some of TensorFlow's functions behind.
    predict, batches = graph_predictor(model, data.image_size), evaluation_batches(data)

    def judge(alive: Callable[[], None]) -> dict[str, float]:
        def answer(images: Any) -> Any:
            alive()
            return predict(images)

        return evaluate(answer, batches, task).metrics.values

    return judge


def uses_progressive_resizing(spec: Spec) -> bool:
    """Whether training images have other sizes than the network's."""
    return any(size != spec.data.image_size for size in spec.augment.train_sizes)


def _make(spec: Spec, classes: tuple[str, ...], bricks: Layers, steps: int) -> Any:
    from keras_resnet.compression.quantization.quantize import build_model

    model = build_model(spec, classes, bricks, uses_progressive_resizing(spec))
    freeze(model, spec.start)
    return model


def _start(model: Any, spec: Spec, classes: tuple[str, ...], log: Log) -> None:
    """Fill the network with the weights that `spec.start` names, which are those of an ordinary one."""
    if not spec.compress.is_qat or not (spec.start.weights or spec.start.deepen):
        initialize(model, spec, log)
        return
    import keras

    from keras_resnet.compression.quantization.quantize import copy_weights

    plain = get_task(spec, classes).build_model(Layers(keras), spec)
    initialize(plain, spec, log)
    copy_weights(plain, model)


def _teacher(spec: Spec, data: DatasetSplits, bricks: Layers) -> Any:
    """The model of the run `spec.distill.teacher`, computing as its pupil does; None where there is none."""
    if spec.distill.teacher is None:
        return None
    from keras_resnet.compression.quantization.quantize import build_model

    run = Run(Path(spec.distill.teacher))
    theirs = run.spec()
    if run.classes() != data.classes or theirs.data.image_size != spec.data.image_size:
        raise UsageError(
            f"--teacher {run.name} must have the labels and the image size of the data"
            f" ({counted(len(data.classes), 'label')}, {data.image_size} pixels)."
            f" Received: {counted(len(run.classes()), 'label')}, {theirs.data.image_size} pixels"
        )
    teacher = build_model(theirs, data.classes, bricks, uses_progressive_resizing(spec))
    teacher.set_weights(load_model(run).get_weights())
    teacher.trainable = False
    return teacher


def _fit(
    run: Run,
    spec: Spec,
    data: DatasetSplits,
    job: Any,
    method: TrainingMethod,
    log: Log,
    is_there: Callable[[], bool],
    changed: str | None = None,
) -> Run:
    from keras_resnet.training.logger import Logger
    from keras_resnet.training.loop import Files, Loop, Schedule
    from keras_resnet.training.optimizers import total_steps

    training, here, split = spec.training, job.devices, data.splits["train"]
    assert training.batch_size is not None and training.checkpoint_every is not None
    encode = get_task(spec, data.classes).encode_targets
    stream = TrainPipeline(split, data.image_size, training.batch_size, training.seed, encode, augment=spec.augment)
    length = Schedule(
        steps=stream.steps,
        last_step=min(filter(None, (training.stop_after, total_steps(spec, stream.steps)))),
        planned_epochs=training.epochs,
        sizes=spec.augment.train_sizes or (data.image_size,),
        checkpoint_every=training.checkpoint_every,
        patience=training.patience,
    )
    checkpoints = Checkpoints(run.checkpoints, job.state(), writes=here.is_chief)
    best = Checkpoints(run.best, job.model.weights, writes=here.is_chief)
    progress = checkpoints.restore()
    here.tell_all("restored")  # before the chief writes another one
    if progress.step == 0 and job.average:
        job.average.begin()
    journal = None
    if here.is_chief:
        run.remove_leftovers(ours=True)
        checkpoints.sweep()
        if progress.step == 0:
            checkpoints.save(progress)
        if changed:
            when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            run.record_data_change({"when": when, "step": progress.step, "what": changed}, fingerprint_splits(data))
        rows = [row for row in run.read_log(log) if row["step"] <= progress.step - bool(progress.sums)]
        journal = Logger(run, spec, length.epochs, rows, log)
    log(
        f"run: {run.folder} ({job.model.count_params():,} parameters, {counted(split.count, 'training image')},"
        f" from step"
        f" {progress.step + 1} of {length.last_step})"
    )
    loop = Loop(job, stream, data.splits["validation"], length, Files(run, checkpoints, best, journal, is_there))
    with _told_how_to_go_on(run):
        loop.run(progress)
        if training.patience is not None:
            best.wait()
            best.restore()
            log(f"weights: of epoch {loop.progress.best['epoch']}, the best")
        elif job.average:
            job.average.swap()
        if here.is_chief:
            _finish(spec, run, data, method.finish(job.model, spec, data.classes), log)
    here.tell_all("finished")
    return run


@contextmanager
def _told_how_to_go_on(run: Run) -> Iterator[None]:
    """What keeps a training from being written, as a full disk does, says so as well."""
    try:
        yield
    except RunError as error:
        if run.has_checkpoint:
            raise RunError(f"{error}. Go on, when that is mended, with: kresnet train --resume {run.name}") from error
        raise


def to_float32(model: Any, spec: Spec, classes: tuple[str, ...]) -> Any:
    """The same network and weights, computing in float32 whatever it was trained in."""
    import keras

    from keras_resnet.compression.quantization.quantize import build_model

    served = build_model(spec, classes, Layers(keras))
    served.set_weights(model.get_weights())
    return served


def _before(model: Any, spec: Spec) -> None:
    """Nothing is to be done before a step."""


@dataclass(frozen=True)
class TrainingMethod:
    """How a network is made for training and what becomes of it; an ordinary one is a Keras model all along.

    make: (spec, classes, bricks, steps in all) → what is trained, with Keras' or tf_keras' variables. start: fills it
    where there is no checkpoint. before: (model, spec) → None, or what each step calls with its number, from 0.
    finish: (model, spec, classes) → the Keras model in float32.
    """

    make: Callable[[Spec, tuple[str, ...], Layers, int], Any] = _make
    start: Callable[[Any, Spec, tuple[str, ...], Log], None] = _start
    before: Callable[[Any, Spec], Callable[[Any], None] | None] = _before
    finish: Callable[[Any, Spec, tuple[str, ...]], Any] = to_float32


def _fitting(method: TrainingMethod | None, spec: Spec) -> TrainingMethod:
    """Raises UsageError where `spec` needs another method than the ordinary one."""
    if method is None and spec.compress.uses_tfmot:
        raise UsageError("pruning, clustering and tfmot's 8 bits are trained by keras_resnet.training.compress")
    return method or TrainingMethod()


def _finish(spec: Spec, run: Run, data: DatasetSplits, model: Any, log: Log) -> None:
    kept = require_kept(model, spec.compress)
    if words := kept.words:
        log(f"compressed: {words}")
    task = get_task(spec, data.classes)
    score = validate(model, data, task)
    run.write_json(
        run.metrics_file,
        {
            **{"split": "validation", "metric": score.metric, "value": score.value, "samples": score.samples},
            **kept.as_dict(),
        },
    )
    analysis = analyze_model(run, model, task, score, data)
    run.write_json(run.analysis_file, analysis)
    run.write_with(run.model_file, lambda path: model.save(path))
    run.remove_training_state()
    images = counted(score.samples, "validation image")
    log(f"{metric_label(score.metric)} {score.value:.2%} on {images}; model: {run.model_file}")
    for words in describe_baselines(analysis["baselines"]):
        log(words)
