"""Image classification as a task: build, encode, loss, what is followed, what is right.

train, evaluate, verify and report use these members and know no task by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_resnet.config.spec import Spec
from keras_resnet.metrics import confidence_interval
from keras_resnet.metrics.classification import counted
from keras_resnet.metrics.result import Metrics, right_by_class
from keras_resnet.models import build as catalog
from keras_resnet.models.layers import Layers

TOP = 5


@dataclass(frozen=True)
class Classification:
    """Which of `classes` an image shows."""

    classes: tuple[str, ...]

    followed = ("accuracy",)
    # What is judged after each epoch, because nothing that is followed is that.
    judged: ClassVar[tuple[str, ...]] = ()
    # Of the network, behind its body (see `networks.parts`).
    parts: ClassVar[tuple[str, ...]] = ("logits",)

    def build(self, bricks: Layers, spec: Spec, any_size: bool = False) -> Any:
        """The network of `spec`, as a model from pixels (B, H, W, 3) to logits (B, classes); with `any_size` for
        images of other sizes too."""
        size = spec.data.image_size
        assert size is not None, "resolve the spec before building"
        return catalog.build_classifier(
            bricks,
            spec.network,
            classes=len(self.classes),
            input_shape=(size, size, 3),
            normalization=spec.data.normalization,
            any_size=any_size,
        )

    def encode(self, labels: Any) -> Any:
        """Labels (B,) int64 → one-hot targets (B, classes) float32, which can be smoothed and mixed."""
        import tensorflow as tf

        return tf.one_hot(labels, len(self.classes), dtype=tf.float32)

    def loss(self, spec: Spec) -> Callable[[Any, Any], Any]:
        """(targets, logits) → (B,) float32: cross entropy, or a yes or no for each class (Wightman et al. 2021,
        section 2), with targets smoothed (Szegedy et al. 2016, section 7)."""
        import keras

        smoothing, binary = spec.optimizer.label_smoothing, spec.training.loss == "bce"

        def losses(targets: Any, logits: Any) -> Any:
            targets = (1 - smoothing) * targets + smoothing / len(self.classes)
            kind = keras.losses.binary_crossentropy if binary else keras.losses.categorical_crossentropy
            return kind(targets, logits, from_logits=True)

        return losses

    def soften(self, temperature: float) -> Callable[[Any, Any], Any]:
        """(a teacher's logits, logits) → (B,) float32: their cross entropy, both divided by `temperature`, times its
        square (Hinton et al. 2015, section 2)."""
        import keras

        def losses(answers: Any, logits: Any) -> Any:
            targets = keras.ops.softmax(answers / temperature)
            soft = keras.losses.categorical_crossentropy(targets, logits / temperature, from_logits=True)
            return temperature**2 * soft

        return losses

    def follow(self, targets: Any, logits: Any) -> dict[str, Any]:
        """What is followed during training, per sample: {name: (B,) float32}, in the order of `followed`."""
        import keras

        return {"accuracy": keras.metrics.categorical_accuracy(targets, logits)}

    def read(self, outputs: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
        """Outputs of a batch, and what is true of it, as answers: logits (B, classes) → B of (classes,)."""
        return list(outputs)

    def judge(self, answers: list[np.ndarray], labels: np.ndarray) -> Metrics:
        """How good N answers are, labels being (N,): the share of those whose largest logit is right, beside it the
        share of those that have the right one among their five largest."""
        logits = np.stack(answers)
        correct = np.argmax(logits, axis=-1) == labels
        details = {}
        if len(self.classes) > TOP:
            best = np.argpartition(-logits, TOP, axis=-1)[:, :TOP]
            details["top5"] = float((best == labels[:, None]).any(axis=-1).mean())
        by_class = right_by_class(correct, labels, self.classes)
        return Metrics({"top1": float(correct.mean())}, by_class, details, correct)

    def findings(self, evaluation: Any) -> dict[str, Any]:
        """What a report tells of an `evaluate.Evaluation`: see `counted.counted`."""
        return counted(shares_of(evaluation.answers), evaluation.truth, self.classes)

    def pictures(self, evaluation: Any, count: int) -> list[tuple[int, list[Any], str]]:
        """(sample, nothing to draw, words) of the `count` surest mistakes."""
        shares, labels = shares_of(evaluation.answers), evaluation.truth
        answered, sure = shares.argmax(axis=1), shares.max(axis=1)
        wrong = np.flatnonzero(~evaluation.judgement.correct)
        first = wrong[np.argsort(-sure[wrong], kind="stable")][:count]
        return [
            (int(row), [], f"{self.classes[answered[row]]} {sure[row]:.0%}, is {self.classes[labels[row]]}")
            for row in first
        ]

    def drop_interval(self, name: str, before: Any, after: Any) -> tuple[float, float]:
        """The 95% interval of the drop in the value `name` from one `evaluate.Evaluation` to another of the same
        samples."""
        return confidence_interval.paired_proportion_ci(before.judgement.correct, after.judgement.correct)

    def agreement(self, ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
        """The share of samples to which two models give the same answer."""
        return float((np.argmax(ours, axis=-1) == np.argmax(theirs, axis=-1)).mean())


def shares_of(answers: list[np.ndarray]) -> np.ndarray:
    """Logits, N of (classes,) → probabilities (N, classes)."""
    logits = np.stack(answers).astype(np.float64)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))
