"""Layers that train faster than Keras' own on processors with AVX2 but without AVX-512.

There, oneDNN computes the gradient of a convolution by its kernel at half the speed of the convolution itself, and
batch norm of images takes it twice as long as batch norm of the same pixels as images of 1 × 1. (Both are measured by
benchmarks/own_layers.py.) These layers ask it for the same values in another way; see kernel_gradients.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from keras_resnet.training.fused_batch_norm import FusedBatchNormalization
from keras_resnet.training.kernel_gradients import (
    KernelGradient,
    KernelGradientConvolution,
    differentiate_by_convolution,
    differentiate_by_product,
)

if TYPE_CHECKING:
    import tensorflow as tf

# All measured on an AMD EPYC with AVX2, with two threads.
# With fewer, oneDNN's own gradient of a convolution larger than 1 × 1 is the faster one.
MIN_CHANNELS, MIN_IMAGES = 64, 8
# Weights of a 1 × 1 convolution from which on its gradient is faster as a matrix product.
MIN_MATRIX_SIZE = 512 * 1024


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


class FastConvolution(KernelGradientConvolution):
    """Computes the gradient by its kernel as convolutions, or as a matrix product, where that is faster."""

    computes_as = keras.layers.Conv2D
    precision = "float32"

    def choose_gradient(self, images: int, kernel: tuple[int, ...]) -> KernelGradient | None:
        """Return a product for large kernels of 1 × 1, and convolutions for others of many channels."""
        height, width, channels, filters = kernel
        if height == width == 1:
            return differentiate_by_product if channels * filters >= MIN_MATRIX_SIZE else None
        is_large = min(channels, filters) >= MIN_CHANNELS and images >= MIN_IMAGES
        return differentiate_by_convolution if is_large else None


def _reshape_like(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Return `values` in the shape of `like`, as far as that is known in advance."""
    import tensorflow as tf

    return tf.reshape(values, like.shape if like.shape.is_fully_defined() else tf.shape(like))
