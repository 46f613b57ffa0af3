"""Compute the feature maps of a Keras network, and the gradients of a score by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.explanation.feature_maps import read_feature_maps
from keras_resnet.models.layers import deep_graphs
from keras_resnet.runtime.predictions import name_outputs

if TYPE_CHECKING:
    import keras

# The score of one image: the name of an output, and its place there.
Score = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Gradients:
    """Of each layer that was asked for, by its name: its feature maps (B, h, w, C), and the gradients of each image's
    score by them, both float32. Of a layer that has no way to the score the gradients are 0."""

    features: dict[str, np.ndarray]
    gradients: dict[str, np.ndarray]


def build_inner_model(model: keras.Model, layers: Sequence[str]) -> keras.Model:
    """Return a model of images → (the feature maps of `layers`, the outputs of `model`), with the layers of `model`."""
    import keras

    from keras_resnet.compression.quantization.graph_reader import get_functional

    maps, functional = read_feature_maps(model), get_functional(model)
    with deep_graphs():
        return keras.Model(functional.inputs, [[maps[name] for name in layers], functional.output])


def compute_gradients(
    inner: keras.Model,
    layers: Sequence[str],
    images: np.ndarray,
    choose: Callable[[list[dict[str, np.ndarray]]], list[Score]],
) -> Gradients:
    """Run a model of `build_inner_model` on images (B, H, W, C) of 0–255 as in inference, and differentiate the score
    of each.

    choose: given the outputs of each image by name, float32, names its score. One pass forward and one back for all
    images; what is computed of one depends on it alone.
    """
    import tensorflow as tf

    pixels = tf.constant(images, tf.float32)
    with deep_graphs(), tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(pixels)
        features, outputs = inner(pixels, training=False)
        named = name_outputs(outputs)
        with tape.stop_recording():
            arrays = {name: _to_float32(value) for name, value in named.items()}
            scores = choose([{name: value[row] for name, value in arrays.items()} for row in range(len(images))])
        total = tf.add_n([named[name][(row, *place)] for row, (name, place) in enumerate(scores)])
    gradients = tape.gradient(total, features, unconnected_gradients="zero")
    return Gradients(*(dict(zip(layers, map(_to_float32, each), strict=True)) for each in (features, gradients)))


def _to_float32(values: object) -> np.ndarray:
    import tensorflow as tf

    return np.asarray(tf.cast(values, tf.float32))
