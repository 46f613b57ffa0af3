"""Before a training starts: devices, data, and the checks that need no training."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from keras_resnet.config.image_size import format_size, height_and_width
from keras_resnet.config.spec import Spec
from keras_resnet.data.dataset import TRAINING_SPLITS
from keras_resnet.data.load import DatasetSplits, load_dataset
from keras_resnet.data.service import require_usable
from keras_resnet.data.uncropped import keep_uncropped
from keras_resnet.errors import RunError, UsageError
from keras_resnet.machine import onednn
from keras_resnet.models import build
from keras_resnet.models.flops import count_cost
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.data_fingerprint import describe_changes, fingerprint_splits
from keras_resnet.runtime.plurals import counted
from keras_resnet.training import distribute, xla
from keras_resnet.training.distribute import Devices
from keras_resnet.training.initialize import require_parts
from keras_resnet.training.trackers import require_trackers

# Bytes that a parameter takes at least, with its gradient; and a pixel's channel, as it is read and as the network
# takes it.
WEIGHT_BYTES, PIXEL_BYTES = 8, 1 + 4


def require_possible(spec: Spec) -> None:
    """Raise UsageError for what can be known to be impossible before any data are read."""
    build.require_known(spec.network)
    require_parts(spec)
    require_trackers(spec.log.track)
    require_usable(spec.data)
    distribute.require_understood(spec.training.devices)
    xla.require_consistent(spec)
    if spec.data.image_size is not None:
        build.require_size(spec.network, min(height_and_width(spec.data.image_size)))


@contextmanager
def restore_determinism() -> Iterator[None]:
    """Leave TensorFlow's determinism as it was found: what comes after a deterministic training in the same process
    is not to be slow."""
    was_enabled = _is_deterministic()
    try:
        yield
    finally:
        if _is_deterministic() and not was_enabled:
            from tensorflow.python.framework import config

            config.disable_op_determinism()


def _is_deterministic() -> bool:
    if "tensorflow" not in sys.modules:
        return False
    from tensorflow.python.framework import config

    return bool(config.is_op_determinism_enabled())


def setup_devices(spec: Spec, log: Log) -> tuple[Devices, Log]:
    """Return the devices, and `log` for the first of several workers; the others log nothing.

    Raises UsageError for what is impossible on them.
    """
    devices = distribute.setup(spec.training.devices)
    if spec.training.deterministic:
        _enable_determinism(spec, devices)
    log = log if devices.is_chief else _log_nothing
    log(f"devices: {devices.reason}")
    if devices.kind == "CPU" and onednn.is_set():
        log(f"oneDNN: {onednn.describe_onednn()}")
    if spec.training.recompute:
        log("activations: one residual unit's at a time; the backward pass computes the others again (--recompute)")
    if devices.memory:
        log(f"GPU memory: {devices.memory}")
    return replace(devices, jit_compile=xla.decide_jit_compile(spec, devices, log)), log


def _log_nothing(message: str) -> None:
    pass


def _enable_determinism(spec: Spec, devices: Devices) -> None:
    """Let TensorFlow's operators give the same bits each time. Raises UsageError for a training of which it is known
    that some refuse that on GPUs."""
    import tensorflow as tf

    if devices.kind == "GPU" and spec.compress.qat == "tfmot":
        raise UsageError(
            "--deterministic does not go with --qat tfmot on GPUs, because tfmot takes the gradients of TensorFlow's"
            " fake quantization, which are not deterministic there; --qat native has others"
        )
    tf.config.experimental.enable_op_determinism()


def load_data_chief_first(spec: Spec, devices: Devices, log: Log) -> DatasetSplits:
    """Return the data. The chief opens it first, because that may prepare it for the others."""
    data = load_dataset(spec.data, log, TRAINING_SPLITS) if devices.is_chief else None
    devices.broadcast("the data is there")
    return data or load_dataset(spec.data, log, TRAINING_SPLITS)


def keep_uncropped_chief_first(spec: Spec, data: DatasetSplits, devices: Devices, log: Log) -> DatasetSplits:
    """Return the `data` that training images are made of, see `keep_uncropped`. The chief decodes first, and finds what
    the others then find too. What a data service reads is not read here."""
    if spec.data.service is not None:
        return data
    kept = keep_uncropped(data, spec.augment, log) if devices.is_chief else None
    devices.broadcast("images are decoded")
    return kept or keep_uncropped(data, spec.augment, log)


def require_memory(spec: Spec, classes: tuple[str, ...], devices: Devices) -> None:
    """Raise UsageError if weights with their gradients, or a batch of images, take more memory than the machine has:
    before anything is allocated."""
    shape, size, batch = spec.data.input_shape, spec.data.image_size, spec.training.batch_size
    assert size is not None and batch is not None
    cost = count_cost(spec.network, classes=len(classes), input_shape=shape)
    images = counted(batch, "image")
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for subject, needed in (
        (f"a network of {cost.trainable:.3g} parameters", WEIGHT_BYTES * cost.trainable),
        (
            f"a batch of {images} of {format_size(size)} pixels",
            PIXEL_BYTES * math.prod(shape) * batch // devices.replicas,
        ),
    ):
        if needed > available:
            raise UsageError(
                f"{subject} takes {needed / 2**30:,.0f} GiB or more, and this machine has {available / 2**30:,.0f}"
            )


def check_data_unchanged(run: Run, data: DatasetSplits, is_change_allowed: bool, log: Log) -> str | None:
    """Return how `data` differs from what `run` was started with, or None. Raises RunError unless it may differ."""
    before = run.document().get("data")
    if not before:
        log(f"data: whether it has changed is not known: spec.json of run {run.name} does not describe it")
        return None
    if not (difference := describe_changes(before, fingerprint_splits(data))):
        return None
    if not is_change_allowed:
        raise RunError(
            f"the data of run {run.name} has changed since it was started: {difference}. To continue with what is there"
            f" now: kresnet train --resume {run.name} --data-changed"
        )
    log(f"data: changed since run {run.name} was started: {difference} (--data-changed: continues and records it)")
    return difference
