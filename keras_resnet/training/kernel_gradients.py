"""Convolutions in training whose gradient by the kernel is computed in another way than by TensorFlow.

oneDNN computes that gradient by kernels of its own, which on some processors take several times as long as a matrix
product, or as a convolution, of the same values. (Both are measured by benchmarks/own_layers.py.) The layers'
variables, names and results are those of Keras' layers, but for rounding: weights move between the two freely, and no
saved or exported model contains these.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    import tensorflow as tf

# Bytes of gradients that one convolution takes for its kernel, so that they stay in the processor's cache. Measured on
# an AMD EPYC with AVX2.
MAX_KERNEL_SIZE = 2 * 2**20

# Takes the inputs (B, H, W, C) of a convolution, the gradient of its outputs (B, h, w, F), the shape of its kernel
# (k, l, C, F) and its strides; returns the gradient of the kernel.
KernelGradient = Callable[["tf.Tensor", "tf.Tensor", tuple[int, ...], tuple[int, int]], "tf.Tensor"]


class KernelGradientConvolution(keras.layers.Conv2D):
    """Computes the gradient by its kernel as `choose_gradient` says, in `precision`.

    On CPUs, TensorFlow cannot differentiate the gradient of `differentiate_by_convolution` once more where the
    convolution has strides.
    """

    # The compute dtype in which another gradient is faster.
    precision: str

    def choose_gradient(self, images: int, kernel: tuple[int, ...]) -> KernelGradient | None:
        """Return what computes the gradient of a kernel of this shape, (k, l, C, F), for a batch of `images`; None for
        TensorFlow's own."""
        raise NotImplementedError

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Return the convolution (B, h, w, F) of `inputs` (B, H, W, C) and `kernel` (k, l, C, F)."""
        import tensorflow as tf

        is_plain = self.data_format == "channels_last" and self.groups == 1 and self.dilation_rate == (1, 1)
        is_other = not is_plain or self.compute_dtype != self.precision or not all(inputs.shape)
        gradient = None if is_other else self.choose_gradient(inputs.shape[0], tuple(kernel.shape))
        if gradient is None:
            return super().convolution_op(inputs, kernel)
        # A variable of Keras is none that tf.custom_gradient knows outside of a graph.
        return _convolve(inputs, tf.convert_to_tensor(kernel), self.strides, self.padding.upper(), gradient)


def differentiate_by_product(
    inputs: tf.Tensor, gradients: tf.Tensor, shape: tuple[int, ...], strides: tuple[int, int]
) -> tf.Tensor:
    """Return the gradient of the kernel of a 1 × 1 convolution as one matrix product: see `KernelGradient`."""
    import tensorflow as tf

    if strides != (1, 1):
        # The pixels that the convolution sees. As a slice with strides, it takes 10 to 30 times as long.
        inputs = tf.nn.avg_pool2d(inputs, 1, strides, "VALID")
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
