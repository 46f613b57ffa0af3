"""Layers that compute in training what an 8-bit file will compute: Jacob et al. 2018, "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference".

Weights of convolutions are rounded per output channel, symmetrically, in 255 steps; activations per tensor, in 256
steps over a moving range that holds 0. Gradients pass straight through where nothing was clipped. Batch norm between a
convolution and its activation multiplies each output channel by a number: rounding per channel commutes with that, so
that the file's folded weights are these, and nothing else has to be folded in training.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

PACKAGE = "keras_resnet"
MOMENTUM = 0.99
# The narrowest range, and the narrowest of a channel as a share of the widest one of its layer: below that a file's
# bias, which is counted in products of both scales, no longer fits 32 bits.
SMALLEST, SMALLEST_SHARE = 1e-8, 1e-4
# TFLite's LOGISTIC has this output in 8 bits: steps of 1/256 from 0.
SIGMOID_RANGE = (0.0, 255 / 256)


def register(layer: type) -> Any:
    """Make a saved model that holds `layer` loadable."""
    return keras.saving.register_keras_serializable(PACKAGE)(layer)


def rounded_kernel(kernel: Any) -> Any:
    """float32 (height, width, inputs, outputs) rounded to 8 bits for each output; (inputs, outputs) as a whole: the
    converter turns the latter around and cannot follow steps of their own for each output."""
    import tensorflow as tf

    quantization, largest = tf.quantization, kernel_ranges(kernel)
    if len(kernel.shape) == 4:
        return quantization.fake_quant_with_min_max_vars_per_channel(kernel, -largest, largest, narrow_range=True)
    return quantization.fake_quant_with_min_max_vars(kernel, -largest, largest, narrow_range=True)


def kernel_ranges(kernel: Any) -> Any:
    """The largest absolute weight, no gradient: of each output of a convolution, of a whole dense kernel."""
    import tensorflow as tf

    largest = tf.reduce_max(tf.abs(kernel), axis=(0, 1, 2) if len(kernel.shape) == 4 else None)
    least = tf.maximum(SMALLEST_SHARE * tf.reduce_max(largest), SMALLEST)
    return tf.stop_gradient(tf.maximum(largest, least))


@register
class FakeQuantizer(keras.layers.Layer):
    """Rounds (B, …) to 256 steps between `low` and `high`, which follow the batches seen in training.

    fixed: (low, high) that do not move. Until it has seen a batch it changes nothing; nor while `enabled` is False.
    Kept and computed in float32 whatever the dtype around it. `freeze` makes the range a constant, for conversion.
    """

    def __init__(self, fixed: tuple[float, float] | None = None, momentum: float = MOMENTUM, **options: Any) -> None:
        super().__init__(autocast=False, **options)
        self.fixed = None if fixed is None else (float(fixed[0]), float(fixed[1]))
        self.momentum = momentum
        self.enabled = True
        self._constant = self.fixed

    def build(self, shape: Any) -> None:
        """Make the range's variables, unless it is fixed."""
        if self.fixed is None:
            options = {"shape": (), "initializer": "zeros", "trainable": False, "autocast": False, "dtype": "float32"}
            self.low = self.add_weight(name="low", aggregation="mean", **options)
            self.high = self.add_weight(name="high", aggregation="mean", **options)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """`inputs` rounded, in their dtype."""
        import tensorflow as tf

        if not self.enabled:
            return inputs
        values = tf.cast(inputs, tf.float32)
        if self._constant is not None:
            low, high = self._constant
            rounded = tf.quantization.fake_quant_with_min_max_args(values, low, high)
            return tf.cast(rounded, inputs.dtype)
        if training:  # also where weights are frozen: ranges are still to be known
            self.follow(values)
        low, high = tf.convert_to_tensor(self.low), tf.convert_to_tensor(self.high)
        rounded = tf.quantization.fake_quant_with_min_max_vars(values, low, tf.maximum(high, low + SMALLEST))
        return tf.cast(tf.where(high > low, rounded, values), inputs.dtype)

    def follow(self, values: Any) -> None:
        """Move the range towards that of `values`, float32; the first batch sets it."""
        import tensorflow as tf

        low = tf.minimum(tf.reduce_min(tf.stop_gradient(values)), 0.0)
        high = tf.maximum(tf.reduce_max(tf.stop_gradient(values)), 0.0)
        before_low, before_high = tf.convert_to_tensor(self.low), tf.convert_to_tensor(self.high)
        kept = tf.where(before_high > before_low, self.momentum, 0.0)
        self.low.assign(before_low * kept + low * (1 - kept))
        self.high.assign(before_high * kept + high * (1 - kept))

    def freeze(self, ends: tuple[float, float] | None = None) -> None:
        """Take `ends`, or the range as it is now, for good: TensorFlow's converter reads constants only."""
        if self.fixed is None:
            low, high = ends or (float(np.asarray(self.low)), float(np.asarray(self.high)))
            self._constant = (min(low, 0.0), max(high, SMALLEST))

    def compute_output_shape(self, shape: Any) -> Any:
        """That of the input."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "fixed": self.fixed, "momentum": self.momentum}


class _RoundedKernel:
    """For a layer whose `kernel` is rounded before it is used, unless `enabled` is False; the variable stays float32 in
    any policy.

    keep_zeros: weights that are zero, as pruning leaves them, get no gradient and stay zero.
    """

    enabled = True

    def __init__(self, *arguments: Any, keep_zeros: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.keep_zeros = keep_zeros

    def used_kernel(self, kernel: Any) -> Any:
        """The kernel that the layer computes with, float32."""
        import tensorflow as tf

        kernel = tf.convert_to_tensor(kernel)
        if self.keep_zeros:
            kernel = kernel * tf.stop_gradient(tf.cast(tf.not_equal(kernel, 0), kernel.dtype))
        return rounded_kernel(kernel) if self.enabled else kernel

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "keep_zeros": self.keep_zeros}  # type: ignore[misc]

    def add_weight(self, *arguments: Any, **options: Any) -> Any:
        if options.get("name") == "kernel":
            options["autocast"] = False
        return super().add_weight(*arguments, **options)  # type: ignore[misc]


@register
class QuantizedConv2D(_RoundedKernel, keras.layers.Conv2D):
    """Keras' convolution with a kernel of 8 bits for each output channel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Called by Keras with the kernel."""
        import tensorflow as tf

        return super().convolution_op(inputs, tf.cast(self.used_kernel(kernel), inputs.dtype))


@register
class QuantizedDense(_RoundedKernel, keras.layers.Dense):
    """Keras' fully connected layer with a kernel of 8 bits."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(B, inputs) → (B, units)."""
        import tensorflow as tf

        outputs = tf.matmul(inputs, tf.cast(self.used_kernel(self.kernel), inputs.dtype))
        return outputs if self.bias is None else tf.nn.bias_add(outputs, tf.cast(self.bias, outputs.dtype))


@register
class QuantizedRescaling(keras.layers.Rescaling):
    """Keras' `inputs * scale + offset` of pixels 0–255, rounded before, between and after as a file does it."""

    def call(self, inputs: Any) -> Any:
        """float32 (B, H, W, C) → the same."""
        import tensorflow as tf

        scale, offset = np.asarray(self.scale, np.float32), np.asarray(self.offset, np.float32)
        pixels = tf.cast(inputs, tf.float32)
        ends = np.stack([0 * scale, 255 * scale])
        scaled = _rounded(_rounded(pixels, np.array([0, 255])) * scale, ends)
        return tf.cast(_rounded(scaled + offset, ends + offset), self.compute_dtype)


def _rounded(values: Any, ends: np.ndarray) -> Any:
    import tensorflow as tf

    low, high = min(0.0, float(ends.min())), max(0.0, float(ends.max()))
    return tf.quantization.fake_quant_with_min_max_args(values, low, high)


@register
class QuantizedNorm(keras.layers.BatchNormalization):
    """Batch norm that follows no convolution and stays in the file as a product and a sum, each rounded."""

    def __init__(self, **options: Any) -> None:
        # In mixed precision Keras would lower scales and statistics to the dtype of the images.
        super().__init__(**{**options, "autocast": False})

    def build(self, shape: Any) -> None:
        """Keras' variables, and the range of the product."""
        super().build(shape)
        self.product = FakeQuantizer(dtype=self.dtype_policy, name="product")
        self.product.build(shape)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """(B, H, W, C) → the same. In training, where batch statistics rule, the product's range is followed only."""
        import tensorflow as tf

        factor = tf.convert_to_tensor(self.gamma) * tf.math.rsqrt(
            tf.convert_to_tensor(self.moving_variance) + self.epsilon
        )
        offset = tf.convert_to_tensor(self.beta) - tf.convert_to_tensor(self.moving_mean) * factor
        product = tf.cast(inputs, tf.float32) * factor
        if training:
            self.product.follow(product)
        if training and self.trainable:
            return super().call(inputs, training=training, mask=mask)
        return tf.cast(self.product(product) + offset, inputs.dtype)
