"""What a Keras model becomes before it is converted to TFLite: the same numbers, by operators that GPUs and
microcontrollers have too."""

from __future__ import annotations

import keras

from keras_resnet.models.layers import deep_graphs

CHANNELS_LAST = "channels_last"


class ResizingUpSampling2D(keras.layers.UpSampling2D):
    """Keras' upsampling by repeated pixels, as one operator: RESIZE_NEAREST_NEIGHBOR.

    Keras' own repeats become tensors of five dimensions and TILE, which LiteRT's GPU and TensorFlow Lite Micro do not
    take.
    """

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Repeat the pixels of (B, H, W, C)."""
        sides = inputs.shape[1:3]
        if None in sides:
            return super().call(inputs)
        size = tuple(side * factor for side, factor in zip(sides, self.size, strict=True))
        return keras.ops.image.resize(inputs, size, interpolation="nearest", data_format=CHANNELS_LAST)


def with_portable_operators(model: keras.Model) -> keras.Model:
    """Return `model`, or one that shares its weights and computes the same by operators that more devices have."""
    if not any(map(_repeats_pixels, model._flatten_layers(include_self=False))):
        return model
    with deep_graphs():
        return keras.models.clone_model(model, clone_function=_replace, recursive=True)


def _repeats_pixels(layer: keras.Layer) -> bool:
    """Return whether `layer` is Keras' own, not one derived from it, and nothing is interpolated."""
    own = type(layer) is keras.layers.UpSampling2D
    return own and (layer.interpolation, layer.data_format) == ("nearest", CHANNELS_LAST)


def _replace(layer: keras.Layer) -> keras.Layer:
    return ResizingUpSampling2D.from_config(layer.get_config()) if _repeats_pixels(layer) else layer
