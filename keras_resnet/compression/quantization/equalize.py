"""Cross-layer equalization, which gives channels similar ranges.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1.

Between a batch norm with a ReLU and the next convolution a channel may be divided by any positive number if the
convolution's weights for it are multiplied: the network computes the same. A channel that is far wider than its
neighbours takes their 8 bits away; divided, it does not.
"""

from __future__ import annotations

import keras
import numpy as np

from keras_resnet.compression.quantization.activation_ranges import channel_min_max

MIN_MAGNITUDE = 1e-6


def equalize(model: keras.Model, images: np.ndarray) -> list[str]:
    """Equalize `model` in place by the largest values of its channels on `images` (N, H, W, C).

    Returns the names of the convolutions that were scaled. The model's outputs stay what they were, up to rounding in
    float32.
    """
    pairs = [pair for layer in model.layers if (pair := _find_pair(layer))]
    if not pairs:
        return []
    extremes = channel_min_max(model, [relu.output for _, relu, _ in pairs], images)
    for (norm, _, convolution), min_max in zip(pairs, extremes, strict=True):
        _equalize_pair(norm, convolution, min_max[:, 1].max(axis=0))
    return [convolution.name for _, _, convolution in pairs]


def _equalize_pair(
    norm: keras.layers.BatchNormalization, convolution: keras.layers.Conv2D, channel_max: np.ndarray
) -> None:
    """Divide each channel of the norm so that its largest value and its largest weight in the convolution are equal."""
    kernel = np.asarray(convolution.kernel)
    weight_max = np.abs(kernel).max(axis=(0, 1, 3))
    dead = (channel_max < MIN_MAGNITUDE) | (weight_max < MIN_MAGNITUDE)
    factor = np.where(
        dead, 1.0, np.sqrt(np.maximum(channel_max, MIN_MAGNITUDE) / np.maximum(weight_max, MIN_MAGNITUDE))
    )
    # Only the proportions matter; the middle channel stays as it is.
    factor = np.where(dead, 1.0, factor / np.median(factor[~dead]) if (~dead).any() else 1.0)
    norm.gamma.assign(np.asarray(norm.gamma) / factor)
    norm.beta.assign(np.asarray(norm.beta) / factor)
    convolution.kernel.assign(kernel * factor[None, None, :, None])


def _find_pair(
    layer: keras.Layer,
) -> tuple[keras.layers.BatchNormalization, keras.layers.ReLU, keras.layers.Conv2D] | None:
    """Return (norm, relu, convolution) if `layer` is a norm after which nothing else sees the channels."""
    layers = keras.layers
    if not isinstance(layer, layers.BatchNormalization):
        return None
    relu = _get_only_consumer(layer)
    if not isinstance(relu, layers.ReLU):
        return None
    after = _get_only_consumer(relu)
    if isinstance(after, layers.ZeroPadding2D) and after.data_format == "channels_last":
        after = _get_only_consumer(after)
    if isinstance(after, layers.Conv2D) and after.groups == 1:
        return layer, relu, after
    return None


def _get_only_consumer(layer: keras.Operation) -> keras.Operation | None:
    consumers = [node.operation for node in layer._outbound_nodes]
    return consumers[0] if len(consumers) == 1 else None
