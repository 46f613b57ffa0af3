"""Classes of unequal size: warn of them, and weigh or sample them as the spec asks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_resnet.config.section import not_allowed
from keras_resnet.config.spec import Spec
from keras_resnet.config.task_rules import TASK_RULES
from keras_resnet.data.class_sampling import CLASS_WEIGHTS_TRADE, count_shown, describe_imbalance, weigh_classes
from keras_resnet.data.dataset import DatasetSplits
from keras_resnet.progress import Log
from keras_resnet.runtime.plurals import counted

# Digits of a weight that are kept in the spec.
DIGITS = 6


def resolve_class_balance(spec: Spec, data: DatasetSplits, log: Log) -> Spec:
    """Return `spec` with the weights of its classes, where it asks for such. What is done for rare classes is logged;
    where nothing is, a warning of them. Raises SettingError for weights of another number of classes."""
    train, training = data.splits["train"], spec.training
    sizes = train.count_labels(len(data.classes))
    if not TASK_RULES[spec.task].balances_classes:
        if train.objects is None and (words := describe_imbalance(data.classes, sizes)):
            log(f"warning: {words}: rare labels may never be found; add images of them")
        return spec
    shown = np.zeros_like(sizes)
    shown[sizes > 0] = count_shown(sizes[sizes > 0], training.sampling)
    if training.sampling != "natural":
        log(f"sampling: {training.sampling} ({_describe_shown(data.classes, sizes, shown)})")
    if training.class_weights != "none":
        weights = weigh_classes(sizes, shown, training.class_weights)
        log(f"class weights: {training.class_weights} ({_describe_weights(data.classes, weights)})")
        kept = tuple(float(f"{weight:.{DIGITS}g}") for weight in weights)
        return replace(spec, training=replace(training, weights_by_class=kept))
    is_left_alone = training.sampling == "natural" and not training.weights_by_class
    if is_left_alone and (words := describe_imbalance(data.classes, sizes)):
        log(
            f"warning: {words}: rare classes may never be found; let them count as much as the others by"
            f" --class-weights balanced, or show them more often by --sampling sqrt ({CLASS_WEIGHTS_TRADE})"
        )
    if (given := len(training.weights_by_class)) not in (0, len(data.classes)):
        raise not_allowed(
            "training.weights_by_class",
            f"{given} weights",
            f"one for each of {counted(len(data.classes), 'class', '', 'classes')}",
        )
    return spec


def _describe_weights(classes: tuple[str, ...], weights: np.ndarray) -> str:
    low, high = int(weights.argmin()), int(weights.argmax())
    return f"an image of {classes[low]!r} counts {weights[low]:.3g}, one of {classes[high]!r} {weights[high]:.3g}"


def _describe_shown(classes: tuple[str, ...], sizes: np.ndarray, shown: np.ndarray) -> str:
    """Say how often an epoch shows the rarest and the most frequent class."""
    present = np.flatnonzero(sizes)
    if sizes[present].min() == sizes[present].max():
        return "which shows each image once: the classes are equal"
    few, many = present[sizes[present].argmin()], present[sizes[present].argmax()]
    return (
        f"an epoch shows {shown[few]:,} times one of {counted(sizes[few], 'image', ',')} of {classes[few]!r}, and"
        f" {shown[many]:,} times one of {sizes[many]:,} of {classes[many]!r}"
    )
