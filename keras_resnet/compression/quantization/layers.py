"""Layers that compute in training what an 8-bit file will compute: Jacob et al. 2018, "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference".

Weights of convolutions are rounded per output channel, symmetrically, in 255 steps. Gradients pass straight through
where nothing was clipped. Batch norm between a convolution and its activation multiplies each output channel by a
number: rounding per channel commutes with that, so that the file's folded weights are these, and nothing else has to be
folded in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_resnet.compression.quantization.fake_quantize import fake_quantize
from keras_resnet.compression.quantization.fake_quantizers import MIN_RANGE, FakeQuantizer, register

if TYPE_CHECKING:
    import tensorflow as tf

Shape = tuple[int | None, ...]
# The narrowest range of a channel as a share of the widest one of its layer: below that a file's bias, whose scale is
# the product of both scales, no longer fits 32 bits.
MIN_RANGE_SHARE = 1e-4


def round_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """Round float32 (height, width, inputs, outputs) to 8 bits for each output; (inputs, outputs) as a whole: the
    converter transposes the latter and cannot follow a scale for each output."""
    largest = kernel_ranges(kernel)
    return fake_quantize(kernel, -largest, largest, narrow_range=True)


def kernel_ranges(kernel: tf.Tensor) -> tf.Tensor:
    """Return the largest absolute weight, without a gradient: of each output of a convolution, of a whole dense kernel.
    Any range is good for weights that are all zero; that of 1 has a usable scale."""
    import tensorflow as tf

    largest = tf.reduce_max(tf.abs(kernel), axis=(0, 1, 2) if len(kernel.shape) == 4 else None)
    whole = tf.reduce_max(largest)
    least = tf.where(whole > 0, tf.maximum(MIN_RANGE_SHARE * whole, MIN_RANGE), 1.0)
    return tf.stop_gradient(tf.maximum(largest, least))


class RoundedKernel:
    """For a layer whose `kernel` is rounded before it is used, unless `enabled` is False; the variable stays float32 in
    any policy.

    keep_zeros: weights that are zero, as pruning leaves them, get no gradient and stay zero.
    """

    enabled = True
    # Those of the layer.
    name: str
    kernel: keras.Variable
    bias: keras.Variable
    use_bias: bool
    _outbound_nodes: list[Any]

    def __init__(self, *arguments: Any, keep_zeros: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.keep_zeros = keep_zeros

    def quantize_kernel(self, kernel: keras.Variable | tf.Tensor) -> tf.Tensor:
        """Return the kernel that the layer computes with, float32."""
        import tensorflow as tf

        kernel = tf.convert_to_tensor(kernel)
        if self.keep_zeros:
            kernel = kernel * tf.stop_gradient(tf.cast(tf.not_equal(kernel, 0), kernel.dtype))
        return round_kernel(kernel) if self.enabled else kernel

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "keep_zeros": self.keep_zeros}  # type: ignore[misc]

    def add_weight(self, *arguments: Any, **options: Any) -> Any:
        if options.get("name") == "kernel":
            options["autocast"] = False
        return super().add_weight(*arguments, **options)  # type: ignore[misc]


@register
class QuantizedConv2D(RoundedKernel, keras.layers.Conv2D):
    """Keras' convolution with a kernel of 8 bits for each output channel."""

    def convolution_op(self, inputs: tf.Tensor, kernel: keras.Variable) -> tf.Tensor:
        """Convolve with the rounded kernel; Keras calls this."""
        import tensorflow as tf

        return super().convolution_op(inputs, tf.cast(self.quantize_kernel(kernel), inputs.dtype))


@register
class QuantizedDepthwiseConv2D(RoundedKernel, keras.layers.DepthwiseConv2D):
    """Keras' depthwise convolution with a kernel of 8 bits for each output channel."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve (B, H, W, C) to (B, h, w, C × multiplier) with the rounded kernel."""
        import tensorflow as tf

        kernel = tf.convert_to_tensor(self.kernel)
        height, width, channels, multiplier = kernel.shape
        # An output is one channel through one of its filters: their order is that of the outputs.
        flat = self.quantize_kernel(tf.reshape(kernel, (height, width, 1, channels * multiplier)))
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

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Map (B, …, inputs) to (B, …, units) with the rounded kernel."""
        import tensorflow as tf

        kernel = tf.cast(self.quantize_kernel(self.kernel), inputs.dtype)
        outputs = tf.matmul(inputs, kernel) if len(inputs.shape) == 2 else tf.tensordot(inputs, kernel, 1)
        if self.bias is not None:
            outputs = tf.nn.bias_add(outputs, tf.cast(self.bias, outputs.dtype))
        return self.activation(outputs)


class _ConstantOperation(keras.layers.Layer):
    """For what a file computes of a tensor and a constant, which it rounds to 256 steps as a whole.

    constant: a number, or nested lists of them that are broadcast against (B, …).
    """

    enabled = True

    def __init__(self, constant: Any, **options: Any) -> None:
        super().__init__(**options)
        self.constant = np.asarray(constant, np.float32)

    def quantize_constant(self, dtype: str) -> tf.Tensor:
        """Return the constant that the layer computes with."""
        import tensorflow as tf

        values = tf.convert_to_tensor(self.constant)
        # One number is the end of its range, and exact.
        is_rounded = self.enabled and self.constant.size > 1 and self.constant.any()
        return tf.cast(_fake_quantize(values, self.constant) if is_rounded else values, dtype)

    def compute_output_shape(self, shape: Shape) -> Shape:
        """Return that of the input."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "constant": self.constant.tolist()}


@register
class ConstantProduct(_ConstantOperation):
    """`inputs * constant`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the product, of the shape of `inputs` (B, …), in the layer's compute dtype."""
        import tensorflow as tf

        return tf.cast(inputs, self.compute_dtype) * self.quantize_constant(self.compute_dtype)


@register
class ConstantSum(_ConstantOperation):
    """`inputs + constant`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the sum, of the shape of `inputs` (B, …), in the layer's compute dtype."""
        import tensorflow as tf

        return tf.cast(inputs, self.compute_dtype) + self.quantize_constant(self.compute_dtype)


@register
class HardSwish(keras.layers.Layer):
    """`x * relu6(x + 3) / 6`, written as TensorFlow's converter knows it: one operator of the file."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the activation, of the shape of `inputs` (B, …)."""
        import tensorflow as tf

        return inputs * (tf.nn.relu6(inputs + tf.constant(3.0, inputs.dtype)) * tf.constant(1 / 6, inputs.dtype))

    def compute_output_shape(self, shape: Shape) -> Shape:
        """Return that of the input."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; Keras asks for it where the precision is a policy of its own."""
        return super().get_config()  # type: ignore[no-any-return]


@register
class QuantizedRescaling(keras.layers.Rescaling):
    """Keras' `inputs * scale + offset` of pixels 0–255, rounded before, between and after as a file does it."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Rescale pixels, float32 (B, H, W, C)."""
        import tensorflow as tf

        scale, offset = np.asarray(self.scale, np.float32), np.asarray(self.offset, np.float32)
        pixels = tf.cast(inputs, tf.float32)
        ends = np.stack([0 * scale, 255 * scale])
        scaled = _fake_quantize(_fake_quantize(pixels, np.array([0, 255])) * scale, ends)
        return tf.cast(_fake_quantize(scaled + offset, ends + offset), self.compute_dtype)


def _fake_quantize(values: tf.Tensor, ends: np.ndarray) -> tf.Tensor:
    """Return `values` rounded to 256 steps over the range of `ends` and 0."""
    import tensorflow as tf

    low, high = min(0.0, float(ends.min())), max(0.0, float(ends.max()))
    return tf.quantization.fake_quant_with_min_max_args(values, low, high)


@register
class QuantizedNorm(keras.layers.BatchNormalization):
    """Batch norm that follows no convolution and stays in the file as a product and a sum, each rounded."""

    def __init__(self, **options: Any) -> None:
        # In mixed precision Keras would lower scales and statistics to the dtype of the images.
        super().__init__(**{**options, "autocast": False})

    def build(self, shape: Shape) -> None:
        """Create Keras' variables, and the range of the product."""
        super().build(shape)
        self.product = FakeQuantizer(dtype=self.dtype_policy, name="product")
        self.product.build(shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Normalize (B, H, W, C). Training, which uses batch statistics, only updates the product's range."""
        import tensorflow as tf

        factor, offset = self._factor_and_offset(len(inputs.shape))
        product = tf.cast(inputs, tf.float32) * factor
        if training:
            self.product.update_range(product)
        if training and self.trainable:
            return super().call(inputs, training=training, mask=mask)
        return tf.cast(self.product(product) + offset, inputs.dtype)

    def _factor_and_offset(self, rank: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Return what inputs of `rank` axes are multiplied by, and what is added then."""
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
