"""Image classification as a task: build, encode, losses, metrics, decode.

train, evaluate, verify and report use these five members and know no task by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.bricks import Bricks
from keras_resnet.networks import catalog
from keras_resnet.spec import Spec


@dataclass(frozen=True)
class Classification:
    """Which of `classes` an image shows."""

    classes: tuple[str, ...]

    metric = "top1"

    def build(self, bricks: Bricks, spec: Spec) -> Any:
        """The network of `spec`, as a model from pixels (B, H, W, 3) to logits (B, classes)."""
        size = spec.data.image_size
        assert size is not None, "resolve the spec before building"
        return catalog.build(
            bricks,
            spec.network,
            classes=len(self.classes),
            input_shape=(size, size, 3),
            normalization=spec.data.normalization,
        )

    def encode(self, labels: Any) -> Any:
        """Labels (B,) int64 → one-hot targets (B, classes) float32, as label smoothing needs."""
        import tensorflow as tf

        return tf.one_hot(labels, len(self.classes), dtype=tf.float32)

    def losses(self, spec: Spec) -> Any:
        """Cross entropy with label smoothing (Szegedy et al. 2016, section 7)."""
        import keras

        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=spec.optimizer.label_smoothing)

    def metrics(self) -> list[Any]:
        """Keras metrics followed during training."""
        import keras

        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def correct(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Per sample, whether the answer is right: logits (N, classes), labels (N,) → bool (N,)."""
        return np.asarray(self.answers(outputs) == labels)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """Per sample, the answer by which two models are compared: logits (N, classes) → int64 (N,)."""
        return np.asarray(np.argmax(outputs, axis=-1))

    def decode(self, outputs: np.ndarray, top: int = 5) -> list[list[dict[str, Any]]]:
        """Per sample, the `top` likeliest classes, best first: logits (N, classes) →
        [[{"label": str, "probability": float}, …], …]."""
        exponents = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        shares = exponents / exponents.sum(axis=-1, keepdims=True)
        order = np.argsort(-outputs, axis=-1, kind="stable")[:, :top]
        return [
            [{"label": self.classes[c], "probability": float(share[c])} for c in best]
            for share, best in zip(shares, order, strict=True)
        ]
