"""A quantized model made ready for TensorFlow's converter: ranges become constants, scales ones that LiteRT takes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_resnet.compression.quantization.layers import (
    SMALLEST_SHARE,
    FakeQuantizer,
    QuantizedDepthwiseConv2D,
    QuantizedNorm,
    RoundedKernel,
    kernel_ranges,
)
from keras_resnet.errors import UsageError

# A kernel whose weights would all have smaller steps than this is nothing: TensorFlow's converter makes 4e-9 of them,
# in which a bias no longer fits 32 bits.
SMALLEST_STEP = 1e-8
# XNNPACK takes a product of steps, or the step of a summand, up to 256 steps of the result. Half of that is safe.
LARGEST_RATIO = 128.0
STEPS = 255


def prepare_for_conversion(quantized: Any) -> Any:
    """`quantized` itself, ranges made constants, dead channels and branches given usable scales and biases told apart,
    as TensorFlow's converter wants them. Raises UsageError if it has seen no images, or no pixels."""
    require_seen(quantized)
    for layer in quantized.layers:
        if isinstance(layer, RoundedKernel):
            layer.keep_zeros = False  # which concerns gradients, and is in the converter's way
            norms = _norms_behind(layer)
            _end_dead_kernel(layer, norms)
            for norm in norms:
                _lift_dead_channels(layer, norm)
            _tell_biases_apart(layer)
    _freeze_ranges(quantized)
    return quantized


def require_seen(quantized: Any) -> None:
    """Raises UsageError if no range of `quantized` has moved yet."""
    moving = [each for each in quantizers_of(quantized) if each.fixed is None]
    if moving and not any(_width(each) > 0 for each in moving):
        raise UsageError(
            f"{quantized.name} has seen no images: train or calibrate it first, since the ranges of its results are"
            " those of the images that it was trained on"
        )


def quantizers_of(quantized: Any) -> list[FakeQuantizer]:
    """All ranges of a quantized model, in the order of its layers."""
    each = (layer.product if isinstance(layer, QuantizedNorm) else layer for layer in quantized.layers)
    return [quantizer for quantizer in each if isinstance(quantizer, FakeQuantizer)]


def _freeze_ranges(quantized: Any) -> None:
    """Make every range a constant. One that is empty, because all that came was zero, becomes the middle of the others;
    one that is too narrow for the steps of what its operation takes becomes wider."""
    moving = [each for each in quantizers_of(quantized) if each.fixed is None]
    alive = [width for each in moving if (width := _width(each)) > 0]
    for quantizer in moving:
        low, high = _ends(quantizer)
        if high <= low:
            high = float(np.median(alive))
        least = _least_step(quantizer) * STEPS
        if high - low < least:
            high = low + least
        quantizer.freeze((low, high))


def _ends(quantizer: Any) -> tuple[float, float]:
    return min(float(np.asarray(quantizer.low)), 0.0), max(float(np.asarray(quantizer.high)), 0.0)


def _width(quantizer: Any) -> float:
    low, high = _ends(quantizer)
    return high - low


def _least_step(quantizer: Any) -> float:
    """The smallest step of a result that XNNPACK takes, by the steps of what it is computed from: 0 where any is."""
    norm, layer = None, _before(quantizer)
    if isinstance(layer, keras.layers.ReLU | keras.layers.Activation | keras.layers.Dropout):
        layer = _before(layer)
    if isinstance(layer, keras.layers.BatchNormalization) and not isinstance(layer, QuantizedNorm):
        norm, layer = layer, _before(layer)
    if isinstance(layer, RoundedKernel):
        return _step_before(layer) * float(_folded_ranges(layer, norm).max()) / 127 / LARGEST_RATIO
    if isinstance(layer, keras.layers.Add | keras.layers.Subtract):
        return max(map(_step_of, _all_before(layer)), default=0.0) / LARGEST_RATIO
    return 0.0


def _folded_ranges(layer: Any, norm: Any) -> np.ndarray:
    """The largest absolute weight of each output, (outputs,), with the batch norm in it if there is one."""
    ranges = np.asarray(kernel_ranges(_by_output(layer)))
    return ranges * np.abs(_factor(norm)) if norm is not None else ranges


def _by_output(layer: Any) -> Any:
    """The kernel of a layer with its outputs last."""
    kernel = keras.ops.convert_to_tensor(layer.kernel)
    if isinstance(layer, QuantizedDepthwiseConv2D):
        return keras.ops.reshape(kernel, (*kernel.shape[:2], 1, -1))
    return kernel


def _factor(norm: Any) -> np.ndarray:
    """What a batch norm multiplies each channel by, (C,)."""
    scale = np.asarray(norm.gamma) if norm.scale else 1.0
    return np.asarray(scale / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon))


def _before(layer: Any) -> Any:
    """The layer before, or None where there are several or none."""
    before = _all_before(layer)
    return before[0] if len(before) == 1 else None


def _all_before(layer: Any) -> list[Any]:
    if layer is None:
        return []
    return [parent.operation for node in layer._inbound_nodes[:1] for parent in node.parent_nodes]


def _step_before(layer: Any) -> float:
    return max(map(_step_of, _all_before(layer)), default=0.0)


def _step_of(layer: Any) -> float:
    """The step in which a file holds the result of `layer`: of the range at it, or nearest before it."""
    while layer is not None and not isinstance(layer, FakeQuantizer):
        layer = _before(layer)
    if layer is None:
        return 0.0
    low, high = layer.constant or _ends(layer)
    return (high - low) / STEPS


def _norms_behind(layer: Any) -> list[Any]:
    """The batch norms that become a part of the layer's kernel, one for each of its calls."""
    following = [node.operation for node in layer._outbound_nodes]
    return [
        each
        for each in following
        if isinstance(each, keras.layers.BatchNormalization) and not isinstance(each, QuantizedNorm)
    ]


def _end_dead_kernel(layer: Any, norms: list[Any]) -> None:
    """Make a kernel that is nothing exactly zero, with its bias and what the norm made of both: any step is good for
    zeros."""
    folded = [_folded_ranges(layer, norm) for norm in norms] or [_folded_ranges(layer, None)]
    if max(float(each.max()) for each in folded) / 127 >= SMALLEST_STEP:
        return
    bias = np.asarray(layer.bias) if layer.use_bias else 0.0
    layer.kernel.assign(np.zeros(layer.kernel.shape, "float32"))
    for norm in norms:
        if not norm.scale:
            continue
        # A factor of 1, and the mean that gives what the bias and the former mean gave.
        norm.moving_mean.assign((np.asarray(norm.moving_mean) - bias) * _factor(norm))
        norm.gamma.assign(np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon))
    if norms and layer.use_bias:
        layer.bias.assign(np.zeros_like(bias))


def _lift_dead_channels(layer: Any, norm: Any) -> None:
    """Raise batch norm scales that are (almost) zero, under which the folded kernel of a channel has no range and the
    converter leaves the convolution in float, to what is still nothing beside the other channels."""
    if not norm.scale:
        return
    gamma, variance = (np.asarray(each) for each in (norm.gamma, norm.moving_variance))
    unit = np.asarray(kernel_ranges(_by_output(layer))) / np.sqrt(variance + norm.epsilon)
    least = SMALLEST_SHARE * np.max(np.abs(gamma) * unit) / unit
    norm.gamma.assign(np.where(np.abs(gamma) < least, np.where(gamma < 0, -least, least), gamma))


def _tell_biases_apart(layer: Any) -> None:
    """Change the last bit of one of several biases that are all the same: the converter keeps those as one number, and
    rounds it by the scale of the first channel for all."""
    if isinstance(layer, keras.layers.Dense) or not layer.use_bias:
        return
    bias = np.asarray(layer.bias)
    if len(bias) > 1 and (bias == bias[0]).all():
        layer.bias.assign(np.concatenate([np.nextafter(bias[:1], np.float32(np.inf)), bias[1:]]))
