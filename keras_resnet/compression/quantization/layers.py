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

from keras_resnet.errors import UsageError

PACKAGE = "keras_resnet"
MOMENTUM = 0.99
# The narrowest range, and the narrowest of a channel as a share of the widest one of its layer: below that a file's
# bias, which is counted in products of both scales, no longer fits 32 bits.
SMALLEST, SMALLEST_SHARE = 1e-8, 1e-4
# What TFLite prescribes for the outputs of LOGISTIC and SOFTMAX in 8 bits, steps of 1/256 from 0; and of TANH.
SIGMOID_RANGE = SOFTMAX_RANGE = (0.0, 255 / 256)
TANH_RANGE = (-1.0, 127 / 128)
PIXELS = (0.0, 255.0)
# The brightest of pixels 0–255 is above this.
SCALED = 2.0


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
    """The largest absolute weight, no gradient: of each output of a convolution, of a whole dense kernel. Any range is
    good for weights that are all zero; that of 1 has a usable scale."""
    import tensorflow as tf

    largest = tf.reduce_max(tf.abs(kernel), axis=(0, 1, 2) if len(kernel.shape) == 4 else None)
    whole = tf.reduce_max(largest)
    least = tf.where(whole > 0, tf.maximum(SMALLEST_SHARE * whole, SMALLEST), 1.0)
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
        self.constant = self.fixed

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
        if self.constant is not None:
            low, high = self.constant
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
            self.constant = (min(low, 0.0), max(high, SMALLEST))

    def compute_output_shape(self, shape: Any) -> Any:
        """That of the input."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "fixed": self.fixed, "momentum": self.momentum}


@register
class PixelQuantizer(FakeQuantizer):
    """Stands behind the input of a network that has no normalization of pixels 0–255 of its own. Pixels are whole
    numbers already: it changes nothing in training, and watches what comes, so that a file that is to take pixels is
    not made of a network that was trained on anything else."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """`inputs` as they are; once frozen, rounded to pixels."""
        import tensorflow as tf

        if self.constant is not None:
            return super().call(inputs, training=training)
        if training and self.enabled:
            self.follow(tf.cast(inputs, tf.float32))
        return inputs

    def freeze(self, ends: tuple[float, float] | None = None) -> None:
        """Take pixels from now on. Raises UsageError if something else came in training."""
        low, high = ends or (float(np.asarray(self.low)), float(np.asarray(self.high)))
        if low < PIXELS[0] or not SCALED < high <= PIXELS[1]:
            raise UsageError(
                f"a file takes pixels 0–255, and {self.name} saw values from {low:g} to {high:g} in training: put what"
                " was done to the images into the network, by a Rescaling layer at its input"
            )
        super().freeze(PIXELS)


class RoundedKernel:
    """For a layer whose `kernel` is rounded before it is used, unless `enabled` is False; the variable stays float32 in
    any policy.

    keep_zeros: weights that are zero, as pruning leaves them, get no gradient and stay zero.
    """

    enabled = True
    name: str

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
class QuantizedConv2D(RoundedKernel, keras.layers.Conv2D):
    """Keras' convolution with a kernel of 8 bits for each output channel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Called by Keras with the kernel."""
        import tensorflow as tf

        return super().convolution_op(inputs, tf.cast(self.used_kernel(kernel), inputs.dtype))


@register
class QuantizedDepthwiseConv2D(RoundedKernel, keras.layers.DepthwiseConv2D):
    """Keras' depthwise convolution with a kernel of 8 bits for each output channel."""

    def call(self, inputs: Any) -> Any:
        """(B, H, W, C) → (B, h, w, C × multiplier)."""
        import tensorflow as tf

        kernel = tf.convert_to_tensor(self.kernel)
        height, width, channels, multiplier = kernel.shape
        # An output is one channel through one of its filters: their order is that of the outputs.
        flat = self.used_kernel(tf.reshape(kernel, (height, width, 1, channels * multiplier)))
        outputs = keras.ops.depthwise_conv(
            inputs,
            tf.cast(tf.reshape(flat, kernel.shape), inputs.dtype),
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.cast(self.bias, outputs.dtype))
        return self.activation(outputs)


@register
class QuantizedDense(RoundedKernel, keras.layers.Dense):
    """Keras' fully connected layer with a kernel of 8 bits."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(B, …, inputs) → (B, …, units)."""
        import tensorflow as tf

        kernel = tf.cast(self.used_kernel(self.kernel), inputs.dtype)
        outputs = tf.matmul(inputs, kernel) if len(inputs.shape) == 2 else tf.tensordot(inputs, kernel, 1)
        if self.bias is not None:
            outputs = tf.nn.bias_add(outputs, tf.cast(self.bias, outputs.dtype))
        return self.activation(outputs)


class _WithConstant(keras.layers.Layer):
    """For what a file computes of a tensor and a constant, which it rounds to 256 steps as a whole.

    constant: a number, or nested lists of them that are broadcast against (B, …).
    """

    enabled = True

    def __init__(self, constant: Any, **options: Any) -> None:
        super().__init__(**options)
        self.constant = np.asarray(constant, np.float32)

    def used_constant(self, dtype: Any) -> Any:
        """The constant that the layer computes with."""
        import tensorflow as tf

        values = tf.convert_to_tensor(self.constant)
        # One number is the end of its range, and exact.
        rounds = self.enabled and self.constant.size > 1 and self.constant.any()
        return tf.cast(_rounded(values, self.constant) if rounds else values, dtype)

    def compute_output_shape(self, shape: Any) -> Any:
        """That of the input."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "constant": self.constant.tolist()}


@register
class ConstantProduct(_WithConstant):
    """`inputs * constant`."""

    def call(self, inputs: Any) -> Any:
        """(B, …) → the same, in the layer's compute dtype."""
        import tensorflow as tf

        return tf.cast(inputs, self.compute_dtype) * self.used_constant(self.compute_dtype)


@register
class ConstantSum(_WithConstant):
    """`inputs + constant`."""

    def call(self, inputs: Any) -> Any:
        """(B, …) → the same, in the layer's compute dtype."""
        import tensorflow as tf

        return tf.cast(inputs, self.compute_dtype) + self.used_constant(self.compute_dtype)


@register
class HardSwish(keras.layers.Layer):
    """`x * relu6(x + 3) / 6`, written as TensorFlow's converter knows it: one operator of the file."""

    def call(self, inputs: Any) -> Any:
        """(B, …) → the same."""
        import tensorflow as tf

        return inputs * (tf.nn.relu6(inputs + tf.constant(3.0, inputs.dtype)) * tf.constant(1 / 6, inputs.dtype))

    def compute_output_shape(self, shape: Any) -> Any:
        """That of the input."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes; Keras asks for it where the precision is a policy of its own."""
        return super().get_config()  # type: ignore[no-any-return]


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

        factor, offset = self._factor_and_offset(len(inputs.shape))
        product = tf.cast(inputs, tf.float32) * factor
        if training:
            self.product.follow(product)
        if training and self.trainable:
            return super().call(inputs, training=training, mask=mask)
        return tf.cast(self.product(product) + offset, inputs.dtype)

    def _factor_and_offset(self, rank: int) -> tuple[Any, Any]:
        """What inputs of `rank` axes are multiplied by, and what is added then."""
        import tensorflow as tf

        factor = tf.math.rsqrt(tf.convert_to_tensor(self.moving_variance) + self.epsilon)
        if self.scale:
            factor = tf.convert_to_tensor(self.gamma) * factor
        offset = tf.convert_to_tensor(self.moving_mean) * factor
        offset = tf.convert_to_tensor(self.beta) - offset if self.center else -offset
        if self.axis in (-1, rank - 1):
            return factor, offset
        shape = [1] * rank
        shape[self.axis] = -1
        return tf.reshape(factor, shape), tf.reshape(offset, shape)
