"""What a request leaves open, decided for the data and the devices, each choice told with its reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_resnet.config.chosen import who
from keras_resnet.config.spec import AugmentSpec, Spec
from keras_resnet.data import pipeline
from keras_resnet.data.load import DatasetSplits
from keras_resnet.data.mirroring import measure
from keras_resnet.models import build
from keras_resnet.models.layers import Layers
from keras_resnet.progress import Log, waiting
from keras_resnet.runtime.plurals import counted
from keras_resnet.training.distribute import Devices
from keras_resnet.training.precision import choose_precision

# Small sets need small batches to get enough steps; from here on He et al.'s 128 (section 4.2).
SMALL_SET = 5000
# Fractions of training that the automatic warm-up may take.
WARMUP_SHARE = 0.2
# The brightest of so many images is told if it is no brighter than this.
LOOKED_AT, DARK = 200, 63
# Steps between two checkpoints, where epochs are longer: minutes, not hours, are lost.
CHECKPOINT_STEPS = 1000


def resolve(spec: Spec, data: DatasetSplits, here: Devices, log: Log) -> Spec:
    """`spec` with every open choice made for `data`; each is told to `log` with its reason."""
    _tell_dark(data, log)
    sizes = replace(spec.data, image_size=data.image_size, resize=data.resize, levels=data.levels)
    stem, why_stem = build.choose_stem(spec.network, data.image_size)
    if spec.network.family != "vgg":
        log(f"stem: {stem} ({why_stem})")
    spec = replace(spec, data=sizes, network=replace(spec.network, stem=stem))
    spec = _resolve_mirroring(spec, data, here, log)
    log(f"augmentation: {_words(spec.augment)}")
    spec = _resolve_batch(spec, data.splits["train"].count, here, log)
    spec = _resolve_length(_resolve_rate(spec, log), data, log)
    return _resolve_precision(spec, here, log)


def _tell_dark(data: DatasetSplits, log: Log) -> None:
    """Images of which a camera's 12 bits stand in 16 in each colour are read as black, and so are fractions of 1."""
    split = data.splits["train"]
    rows = np.arange(split.count)[:: max(1, split.count // LOOKED_AT)]
    most = max(int((split.pixels[row] if split.pixels is not None else split.pixels_at(row)).max()) for row in rows)
    if most <= DARK:
        log(
            f"warning: the brightest of {counted(len(rows), 'training image')} is {most} of 255:"
            " were they scaled, or have their files more bits than they use?"
        )


def _resolve_mirroring(spec: Spec, data: DatasetSplits, here: Devices, log: Log) -> Spec:
    """Whether training images are mirrored: as chosen, as known of the data, or else as the first worker measures."""
    flip, why = spec.augment.flip, who("augment.flip")
    if flip is None and data.flips is not None:
        flip = data.flips
        known = "usual for objects" if data.splits["train"].objects else f"as is known of {data.name}"
        why = f"{known}; {'--no-flip' if flip else '--flip'} decides otherwise"
    elif flip is None:
        if here.is_chief:
            with waiting("trying mirrored images"):
                found = measure(data.splits["train"], data.image_size, data.classes)
            flip, why = found.mirror, f"{found.why}; {'--no-flip' if found.mirror else '--flip'} decides otherwise"
        flip = here.tell_all("mirror" if flip else "do not mirror") == "mirror"
    log(f"mirroring: {'on' if flip else 'off'} ({why})")
    return replace(spec, augment=replace(spec.augment, flip=flip))


def _words(augment: AugmentSpec) -> str:
    """What happens to training images, in one line."""
    parts = ["resized crops" if augment.crop == "resized" else "random crops"]
    parts += [f"objects {augment.scales[0]:g} to {augment.scales[1]:g} times as large"] if augment.scales else []
    parts += ["flips"] if augment.flip else []
    parts += [augment.policy] if augment.policy != "none" else []
    drawn = ("mixup", "cutmix", "mosaic", "copy_paste", "erasing", "colour")
    parts += [f"{name.replace('_', '-')} {value:g}" for name in drawn if (value := getattr(augment, name))]
    parts += [f"each image {counted(augment.repeats, 'time')}"] if augment.repeats > 1 else []
    parts += [f"at {', '.join(map(str, augment.sizes))} pixels"] if augment.sizes else []
    return ", ".join(parts)


def _resolve_batch(spec: Spec, samples: int, here: Devices, log: Log) -> Spec:
    size = spec.training.batch_size
    if size is None:
        parts = here.replicas * spec.training.accumulate
        wanted = min(32 if samples < SMALL_SET else 128, samples)
        size = max(parts, wanted // parts * parts)
        why = f"{counted(samples, 'training image')}; 32 below {SMALL_SET}, else 128"
        log(f"batch size: {size} ({why}{f', a multiple of {parts}' if parts > 1 else ''})")
    elif here.replicas > 1:
        log(f"batch size: {size} ({who('training.batch_size')}, over all {counted(here.replicas, 'device')})")
    if here.replicas > 1 and spec.optimizer.reference_batch is None:
        log(f"learning rate: {spec.optimizer.learning_rate:g} (of the whole batch; --reference-batch scales it)")
    here.require_divisible(size, spec.training.accumulate)
    return replace(spec, training=replace(spec.training, batch_size=size))


def _resolve_rate(spec: Spec, log: Log) -> Spec:
    """The learning rate in proportion to the batch, where that was asked for."""
    optimizer, batch = spec.optimizer, spec.training.batch_size
    assert batch is not None
    if optimizer.reference_batch in (None, batch):
        return spec
    assert optimizer.reference_batch is not None
    rate = optimizer.learning_rate * batch / optimizer.reference_batch
    log(
        f"learning rate: {rate:g} ({optimizer.learning_rate:g} for {counted(optimizer.reference_batch, 'image')},"
        f" in proportion)"
    )
    return replace(spec, optimizer=replace(optimizer, learning_rate=rate, reference_batch=batch))


def _resolve_length(spec: Spec, data: DatasetSplits, log: Log) -> Spec:
    """Epochs from steps, the warm-up, the steps between checkpoints."""
    training, optimizer = spec.training, spec.optimizer
    assert training.batch_size is not None
    per_epoch = pipeline.steps_per_epoch(data.splits["train"], training.batch_size)
    if training.steps is not None:
        steps = counted(training.steps, "step")
        training = replace(training, epochs=-(-training.steps // per_epoch))
        log(f"epochs: {training.epochs} ({steps}, {per_epoch} an epoch)")
    if optimizer.warmup_epochs is None:
        warmup = min(1.0, WARMUP_SHARE * training.epochs)
        log(f"warm-up: {counted(warmup, 'epoch', 'g')} (1, or a fifth of a shorter training)")
        optimizer = replace(optimizer, warmup_epochs=warmup)
    if training.checkpoint_every is None:
        every = min(per_epoch, CHECKPOINT_STEPS)
        training = replace(training, checkpoint_every=every)
        if every < per_epoch:
            log(f"checkpoints: every {counted(every, 'step')}, and after each epoch (which has {per_epoch})")
    return replace(spec, training=training, optimizer=optimizer)


def _resolve_precision(spec: Spec, here: Devices, log: Log) -> Spec:
    chosen, why = spec.training.precision, who("training.precision")
    size, batch = spec.data.image_size, spec.training.batch_size
    assert size is not None and batch is not None
    if spec.compress.by_tfmot:
        chosen, why = "float32", "tensorflow-model-optimization trains in no other"
    elif chosen == "auto" and here.is_chief:
        with waiting("trying precisions"):
            chosen, why = choose_precision(
                lambda policy: build.trial(training_bricks(policy, 1), spec.network, size),
                size,
                batch // here.replicas,
            )
    chosen = here.tell_all(chosen)
    log(f"precision: {chosen} ({why})")
    return replace(spec, training=replace(spec.training, precision=chosen))


def training_bricks(policy: str, replicas: int) -> Layers:
    """Layers that train fast: batch norm by the fused kernel, which knows the images of its own replica only, or
    over several replicas Keras' own, synchronized."""
    import keras

    from keras_resnet.training.fused_batch_norm import FusedBatchNormalization

    if replicas > 1:
        return Layers(keras, policy, synchronized=True)
    return Layers(keras, policy, normalizer=FusedBatchNormalization)
