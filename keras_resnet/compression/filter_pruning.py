"""Filter pruning: a narrower network filled with the strongest filters of a wider one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.errors import WeightsError
from keras_resnet.models.layers import NORM_EPSILON
from keras_resnet.pretrained.load import assign_weights
from keras_resnet.pretrained.weights import Weights

if TYPE_CHECKING:
    import keras

_CONVOLUTION = re.compile(r"(stage\d+_unit\d+_conv)(\d+)")


def prune_filters(model: keras.Model, wide: Weights) -> str:
    """Fill `model`, whose units have fewer filters inside than those of `wide`, with the strongest filters.

    A filter's strength is the sum of its absolute weights (Li et al. 2017, section 3.1), scaled by its batch
    norm. The widths of the residuals stay. Returns "kept of the all", as in "24 of the 48". Raises WeightsError if
    the networks differ elsewhere.
    """
    layers = {name: list(values) for name, values in wide.layers.items()}
    kept = before = 0
    for convolution, norm, following in _find_inner_convolutions(model):
        if not {convolution.name, norm.name, following} <= set(layers):
            break  # another network: `assign_weights` raises
        kernel, count = layers[convolution.name][0], convolution.filters
        strengths = _filter_strengths(kernel, layers[norm.name])
        best = np.sort(np.argsort(-strengths, kind="stable")[:count])
        layers[convolution.name] = [kernel[..., best]]
        layers[norm.name] = [value[best] for value in layers[norm.name]]
        layers[following][0] = layers[following][0][:, :, best]
        kept, before = kept + count, before + kernel.shape[-1]
    if new := assign_weights(model, replace(wide, layers=layers), "of the wider network").new:
        raise WeightsError(f"the wider network has other heads than {model.name}: {new[0]} differs")
    return f"{kept:,} of the {before:,}"


def _find_inner_convolutions(model: keras.Model) -> Iterator[tuple[keras.Layer, keras.Layer, str]]:
    """Yield (convolution, the norm that follows it, the next convolution's name) inside every unit."""
    names = {layer.name for layer in model.layers}
    for layer in model.layers:
        match = _CONVOLUTION.fullmatch(layer.name)
        if match and (following := f"{match[1]}{int(match[2]) + 1}") in names:
            yield layer, layer._outbound_nodes[0].operation, following


def _filter_strengths(kernel: np.ndarray, norm: list[np.ndarray]) -> np.ndarray:
    gamma, _, _, variance = norm
    return np.asarray(np.abs(kernel).sum(axis=(0, 1, 2)) * np.abs(gamma) / np.sqrt(variance + NORM_EPSILON))
