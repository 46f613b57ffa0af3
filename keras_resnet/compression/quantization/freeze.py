"""Prepares a quantized model for TensorFlow's converter: ranges become constants, with scales that LiteRT accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer
from keras_resnet.compression.quantization.layers import (
    MIN_RANGE_SHARE,
    QuantizedDepthwiseConv2D,
    QuantizedNorm,
    RoundedKernel,
    kernel_ranges,
)
from keras_resnet.errors import UsageError

if TYPE_CHECKING:
    import tensorflow as tf

# A kernel whose scales would all be smaller than this counts as zero: TensorFlow's converter makes 4e-9 of them, in
# which a bias no longer fits 32 bits.
MIN_KERNEL_SCALE = 1e-8
# XNNPACK accepts a product of scales, or the scale of a summand, up to 256 times the result's. Half of that is safe.
MAX_SCALE_RATIO = 128.0
# Steps between the 256 values of 8 bits, and of a symmetric range's positive half.
INTERVALS, POSITIVE_INTERVALS = 255, 127


def prepare_for_conversion(quantized: keras.Model) -> keras.Model:
    """Change `quantized` into what TensorFlow's converter wants, and return it.

    Ranges become constants, dead channels and branches get usable scales, and equal biases become different. Raises
    UsageError if it has seen no images, or no pixels.
    """
    require_trained_ranges(quantized)
    for layer in quantized.layers:
        if isinstance(layer, RoundedKernel):
            layer.keep_zeros = False  # only gradients need it, and the converter cannot handle it
            norms = _find_folded_norms(layer)
            _zero_dead_kernel(layer, norms)
            for norm in norms:
                _raise_dead_channels(layer, norm)
            _make_biases_differ(layer)
    _freeze_ranges(quantized)
    return quantized


def require_trained_ranges(quantized: keras.Model) -> None:
    """Raise UsageError if no range of `quantized` has moved yet."""
    moving = [each for each in get_quantizers(quantized) if each.fixed is None]
    if moving and not any(_width(each) > 0 for each in moving):
        raise UsageError(
            f"{quantized.name} has seen no images: train or calibrate it first, since the ranges of its results are"
            " those of the images that it was trained on"
        )


def get_quantizers(quantized: keras.Model) -> list[FakeQuantizer]:
    """Return all quantizers of a quantized model, in the order of its layers."""
    each = (layer.product if isinstance(layer, QuantizedNorm) else layer for layer in quantized.layers)
    return [quantizer for quantizer in each if isinstance(quantizer, FakeQuantizer)]


def _freeze_ranges(quantized: keras.Model) -> None:
    """Make every range a constant. An empty one, which saw nothing but zeros, becomes the median of the others; one
    that is too narrow for the scales of its operation's inputs becomes wider."""
    moving = [each for each in get_quantizers(quantized) if each.fixed is None]
    widths = [width for each in moving if (width := _width(each)) > 0]
    for quantizer in moving:
        low, high = _get_range(quantizer)
        if high <= low:
            high = float(np.median(widths))
        min_width = _min_scale(quantizer) * INTERVALS
        if high - low < min_width:
            high = low + min_width
        quantizer.freeze((low, high))


def _get_range(quantizer: FakeQuantizer) -> tuple[float, float]:
    return min(float(np.asarray(quantizer.low)), 0.0), max(float(np.asarray(quantizer.high)), 0.0)


def _width(quantizer: FakeQuantizer) -> float:
    low, high = _get_range(quantizer)
    return high - low


def _min_scale(quantizer: FakeQuantizer) -> float:
    """Return the smallest scale of a result that XNNPACK accepts, given the scales of its inputs: 0 if any is."""
    norm, layer = None, _get_input_layer(quantizer)
    if isinstance(layer, keras.layers.ReLU | keras.layers.Activation | keras.layers.Dropout):
        layer = _get_input_layer(layer)
    if isinstance(layer, keras.layers.BatchNormalization) and not isinstance(layer, QuantizedNorm):
        norm, layer = layer, _get_input_layer(layer)
    if isinstance(layer, RoundedKernel):
        kernel_scale = float(_folded_ranges(layer, norm).max()) / POSITIVE_INTERVALS
        return _input_scale(layer) * kernel_scale / MAX_SCALE_RATIO
    if isinstance(layer, keras.layers.Add | keras.layers.Subtract):
        return _input_scale(layer) / MAX_SCALE_RATIO
    return 0.0


def _folded_ranges(layer: RoundedKernel, norm: keras.layers.BatchNormalization | None) -> np.ndarray:
    """Return the largest absolute weight of each output, (outputs,), with the batch norm folded in if there is one."""
    ranges = np.asarray(kernel_ranges(_kernel_by_output(layer)))
    return ranges * np.abs(_norm_factor(norm)) if norm is not None else ranges


def _kernel_by_output(layer: RoundedKernel) -> tf.Tensor:
    """Return the kernel of a layer with its outputs last."""
    kernel = keras.ops.convert_to_tensor(layer.kernel)
    if isinstance(layer, QuantizedDepthwiseConv2D):
        return keras.ops.reshape(kernel, (*kernel.shape[:2], 1, -1))
    return kernel


def _norm_factor(norm: keras.layers.BatchNormalization) -> np.ndarray:
    """Return what a batch norm multiplies each channel by, (C,)."""
    scale = np.asarray(norm.gamma) if norm.scale else 1.0
    return np.asarray(scale / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon))


def _get_input_layer(layer: keras.Operation | None) -> keras.Operation | None:
    """Return the layer before, or None if there are several or none."""
    inputs = _get_input_layers(layer)
    return inputs[0] if len(inputs) == 1 else None


def _get_input_layers(layer: keras.Operation | None) -> list[keras.Operation]:
    if layer is None:
        return []
    return [parent.operation for node in layer._inbound_nodes[:1] for parent in node.parent_nodes]


def _input_scale(layer: keras.Operation) -> float:
    """Return the largest scale of a layer's inputs."""
    return max(map(_result_scale, _get_input_layers(layer)), default=0.0)


def _result_scale(layer: keras.Operation | None) -> float:
    """Return the scale of the result of `layer` in a file: of its range, or of the nearest before it."""
    while layer is not None and not isinstance(layer, FakeQuantizer):
        layer = _get_input_layer(layer)
    if layer is None:
        return 0.0
    low, high = layer.constant or _get_range(layer)
    return (high - low) / INTERVALS


def _find_folded_norms(layer: RoundedKernel) -> list[keras.layers.BatchNormalization]:
    """Return the batch norms that are folded into the layer's kernel, one for each of its calls."""
    following = [node.operation for node in layer._outbound_nodes]
    return [
        each
        for each in following
        if isinstance(each, keras.layers.BatchNormalization) and not isinstance(each, QuantizedNorm)
    ]


def _zero_dead_kernel(layer: RoundedKernel, norms: list[keras.layers.BatchNormalization]) -> None:
    """Make a kernel that counts as zero exactly zero, with its bias and what the norm made of both: any scale is good
    for zeros."""
    folded = [_folded_ranges(layer, norm) for norm in norms] or [_folded_ranges(layer, None)]
    if max(float(each.max()) for each in folded) / POSITIVE_INTERVALS >= MIN_KERNEL_SCALE:
        return
    bias = np.asarray(layer.bias) if layer.use_bias else 0.0
    layer.kernel.assign(np.zeros(layer.kernel.shape, "float32"))
    for norm in norms:
        if not norm.scale:
            continue
        # A factor of 1, and the mean that gives what the bias and the former mean gave.
        norm.moving_mean.assign((np.asarray(norm.moving_mean) - bias) * _norm_factor(norm))
        norm.gamma.assign(np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon))
    if norms and layer.use_bias:
        layer.bias.assign(np.zeros_like(bias))


def _raise_dead_channels(layer: RoundedKernel, norm: keras.layers.BatchNormalization) -> None:
    """Raise batch norm scales that are (almost) zero, under which the folded kernel of a channel has no range and the
    converter leaves the convolution in float, to what is still negligible beside the other channels."""
    if not norm.scale:
        return
    gamma, variance = (np.asarray(each) for each in (norm.gamma, norm.moving_variance))
    unit = np.asarray(kernel_ranges(_kernel_by_output(layer))) / np.sqrt(variance + norm.epsilon)
    least = MIN_RANGE_SHARE * np.max(np.abs(gamma) * unit) / unit
    norm.gamma.assign(np.where(np.abs(gamma) < least, np.where(gamma < 0, -least, least), gamma))


def _make_biases_differ(layer: RoundedKernel) -> None:
    """Change the last bit of one of several biases that are all the same: the converter keeps those as one number, and
    rounds it by the scale of the first channel for all."""
    if isinstance(layer, keras.layers.Dense) or not layer.use_bias:
        return
    bias = np.asarray(layer.bias)
    if len(bias) > 1 and (bias == bias[0]).all():
        layer.bias.assign(np.concatenate([np.nextafter(bias[:1], np.float32(np.inf)), bias[1:]]))
