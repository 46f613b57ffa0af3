"""Training: decide what was left open, build, fit, and leave a finished run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_resnet import devices
from keras_resnet.bricks import Bricks
from keras_resnet.callbacks import Length, during_training
from keras_resnet.checkpoint import Checkpoints
from keras_resnet.data import pipeline
from keras_resnet.data.sources import Data, open_data
from keras_resnet.errors import RunError, TrainingInterrupted
from keras_resnet.evaluate import Evaluation, evaluate, keras_predictor
from keras_resnet.networks import catalog
from keras_resnet.optimizers import optimizer_of, total_steps
from keras_resnet.run import Run
from keras_resnet.spec import Spec
from keras_resnet.start import freeze, initialize, require_parts
from keras_resnet.tasks import task_of

Say = Callable[[str], None]

# Small sets need small batches to get enough steps; from here on He et al.'s 128 (section 4.2).
SMALL_SET = 5000
EVALUATION_BATCH = 64
# Fractions of training that the automatic warm-up may take.
WARMUP_SHARE = 0.2


def train(spec: Spec, home: Path, name: str | None = None, say: Say = print) -> Run:
    """Train what `spec` describes and return its finished run, a new folder in `home`.

    Every choice left open is made, told to `say` with its reason and saved with the run. Raises
    UsageError, DataError, RunError or TrainingError; a run that was interrupted can be resumed.
    """
    catalog.require_known(spec.network)
    require_parts(spec.network, spec.start)
    if spec.data.image_size is not None:
        catalog.require_size(spec.network, spec.data.image_size)
    data = open_data(spec.data, say)
    catalog.require_size(spec.network, data.image_size)
    spec = resolve(spec, data, say)
    strategy, model = _build(spec, data, say)
    initialize(model, spec, say)
    run = Run.create(home, spec, data.classes, name)
    return _fit(run, data, strategy, model, say)


def resume(run: Run, say: Say = print) -> Run:
    """Continue an interrupted run from its latest checkpoint, under the spec it was started with."""
    if run.finished:
        raise RunError(f"run {run.name} has finished; there is nothing to resume")
    spec = run.spec()
    data = open_data(spec.data, say)
    if data.classes != run.classes():
        raise RunError(f"the data no longer has the labels run {run.name} was started with")
    strategy, model = _build(spec, data, say)
    if not run.has_checkpoint:  # which holds more than the weights it started from, and they may be gone by now
        initialize(model, spec, say)
    return _fit(run, data, strategy, model, say)


def resolve(spec: Spec, data: Data, say: Say) -> Spec:
    """`spec` with every open choice made for `data`; each is told to `say` with its reason."""
    sizes = replace(spec.data, image_size=data.image_size, resize=data.resize)
    stem, why_stem = catalog.choose_stem(spec.network, data.image_size)
    if spec.network.family != "vgg":
        say(f"stem: {stem} ({why_stem})")
    spec = replace(spec, data=sizes, network=replace(spec.network, stem=stem))
    spec = _resolve_length(_resolve_batch(spec, data.splits["train"].count, say), data, say)
    return _resolve_precision(spec, say)


def _resolve_batch(spec: Spec, samples: int, say: Say) -> Spec:
    if spec.training.batch_size is not None:
        return spec
    size = min(32 if samples < SMALL_SET else 128, samples)
    say(f"batch size: {size} ({samples} training images; 32 below {SMALL_SET}, else 128)")
    return replace(spec, training=replace(spec.training, batch_size=size))


def _resolve_length(spec: Spec, data: Data, say: Say) -> Spec:
    """Epochs from steps, and the warm-up."""
    training, optimizer = spec.training, spec.optimizer
    assert training.batch_size is not None
    if training.steps is not None:
        per_epoch = pipeline.steps_per_epoch(data.splits["train"], training.batch_size)
        training = replace(training, epochs=-(-training.steps // per_epoch))
        say(f"epochs: {training.epochs} ({training.steps} steps of {per_epoch} an epoch)")
    if optimizer.warmup_epochs is None:
        warmup = min(1.0, WARMUP_SHARE * training.epochs)
        say(f"warm-up: {warmup:g} epochs (1, or a fifth of a shorter training)")
        optimizer = replace(optimizer, warmup_epochs=warmup)
    return replace(spec, training=training, optimizer=optimizer)


def _resolve_precision(spec: Spec, say: Say) -> Spec:
    chosen, why = spec.training.precision, "as asked"
    size, batch = spec.data.image_size, spec.training.batch_size
    assert size is not None and batch is not None
    if chosen == "auto":
        chosen, why = devices.choose_precision(
            lambda policy: catalog.trial(training_bricks(policy, 1), spec.network, size), size, batch
        )
    say(f"precision: {chosen} ({why})")
    return replace(spec, training=replace(spec.training, precision=chosen))


def training_bricks(policy: str, replicas: int) -> Bricks:
    """Layers that train fast: batch norm by the fused kernel, which knows the images of its own replica only, or
    over several replicas Keras' own, synchronized."""
    import keras

    from keras_resnet.fused_norm import FusedBatchNormalization

    if replicas > 1:
        return Bricks(keras, policy, synchronized=True)
    return Bricks(keras, policy, normalizer=FusedBatchNormalization)


def _build(spec: Spec, data: Data, say: Say) -> tuple[Any, Any]:
    """The strategy and the compiled model. Nothing is written yet: a request that turns out to be impossible
    here leaves no run behind."""
    import keras

    strategy, why = devices.choose_strategy(devices.training_devices())
    say(f"devices: {why}")
    task = task_of(spec, data.classes)
    assert spec.training.batch_size is not None
    steps = pipeline.steps_per_epoch(data.splits["train"], spec.training.batch_size)
    keras.utils.set_random_seed(spec.training.seed)
    with devices.scope(strategy):
        replicas = strategy.num_replicas_in_sync if strategy else 1
        model = task.build(training_bricks(spec.training.precision, replicas), spec)
        freeze(model, spec.start)
        model.compile(optimizer=optimizer_of(spec, steps), loss=task.losses(spec), metrics=task.metrics())
    return strategy, model


def _fit(run: Run, data: Data, strategy: Any, model: Any, say: Say) -> Run:
    spec = run.spec()
    task, split = task_of(spec, data.classes), data.splits["train"]
    batch, size = spec.training.batch_size, data.image_size
    assert batch is not None
    steps = pipeline.steps_per_epoch(split, batch)
    with devices.scope(strategy):
        checkpoints = Checkpoints(run, model)
        first = checkpoints.restore()
    if first == 0:
        checkpoints.save(0)
    say(
        f"run: {run.folder} ({model.count_params():,} parameters,"
        f" {split.count} training images, from epoch {first + 1})"
    )
    batches = pipeline.training(
        split,
        image_size=size,
        flips=data.flips,
        batch_size=batch,
        seed=spec.training.seed,
        first_epoch=first,
        epochs=spec.training.epochs,
        encode=task.encode,
    )
    validation = pipeline.evaluation(data.splits["validation"], size, EVALUATION_BATCH)
    length = Length(steps, first, min(filter(None, (spec.training.stop_after, total_steps(spec, steps)))))
    with during_training(run, checkpoints, spec, length, say) as callbacks:
        try:
            model.fit(
                batches,
                epochs=length.epochs,
                initial_epoch=first,
                steps_per_epoch=steps,
                validation_data=validation.map(lambda images, labels: (images, task.encode(labels))),
                callbacks=callbacks,
                verbose=0,
            )
        except KeyboardInterrupt:
            raise TrainingInterrupted(
                f"interrupted; finished epochs are kept. Go on with: kresnet train --resume {run.name}"
            ) from None
    return _finish(spec, run, data, model, say)


def float32_copy(model: Any, spec: Spec, classes: tuple[str, ...]) -> Any:
    """The same network and weights, computing in float32 whatever it was trained in."""
    import keras

    served = task_of(spec, classes).build(Bricks(keras), spec)
    served.set_weights(model.get_weights())
    return served


def validate(model: Any, data: Data, spec: Spec, split: str = "validation") -> Evaluation:
    """The score of a Keras model on one split of `data`."""
    batches = pipeline.evaluation(data.splits[split], data.image_size, EVALUATION_BATCH)
    return evaluate(keras_predictor(model), batches, task_of(spec, data.classes))


def _finish(spec: Spec, run: Run, data: Data, model: Any, say: Say) -> Run:
    served = float32_copy(model, spec, data.classes)
    score = validate(served, data, spec)
    run.write_json(
        run.metrics_file,
        {"split": "validation", "metric": score.metric, "value": score.value, "samples": score.samples},
    )
    run.write_with(run.model_file, lambda path: served.save(path))
    run.drop_checkpoints()
    say(f"{score.metric} {score.value:.2%} on {score.samples} validation images; model: {run.model_file}")
    return run
