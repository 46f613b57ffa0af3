"""Layers that train faster than Keras' own on processors with AVX2 but without AVX-512.

There, oneDNN computes the gradient of a convolution by its kernel at half the speed of the convolution itself, and
batch norm of images takes it twice as long as batch norm of the same pixels as images of 1 × 1. (Both are measured by
benchmarks/avx2_layers.py.) These layers ask it for the same values in another way. Their variables and names are those
of Keras' layers, and so are their results, but for rounding: weights move between the two freely, and no saved or
exported model contains these.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import keras

from keras_resnet.training.fused_batch_norm import FusedBatchNormalization

if TYPE_CHECKING:
    import tensorflow as tf

# All measured on an AMD EPYC with AVX2, with two threads.
# With fewer, oneDNN's own gradient of a convolution larger than 1 × 1 is the faster one.
MIN_CHANNELS, MIN_IMAGES = 64, 8
# Weights of a 1 × 1 convolution from which on its gradient is faster as a matrix product.
MIN_MATRIX_SIZE = 512 * 1024
# Bytes of gradients that one convolution takes for its kernel, so that they stay in the processor's cache.
MAX_KERNEL_SIZE = 2 * 2**20

# Takes the inputs (B, H, W, C) of a convolution, the gradient of its outputs (B, h, w, F), the shape of its kernel
# (k, l, C, F) and its strides; returns the gradient of the kernel.
KernelGradient = Callable[["tf.Tensor", "tf.Tensor", tuple[int, ...], tuple[int, int]], "tf.Tensor"]


class FastBatchNormalization(FusedBatchNormalization):
    """Normalizes pixels as if each were an image, for which oneDNN takes half as long."""

    computes_as = keras.layers.BatchNormalization

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Return normalized (B, H, W, C) in the layer's compute dtype. Training updates the moving statistics."""
        import tensorflow as tf

        pixels = tf.reshape(inputs, (-1, 1, 1, inputs.shape[-1]))
        return _reshape_like(super().call(pixels, training=training, mask=mask), inputs)


class FastReLU(keras.layers.ReLU):
    """Rectifies what a `FastBatchNormalization` returns before it gets the shape of images again. TensorFlow computes
    both in one kernel where nothing lies between them."""

    computes_as = keras.layers.ReLU

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return each value of `inputs` or 0, whichever is larger, in their shape."""
        import tensorflow as tf

        if tf.is_symbolic_tensor(inputs) and inputs.op.type == "Reshape":
            return _reshape_like(super().call(inputs.op.inputs[0]), inputs)
        return super().call(inputs)


class FastConvolution(keras.layers.Conv2D):
    """Computes the gradient by its kernel in another way than TensorFlow, where that is faster.

    On CPUs, TensorFlow cannot differentiate that gradient once more where the convolution has strides.
    """

    computes_as = keras.layers.Conv2D

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Return the convolution (B, h, w, F) of `inputs` (B, H, W, C) and `kernel` (k, l, C, F)."""
        import tensorflow as tf

        gradient = self._choose_gradient(inputs, kernel)
        if gradient is None:
            return super().convolution_op(inputs, kernel)
        # A variable of Keras is none that tf.custom_gradient knows outside of a graph.
        return _convolve(inputs, tf.convert_to_tensor(kernel), self.strides, self.padding.upper(), gradient)

    def _choose_gradient(self, inputs: tf.Tensor, kernel: tf.Tensor) -> KernelGradient | None:
        height, width, channels, filters = kernel.shape
        is_plain = self.data_format == "channels_last" and self.groups == 1 and self.dilation_rate == (1, 1)
        if not is_plain or self.compute_dtype != "float32" or not all(inputs.shape):
            return None
        if height == width == 1:
            return differentiate_by_product if channels * filters >= MIN_MATRIX_SIZE else None
        if min(channels, filters) >= MIN_CHANNELS and inputs.shape[0] >= MIN_IMAGES:
            return differentiate_by_convolution
        return None


def differentiate_by_product(
    inputs: tf.Tensor, gradients: tf.Tensor, shape: tuple[int, ...], strides: tuple[int, int]
) -> tf.Tensor:
    """Return the gradient of the kernel of a 1 × 1 convolution as one matrix product: see `KernelGradient`."""
    import tensorflow as tf

    if strides != (1, 1):
        inputs = inputs[:, :: strides[0], :: strides[1]]
    columns = tf.reshape(inputs, (-1, shape[2]))
    return tf.reshape(tf.matmul(columns, tf.reshape(gradients, (-1, shape[3])), transpose_a=True), shape)


def differentiate_by_convolution(
    inputs: tf.Tensor, gradients: tf.Tensor, shape: tuple[int, ...], strides: tuple[int, int]
) -> tf.Tensor:
    """Return the gradient of the kernel of a convolution as a sum of convolutions: see `KernelGradient`.

    At each position of the kernel, it sums products of inputs and gradients over images, rows and columns. That is a
    convolution of the inputs by the gradients in which images and channels have changed places, with the strides as
    dilations. Each convolution takes some of the rows.
    """
    import tensorflow as tf

    rows, columns = gradients.shape[1:3]
    top, _ = _find_padding(inputs.shape[1], rows, shape[0], strides[0])
    left, right = _find_padding(inputs.shape[2], columns, shape[1], strides[1])
    width = (columns - 1) * strides[1] + shape[1] - left - right
    images = tf.transpose(inputs[:, :, :width], (3, 1, 2, 0))
    kernel = tf.transpose(gradients, (1, 2, 0, 3))
    parts = min(rows, -(-kernel.shape.num_elements() * kernel.dtype.size // MAX_KERNEL_SIZE))
    sums = []
    for first, end in pairwise(rows * part // parts for part in range(parts + 1)):
        start, stop = first * strides[0] - top, (end - 1) * strides[0] + shape[0] - top
        below = max(stop - images.shape[1], 0)
        sums.append(
            tf.nn.conv2d(
                images[:, max(start, 0) : stop],
                kernel[first:end],
                strides=1,
                padding=[[0, 0], [max(-start, 0), below], [left, right], [0, 0]],
                dilations=strides,
            )
        )
    return tf.transpose(tf.add_n(sums), (1, 2, 0, 3))


def _find_padding(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return how many zeros a convolution of `inputs` positions to `outputs` adds before and behind them."""
    zeros = max((outputs - 1) * stride + kernel - inputs, 0)
    return zeros // 2, zeros - zeros // 2


def _convolve(
    inputs: tf.Tensor, kernel: tf.Tensor, strides: tuple[int, int], padding: str, differentiate: KernelGradient
) -> tf.Tensor:
    """Return TensorFlow's convolution, with `differentiate` for the gradient of `kernel`."""
    import tensorflow as tf

    steps = [1, *strides, 1]

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        def backward(gradients: tf.Tensor) -> list[tf.Tensor]:
            with tf.name_scope("gradient_by_inputs"):
                by_inputs = tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=inputs.shape, filter=kernel, out_backprop=gradients, strides=steps, padding=padding
                )
            with tf.name_scope("gradient_by_kernel"):
                return [by_inputs, differentiate(inputs, gradients, tuple(kernel.shape), strides)]

        return tf.nn.conv2d(inputs, kernel, steps, padding), backward

    return run(inputs, kernel)


def _reshape_like(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Return `values` in the shape of `like`, as far as that is known in advance."""
    import tensorflow as tf

    return tf.reshape(values, like.shape if like.shape.is_fully_defined() else tf.shape(like))
