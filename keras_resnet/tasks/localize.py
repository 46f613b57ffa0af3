"""Localization as a task: which class the image's main object is of, and where it is (ILSVRC's second task)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.bricks import Bricks
from keras_resnet.data.boxes import generalized_iou, iou
from keras_resnet.judgement import Judgement, right_by_class
from keras_resnet.networks import catalog
from keras_resnet.networks.names import name_of
from keras_resnet.spec import Spec

# Russakovsky et al. 2015, section 4.2: a box is right from this overlap on.
RIGHT = 0.5
# What a box's loss weighs beside the class's: both begin near 2 and 1.
BOX_WEIGHT = 2.0
NECK = 64


@dataclass(frozen=True)
class Localization:
    """The class of the largest object, and its box: left, top, right, bottom in shares of the image."""

    classes: tuple[str, ...]

    followed = ("accuracy", "iou")

    def build(self, bricks: Bricks, spec: Spec, any_size: bool = False) -> Any:
        """The network of `spec`, as a model from pixels (B, H, W, 3) to {"logits": (B, classes), "box": (B, 4)}."""
        size = spec.data.image_size
        assert size is not None and not any_size, "resolve the spec before building; sizes are fixed"
        pixels, stages = catalog.body(bricks, spec.network, (size, size, 3), spec.data.normalization)
        *_, fine, middle, last = stages.values()
        logits = bricks.dense(bricks.mean_pool(last, name="pool"), len(self.classes), name="logits")
        return bricks.model(
            pixels, {"logits": logits, "box": _box(bricks, fine, middle, last)}, name=name_of(spec.network)
        )

    def encode(self, truth: dict[str, Any]) -> dict[str, Any]:
        """{"labels": (B, M), "boxes": (B, M, 4)} → {"class": one-hot (B, classes), "box": (B, 4)} of the first."""
        import tensorflow as tf

        return {
            "class": tf.one_hot(truth["labels"][..., 0], len(self.classes), dtype=tf.float32),
            "box": truth["boxes"][..., 0, :],
        }

    def loss(self, spec: Spec) -> Callable[[Any, Any], Any]:
        """(targets, outputs) → (B,) float32: cross entropy of the class, generalized IoU and distance of the box."""
        import keras
        import tensorflow as tf

        smoothing = spec.optimizer.label_smoothing

        def losses(targets: Any, outputs: Any) -> Any:
            wanted = (1 - smoothing) * targets["class"] + smoothing / len(self.classes)
            of_class = keras.losses.categorical_crossentropy(wanted, outputs["logits"], from_logits=True)
            box = tf.cast(outputs["box"], tf.float32)
            _, overlap = generalized_iou(box, targets["box"])
            distance = tf.reduce_mean(tf.abs(box - targets["box"]), axis=-1)
            return of_class + BOX_WEIGHT * (1 - overlap + 5 * distance)

        return losses

    def follow(self, targets: Any, outputs: Any) -> dict[str, Any]:
        """What is followed during training, per sample: {name: (B,) float32}, in the order of `followed`."""
        import keras
        import tensorflow as tf

        overlap, _ = generalized_iou(tf.cast(outputs["box"], tf.float32), targets["box"])
        return {"accuracy": keras.metrics.categorical_accuracy(targets["class"], outputs["logits"]), "iou": overlap}

    def read(self, outputs: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> list[tuple[int, np.ndarray]]:
        """Outputs of a batch as answers: the class and the box (4,) of each image."""
        return list(zip(np.argmax(outputs["logits"], axis=-1).tolist(), outputs["box"], strict=True))

    def judge(self, answers: list[tuple[int, np.ndarray]], truth: dict[str, np.ndarray]) -> Judgement:
        """The share of answers of which class and box are right; beside it of the class alone, and the boxes' IoU."""
        labels, found = _parted(answers)
        wanted, overlap = truth["labels"][:, 0], iou(found, truth["boxes"][:, 0])
        correct = (labels == wanted) & (overlap >= RIGHT)
        details = {"top1": float((labels == wanted).mean()), "IoU": float(overlap.mean())}
        by_class = right_by_class(correct, wanted, self.classes)
        return Judgement({"localized": float(correct.mean())}, by_class, details, correct)

    def agreement(self, ours: list[tuple[int, np.ndarray]], theirs: list[tuple[int, np.ndarray]]) -> float:
        """The share of samples of which two models say the same class, in boxes that overlap enough."""
        (labels, boxes), (their_labels, their_boxes) = _parted(ours), _parted(theirs)
        return float(((labels == their_labels) & (iou(boxes, their_boxes) >= RIGHT)).mean())


def _parted(answers: list[tuple[int, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """(labels (N,), boxes (N, 4))."""
    return np.array([label for label, _ in answers]), np.stack([box for _, box in answers])


def _box(b: Bricks, fine: Any, middle: Any, last: Any) -> Any:
    """Edges as means over columns and rows, weighed by what a row of cells says (a one-dimensional soft-argmax; Nibali
    et al. 2018): (B, 4). Three stages are summed from the coarsest to the finest, as in a feature pyramid."""
    x = b.conv(last, NECK, 1, bias=True, name="box_lateral3")
    for number, stage in ((2, middle), (1, fine)):
        x = b.upsample(x, stage, name=f"box_up{number}")
        x = b.add(x, b.conv(stage, NECK, 1, bias=True, name=f"box_lateral{number}"), name=f"box_sum{number}")
    for number in (1, 2):
        x = b.norm(b.conv(x, NECK, 3, name=f"box_conv{number}"), name=f"box_norm{number}")
        x = b.relu(x, name=f"box_relu{number}")
    columns, rows = (
        b.expected(b.profile(b.conv(x, 2, 1, bias=True, name=f"box_{name}"), axis, name=f"box_{name}_shares"), name=end)
        for name, axis, end in (("columns", 1, "box_x"), ("rows", 2, "box_y"))
    )
    return b.interleave(columns, rows, name="box")
