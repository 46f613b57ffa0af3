"""Training: decide what was left open, build, fit, and leave a finished run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_resnet import devices
from keras_resnet.bricks import Bricks
from keras_resnet.callbacks import during_training
from keras_resnet.checkpoint import Checkpoints
from keras_resnet.data import pipeline
from keras_resnet.data.sources import Data, open_data
from keras_resnet.errors import RunError, TrainingInterrupted
from keras_resnet.evaluate import Evaluation, evaluate, keras_predictor
from keras_resnet.networks import catalog
from keras_resnet.run import Run
from keras_resnet.spec import Spec
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
    catalog.variant_of(spec.network, spec.data.image_size or catalog.SMALLEST_IMAGE)
    data = open_data(spec.data, say)
    spec = resolve(spec, data, say)
    run = Run.create(home, spec, data.classes, name)
    return _fit(spec, run, data, say)


def resume(run: Run, say: Say = print) -> Run:
    """Continue an interrupted run from its latest checkpoint, under the spec it was started with."""
    if run.finished:
        raise RunError(f"run {run.name} has finished; there is nothing to resume")
    spec = run.spec()
    data = open_data(spec.data, say)
    if data.classes != run.classes():
        raise RunError(f"the data no longer has the labels run {run.name} was started with")
    return _fit(spec, run, data, say)


def resolve(spec: Spec, data: Data, say: Say) -> Spec:
    """`spec` with every open choice made for `data`; each is told to `say` with its reason."""
    sizes = replace(spec.data, image_size=data.image_size, resize=data.resize)
    stem, why_stem = catalog.choose_stem(spec.network, data.image_size)
    say(f"stem: {stem} ({why_stem})")
    spec = replace(spec, data=sizes, network=replace(spec.network, stem=stem))
    spec = _resolve_batch(spec, data.splits["train"].count, say)
    return _resolve_precision(spec, say)


def _resolve_batch(spec: Spec, samples: int, say: Say) -> Spec:
    training, optimizer = spec.training, spec.optimizer
    if training.batch_size is None:
        size = min(32 if samples < SMALL_SET else 128, samples)
        say(f"batch size: {size} ({samples} training images; 32 below {SMALL_SET}, else 128)")
        training = replace(training, batch_size=size)
    if optimizer.warmup_epochs is None:
        warmup = min(1.0, WARMUP_SHARE * training.epochs)
        say(f"warm-up: {warmup:g} epochs (1, or a fifth of a shorter training)")
        optimizer = replace(optimizer, warmup_epochs=warmup)
    return replace(spec, training=training, optimizer=optimizer)


def _resolve_precision(spec: Spec, say: Say) -> Spec:
    import keras

    chosen, why = spec.training.precision, "as asked"
    size, batch = spec.data.image_size, spec.training.batch_size
    assert size is not None and batch is not None
    if chosen == "auto":
        chosen, why = devices.choose_precision(
            lambda policy: catalog.trial(Bricks(keras, policy), spec.network, size), size, batch
        )
    say(f"precision: {chosen} ({why})")
    return replace(spec, training=replace(spec.training, precision=chosen))


def _fit(spec: Spec, run: Run, data: Data, say: Say) -> Run:
    import keras

    strategy, why = devices.choose_strategy(devices.training_devices())
    say(f"devices: {why}")
    task, split = task_of(spec, data.classes), data.splits["train"]
    batch, size = spec.training.batch_size, data.image_size
    assert batch is not None
    steps = pipeline.steps_per_epoch(split, batch)
    keras.utils.set_random_seed(spec.training.seed)
    with devices.scope(strategy):
        model = task.build(Bricks(keras, spec.training.precision, synchronized=strategy is not None), spec)
        model.compile(optimizer=optimizer_of(spec, steps), loss=task.losses(spec), metrics=task.metrics())
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
    with during_training(run, checkpoints, spec, steps, first, say) as callbacks:
        try:
            model.fit(
                batches,
                epochs=spec.training.epochs,
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


def optimizer_of(spec: Spec, steps_per_epoch: int) -> Any:
    """SGD with Nesterov momentum; the rate rises linearly from 0, then falls along a cosine to 0
    (Loshchilov & Hutter 2017). Weight decay spares norms and biases (He et al. 2019, section 3.1)."""
    import keras

    chosen = spec.optimizer
    assert chosen.warmup_epochs is not None
    warmup = int(chosen.warmup_epochs * steps_per_epoch)
    schedule = keras.optimizers.schedules.CosineDecay(
        chosen.learning_rate if warmup == 0 else 0.0,
        decay_steps=spec.training.epochs * steps_per_epoch - warmup,
        warmup_target=chosen.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.SGD(
        schedule, momentum=chosen.momentum, nesterov=chosen.momentum > 0, weight_decay=chosen.weight_decay or None
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    if spec.training.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


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
