"""All that a training step changes: the model, the optimizer, and the moving averages of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import keras
import tensorflow as tf

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.training.distribute import Devices
    from keras_resnet.training.methods.base import TrainableModel


# Targets or outputs of a batch.
Tensors: TypeAlias = "tf.Tensor | dict[str, tf.Tensor]"


class Variable(Protocol):
    """What this room uses of Keras' variables; TensorFlow's, of tf_keras networks, have no `path`."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def shape(self) -> Any: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def value(self) -> Any: ...
    def numpy(self) -> np.ndarray: ...
    def assign(self, value: np.ndarray | tf.Tensor) -> Any: ...


class ExponentialMovingAverage:
    """Moving averages of all weights and statistics: `decay` of the old and the rest of the new after each step,
    and less of the old in the first (1 + t) / (10 + t), as TensorFlow's ExponentialMovingAverage has it."""

    def __init__(self, model: TrainableModel, decay: float) -> None:
        self.weights, self.decay = model.weights, decay
        self.averages = [
            keras.Variable(weight, dtype=weight.dtype, trainable=False, name=f"average_{index}")
            for index, weight in enumerate(self.weights)
        ]

    def reset(self) -> None:
        """Start from the present weights, which may have been loaded after the model was made."""
        for average, weight in zip(self.averages, self.weights, strict=True):
            average.assign(weight.numpy())

    def update(self, devices: Devices, step: tf.Variable) -> None:
        """Move the averages towards the present weights; across replicas, in a graph."""
        count = tf.cast(step, tf.float32)
        decay = tf.minimum(self.decay, (1 + count) / (10 + count))
        for average, weight in zip(self.averages, self.weights, strict=True):
            devices.strategy.extended.update(
                average.value, lambda a, w: a.assign(decay * a + (1 - decay) * w), args=(weight.value,), group=False
            )

    def swap(self) -> None:
        """Exchange weights and averages; a second time puts them back."""
        for average, weight in zip(self.averages, self.weights, strict=True):
            averaged, present = average.numpy(), weight.numpy()
            average.assign(present)
            weight.assign(averaged)


@dataclass(frozen=True)
class TrainState:
    """model: what is trained. optimizer: one that takes summed gradients (see `create_optimizer`). ema: None without
    averages."""

    model: TrainableModel
    optimizer: keras.optimizers.Optimizer
    ema: ExponentialMovingAverage | None = None

    def variables(self) -> list[Variable]:
        """Return every variable that a step changes, in an order that does not change: weights, statistics, seeds,
        slots, loss scale, averages."""
        return [*self.model.variables, *self.optimizer.variables, *(self.ema.averages if self.ema else ())]
