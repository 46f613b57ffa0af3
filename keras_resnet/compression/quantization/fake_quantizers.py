"""Layers that round activations as an 8-bit file will: per tensor, in 256 steps over a range that training learns.

Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference". The
moving range holds 0. Gradients pass straight through where nothing was clipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_resnet.compression.quantization.fake_quantize import fake_quantize
from keras_resnet.errors import UsageError

if TYPE_CHECKING:
    import tensorflow as tf

PACKAGE = "keras_resnet"
MOMENTUM = 0.99
# The narrowest range.
MIN_RANGE = 1e-8
# What TFLite prescribes for the outputs of LOGISTIC and SOFTMAX in 8 bits, steps of 1/256 from 0; and of TANH.
SIGMOID_RANGE = SOFTMAX_RANGE = (0.0, 255 / 256)
TANH_RANGE = (-1.0, 127 / 128)
PIXEL_RANGE = (0.0, 255.0)
# The brightest of pixels 0–255 is above this.
MAX_SCALED_PIXEL = 2.0


def register(layer: type) -> Any:
    """Make saved models that hold `layer` loadable."""
    return keras.saving.register_keras_serializable(PACKAGE)(layer)


@register
class FakeQuantizer(keras.layers.Layer):
    """Rounds (B, …) to 256 steps between `low` and `high`, moving averages over the batches seen in training.

    fixed: a range (low, high) that does not move. Changes nothing before the first batch, nor while `enabled` is False.
    Kept and computed in float32 whatever the dtype around it. `freeze` makes the range a constant, for conversion.
    """

    def __init__(self, fixed: tuple[float, float] | None = None, momentum: float = MOMENTUM, **options: Any) -> None:
        super().__init__(autocast=False, **options)
        self.fixed = None if fixed is None else (float(fixed[0]), float(fixed[1]))
        self.momentum = momentum
        self.enabled = True
        self.constant = self.fixed

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Create the range's variables, unless it is fixed."""
        if self.fixed is None:
            options = {"shape": (), "initializer": "zeros", "trainable": False, "autocast": False, "dtype": "float32"}
            self.low = self.add_weight(name="low", aggregation="mean", **options)
            self.high = self.add_weight(name="high", aggregation="mean", **options)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return `inputs` rounded, in their dtype."""
        import tensorflow as tf

        if not self.enabled:
            return inputs
        values = tf.cast(inputs, tf.float32)
        if self.constant is not None:
            low, high = self.constant
            rounded = tf.quantization.fake_quant_with_min_max_args(values, low, high)
            return tf.cast(rounded, inputs.dtype)
        if training:  # also where weights are frozen: ranges are still to be known
            self.update_range(values)
        low, high = tf.convert_to_tensor(self.low), tf.convert_to_tensor(self.high)
        rounded = fake_quantize(values, low, tf.maximum(high, low + MIN_RANGE))
        return tf.cast(tf.where(high > low, rounded, values), inputs.dtype)

    def update_range(self, values: tf.Tensor) -> None:
        """Move the range towards that of `values`, float32; the first batch sets it."""
        import tensorflow as tf

        low = tf.minimum(tf.reduce_min(tf.stop_gradient(values)), 0.0)
        high = tf.maximum(tf.reduce_max(tf.stop_gradient(values)), 0.0)
        before_low, before_high = tf.convert_to_tensor(self.low), tf.convert_to_tensor(self.high)
        momentum = tf.where(before_high > before_low, self.momentum, 0.0)
        self.low.assign(before_low * momentum + low * (1 - momentum))
        self.high.assign(before_high * momentum + high * (1 - momentum))

    def freeze(self, range_: tuple[float, float] | None = None) -> None:
        """Make `range_`, or the range as it is now, a constant: TensorFlow's converter reads constants only."""
        if self.fixed is None:
            low, high = range_ or (float(np.asarray(self.low)), float(np.asarray(self.high)))
            self.constant = (min(low, 0.0), max(high, MIN_RANGE))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return that of the input."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "fixed": self.fixed, "momentum": self.momentum}


@register
class PixelQuantizer(FakeQuantizer):
    """Checks the input of a network that has no normalization of pixels 0–255 of its own. Pixels are whole numbers
    already: it changes nothing in training and records the range, so that a file that is to take pixels is not made of
    a network that was trained on anything else."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return `inputs` as they are; once frozen, rounded to pixels."""
        import tensorflow as tf

        if self.constant is not None:
            return super().call(inputs, training=training)
        if training and self.enabled:
            self.update_range(tf.cast(inputs, tf.float32))
        return inputs

    def freeze(self, range_: tuple[float, float] | None = None) -> None:
        """Take pixels from now on. Raises UsageError if training saw something else."""
        low, high = range_ or (float(np.asarray(self.low)), float(np.asarray(self.high)))
        if low < PIXEL_RANGE[0] or not MAX_SCALED_PIXEL < high <= PIXEL_RANGE[1]:
            raise UsageError(
                f"a file takes pixels 0–255, and {self.name} saw values from {low:g} to {high:g} in training: move the"
                " scaling of the images into the network, as a Rescaling layer at its input"
            )
        super().freeze(PIXEL_RANGE)
