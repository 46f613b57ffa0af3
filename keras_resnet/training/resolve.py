"""Choices that a spec leaves open, made for the data and the devices and logged with their reasons."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from keras_resnet.config.image_size import height_and_width
from keras_resnet.config.provenance import describe_origin
from keras_resnet.config.spec import AugmentSpec, Spec
from keras_resnet.data import pipeline
from keras_resnet.data.load import DatasetSplits
from keras_resnet.data.mirroring import decide_flip
from keras_resnet.data.scaled_decoding import decide_scaled_decoding
from keras_resnet.machine import onednn
from keras_resnet.models import build
from keras_resnet.models.backbone import get_family
from keras_resnet.models.layers import Layers
from keras_resnet.progress import Log, show_activity
from keras_resnet.runtime.plurals import counted, verb
from keras_resnet.training.class_balance import resolve_class_balance
from keras_resnet.training.default_weights import choose_start, lengthen_random_start
from keras_resnet.training.distribute import Devices
from keras_resnet.training.methods import get_method_class
from keras_resnet.training.precision import choose_precision

# Small datasets need small batches to get enough steps; from here on He et al.'s 128 (section 4.2).
SMALL_DATASET = 5000
# Images below which they are smaller still: a batch that is not full, which an epoch leaves out, is a large part there.
TINY_BATCHES = {50: 8, 100: 16}
# The largest part of a training that the automatic warm-up takes.
MAX_WARMUP = 0.2
# A warning is logged if the brightest of so many images is no brighter than this.
BRIGHTNESS_SAMPLE, DARK = 200, 63
# The standard deviation of the pixels of an image of one color stays below this.
BLANK = 1.0
# Steps between two checkpoints, where epochs are longer: minutes, not hours, are lost.
CHECKPOINT_STEPS = 1000
# The layers that kresnet has of its own, as a training names them: avx2_layers.py and amx_layers.py.
WITHOUT_AVX512 = "kresnet's own, which train faster on CPUs with AVX2 but without AVX-512"
WITH_AMX = "kresnet's own for 1 × 1 convolutions, which train faster on CPUs with AMX"


def resolve(spec: Spec, data: DatasetSplits, devices: Devices, log: Log) -> Spec:
    """Return `spec` with every open choice made for `data`; each is logged with its reason."""
    _warn_of_bad_images(spec, data, log)
    spec = choose_start(spec, data, devices, log)
    normalization = spec.data.normalization.adapt(data.channels)
    if normalization.mean[0] not in spec.data.normalization.mean:
        mean, std = normalization.mean[0], normalization.std[0]
        log(f"normalization: mean {mean:.6g}, deviation {std:.6g} in each channel (the means of those of RGB)")
    sizes = replace(data.describe_in(spec.data), normalization=normalization)
    shorter = min(height_and_width(data.image_size))
    network, decision = get_family(spec.network.family).resolve(spec.network, shorter)
    if decision:
        log(decision)
    spec = replace(spec, data=sizes, network=network)
    spec = resolve_class_balance(spec, data, log)
    spec = _resolve_mirroring(spec, data, devices, log)
    decoding = decide_scaled_decoding(spec.augment, data.splits["train"], data.image_size, log)
    spec = replace(spec, augment=replace(spec.augment, scaled_decoding=decoding))
    log(f"augmentation: {_describe_augmentation(spec.augment)}")
    spec = _resolve_batch(spec, data.splits["train"].count, devices, log)
    spec = _resolve_length(_resolve_learning_rate(spec, log), data, log)
    return _resolve_precision(spec, devices, log)


def _warn_of_bad_images(spec: Spec, data: DatasetSplits, log: Log) -> None:
    """Warn if all images are nearly black: 12 bits of a camera stored in 16, and fractions of 1, are read so; and if
    some show one color."""
    split = data.splits["train"]
    rows = np.arange(split.count)[:: max(1, split.count // BRIGHTNESS_SAMPLE)]
    looked_at = (split.pixels[row] if split.pixels is not None else split.read_pixels(row) for row in rows)
    highest, deviations = zip(*((int(pixels.max()), float(pixels.std())) for pixels in looked_at), strict=True)
    brightest, blank = max(highest), sum(deviation < BLANK for deviation in deviations)
    if blank:
        log(
            f"warning: {blank} of {counted(len(rows), 'training image')} looked at"
            f" {verb(blank, 'shows', 'show')} one color; to list such images and others that are wrong: kresnet check"
            f" {spec.data.source}"
        )
    if brightest <= DARK:
        log(
            f"warning: the brightest of {counted(len(rows), 'training image')} is {brightest} of 255:"
            " were they scaled, or have their files more bits than they use?"
        )


def _resolve_mirroring(spec: Spec, data: DatasetSplits, devices: Devices, log: Log) -> Spec:
    """Decide whether training images are mirrored: as chosen, as known of the data, or as the chief measures."""
    flip, reason = spec.augment.flip, describe_origin("augment.flip")
    if flip is None and data.flip_safe is not None:
        flip = data.flip_safe
        known = "usual for objects" if data.splits["train"].objects else f"right for {data.name}"
        reason = f"{known}; override with {'--no-flip' if flip else '--flip'}"
    elif flip is None:
        if devices.is_chief:
            with show_activity("trying mirrored images"):
                mirroring = decide_flip(data.splits["train"], data.image_size, data.classes)
            flip = mirroring.flip
            reason = f"{mirroring.why}; override with {'--no-flip' if flip else '--flip'}"
        flip = devices.broadcast("mirror" if flip else "do not mirror") == "mirror"
    log(f"horizontal flips: {'on' if flip else 'off'} ({reason})")
    return replace(spec, augment=replace(spec.augment, flip=flip))


def _describe_augmentation(augment: AugmentSpec) -> str:
    """Return what happens to training images, in one line."""
    parts = ["resized crops" if augment.crop == "resized" else "random crops"]
    parts += [f"objects {augment.scales[0]:g} to {augment.scales[1]:g} times as large"] if augment.scales else []
    parts += ["flips"] if augment.flip else []
    parts += [augment.auto_augment] if augment.auto_augment != "none" else []
    strengths = ("mixup", "cutmix", "mosaic", "copy_paste", "random_erase", "color_jitter")
    parts += [f"{name.replace('_', '-')} {value:g}" for name in strengths if (value := getattr(augment, name))]
    parts += [f"each image {counted(augment.repeats, 'time')}"] if augment.repeats > 1 else []
    parts += [f"at {', '.join(map(str, augment.train_sizes))} pixels"] if augment.train_sizes else []
    return ", ".join(parts)


def _resolve_batch(spec: Spec, samples: int, devices: Devices, log: Log) -> Spec:
    size = spec.training.batch_size
    if size is None:
        parts = devices.replicas * spec.training.accumulate_steps
        tiny = next((batch for below, batch in TINY_BATCHES.items() if samples < below), None)
        preferred = min(tiny or (32 if samples < SMALL_DATASET else 128), samples)
        size = max(parts, preferred // parts * parts)
        rule = "so few need small batches, for enough steps" if tiny else f"32 below {SMALL_DATASET}, else 128"
        reason = f"{counted(samples, 'training image')}; {rule}"
        log(f"batch size: {size} ({reason}{f', a multiple of {parts}' if parts > 1 else ''})")
    elif devices.replicas > 1:
        origin = describe_origin("training.batch_size")
        log(f"batch size: {size} ({origin}, over all {counted(devices.replicas, 'device')})")
    if devices.replicas > 1 and spec.optimizer.reference_batch is None:
        log(f"learning rate: {spec.optimizer.learning_rate:g} (of the whole batch; --reference-batch scales it)")
    devices.require_divisible(size, spec.training.accumulate_steps)
    return replace(spec, training=replace(spec.training, batch_size=size))


def _resolve_learning_rate(spec: Spec, log: Log) -> Spec:
    """Scale the learning rate in proportion to the batch, where that was asked for."""
    optimizer, batch = spec.optimizer, spec.training.batch_size
    assert batch is not None
    if optimizer.reference_batch in (None, batch):
        return spec
    assert optimizer.reference_batch is not None
    rate = optimizer.learning_rate * batch / optimizer.reference_batch
    images = counted(optimizer.reference_batch, "image")
    log(f"learning rate: {rate:g} ({optimizer.learning_rate:g} for {images}, in proportion)")
    return replace(spec, optimizer=replace(optimizer, learning_rate=rate, reference_batch=batch))


def _resolve_length(spec: Spec, data: DatasetSplits, log: Log) -> Spec:
    """Decide the epochs, where steps were given, the warm-up and the steps between checkpoints."""
    assert spec.training.batch_size is not None
    per_epoch = pipeline.steps_per_epoch(data.splits["train"], spec.training.batch_size)
    spec = lengthen_random_start(spec, per_epoch, log)
    training, optimizer = spec.training, spec.optimizer
    if training.steps is not None:
        steps = counted(training.steps, "step")
        training = replace(training, epochs=-(-training.steps // per_epoch))
        log(f"epochs: {training.epochs} ({steps}, {per_epoch} per epoch)")
    if optimizer.warmup_epochs is None:
        warmup = min(1.0, MAX_WARMUP * training.epochs)
        rise = "epoch" if warmup == 1 else f"{warmup:g} epochs, {MAX_WARMUP:.0%} of this short training"
        log(f"warm-up: the learning rate rises during the first {rise} (--set optimizer.warmup_epochs=N changes it)")
        optimizer = replace(optimizer, warmup_epochs=warmup)
    if training.checkpoint_every is None:
        every = min(per_epoch, CHECKPOINT_STEPS)
        training = replace(training, checkpoint_every=every)
        if every < per_epoch:
            log(f"checkpoints: every {counted(every, 'step')}, and after each epoch (which has {per_epoch})")
    return replace(spec, training=training, optimizer=optimizer)


def _resolve_precision(spec: Spec, devices: Devices, log: Log) -> Spec:
    precision, reason = spec.training.precision, describe_origin("training.precision")
    height, width, channels = spec.data.input_shape
    batch = spec.training.batch_size
    assert batch is not None
    # A square of as many pixels takes as long.
    side = round(math.sqrt(height * width))
    if required := get_method_class(spec).precision:
        precision, reason = required
    elif precision == "auto" and devices.is_chief:
        with show_activity("trying precisions"):
            precision, reason = choose_precision(
                lambda policy: build.build_shallowest(
                    training_layers(policy, kind=devices.kind), spec.network, side, channels
                ),
                side,
                batch // devices.replicas,
                channels,
            )
    precision = devices.broadcast(precision)
    log(f"precision: {precision} ({reason})")
    spec = replace(spec, training=replace(spec.training, precision=precision))
    log_own_layers(spec, devices, log)
    return spec


def log_own_layers(spec: Spec, devices: Devices, log: Log) -> None:
    """Say that a training of the resolved `spec` uses kresnet's own layers, if it does."""
    assert spec.training.precision is not None, "resolve the spec first"
    own = _choose_own_layers(spec.training.precision, devices.replicas, devices.kind)
    if own and spec.compress.method == "nothing":  # other trainings have other layers
        log(f"layers: {own} ({onednn.VARIABLE}=0 turns them off)")


def training_layers(policy: str, replicas: int = 1, kind: str = "CPU") -> Layers:
    """Return layers that train fast on `replicas` devices of a `kind`. Batch norm is that of the fused kernel, which
    knows the images of its own replica only, or over several replicas synchronized."""
    import keras

    from keras_resnet.training.fused_batch_norm import FusedBatchNormalization
    from keras_resnet.training.synchronized_batch_norm import SynchronizedBatchNormalization

    if replicas > 1:
        return Layers(keras, policy, normalizer=SynchronizedBatchNormalization)
    own = _choose_own_layers(policy, replicas, kind)
    if own == WITHOUT_AVX512:
        from keras_resnet.training.avx2_layers import FastBatchNormalization, FastConvolution, FastReLU

        return Layers(keras, policy, FastBatchNormalization, FastConvolution, FastReLU)
    if own == WITH_AMX:
        from keras_resnet.training.amx_layers import AmxConvolution

        return Layers(keras, policy, FusedBatchNormalization, AmxConvolution)
    return Layers(keras, policy, normalizer=FusedBatchNormalization)


def _choose_own_layers(policy: str, replicas: int, kind: str) -> str | None:
    """Return which of kresnet's own layers are faster here; None for Keras' convolutions."""
    if replicas == 1 and kind == "CPU":
        if policy == "float32" and onednn.lacks_avx512():
            return WITHOUT_AVX512
        if policy == "mixed_bfloat16" and onednn.has_amx():
            return WITH_AMX
    return None
