"""Ranges made alike over channels: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction", section 4.1.

Between a batch norm with a ReLU and the next convolution a channel may be divided by any positive number if the
convolution's weights for it are multiplied: the network computes the same. A channel that is far wider than its
neighbours takes their 8 bits away; divided, it does not.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_resnet.compression.quantization.activation_ranges import channel_min_max

SMALLEST = 1e-6


def equalize(model: Any, images: np.ndarray) -> list[str]:
    """Equalize `model` in place by what its channels reach on `images` (N, H, W, 3); returns the convolutions that were
    scaled. Its outputs stay what they were, up to rounding in float32."""
    pairs = [pair for layer in model.layers if (pair := _pair(layer))]
    if not pairs:
        return []
    seen = channel_min_max(model, [relu.output for _, relu, _ in pairs], images)
    for (norm, _, convolution), ends in zip(pairs, seen, strict=True):
        _scale(norm, convolution, ends[:, 1].max(axis=0))
    return [convolution.name for _, _, convolution in pairs]


def _scale(norm: Any, convolution: Any, reached: np.ndarray) -> None:
    """Divide each channel of the norm so that what it reaches and what it weighs in the convolution are alike."""
    kernel = np.asarray(convolution.kernel)
    weighs = np.abs(kernel).max(axis=(0, 1, 3))
    dead = (reached < SMALLEST) | (weighs < SMALLEST)
    factor = np.where(dead, 1.0, np.sqrt(np.maximum(reached, SMALLEST) / np.maximum(weighs, SMALLEST)))
    # Only the proportions matter; the middle channel stays as it is.
    factor = np.where(dead, 1.0, factor / np.median(factor[~dead]) if (~dead).any() else 1.0)
    norm.gamma.assign(np.asarray(norm.gamma) / factor)
    norm.beta.assign(np.asarray(norm.beta) / factor)
    convolution.kernel.assign(kernel * factor[None, None, :, None])


def _pair(layer: Any) -> tuple[Any, Any, Any] | None:
    """(norm, relu, convolution) where `layer` is a norm after which nothing else sees the channels."""
    layers = keras.layers
    if not isinstance(layer, layers.BatchNormalization):
        return None
    relu = _only_follower(layer)
    if not isinstance(relu, layers.ReLU):
        return None
    after = _only_follower(relu)
    if isinstance(after, layers.ZeroPadding2D) and after.data_format == "channels_last":
        after = _only_follower(after)
    if isinstance(after, layers.Conv2D) and after.groups == 1:
        return layer, relu, after
    return None


def _only_follower(layer: Any) -> Any:
    following = [node.operation for node in layer._outbound_nodes]
    return following[0] if len(following) == 1 else None
