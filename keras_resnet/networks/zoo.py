"""Residual networks by name, as ordinary Keras 3 models: `ResNet50(classes=10, input_shape=(32, 32, 3))`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from keras_resnet.bricks import Bricks
from keras_resnet.networks import catalog
from keras_resnet.spec import NetworkSpec, Normalization

if TYPE_CHECKING:
    import keras


def resnet(
    depth: int,
    *,
    classes: int = 1000,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    strides: str = "3x3",
    stem: str = "auto",
    shortcut: str = "auto",
    normalization: Normalization | None = Normalization(),  # noqa: B008 - frozen
    dtype: str = "float32",
) -> keras.Model:
    """A residual network of any depth of the catalog (see `catalog.build` and `NetworkSpec`).

    Takes (B, H, W, 3) pixels in 0–255 and returns (B, classes) float32 logits, so compile it with
    `from_logits=True`. Normalization is inside the model; pass `normalization=None` to feed values
    normalized by yourself. `dtype` is a Keras policy name such as "mixed_bfloat16".
    """
    import keras

    network = NetworkSpec(depth=depth, strides=strides, stem=stem, shortcut=shortcut)
    return catalog.build(
        Bricks(keras, dtype), network, classes=classes, input_shape=input_shape, normalization=normalization
    )


ResNet18 = partial(resnet, 18)
ResNet34 = partial(resnet, 34)
ResNet50 = partial(resnet, 50)
ResNet101 = partial(resnet, 101)
ResNet152 = partial(resnet, 152)
ResNet20 = partial(resnet, 20)
ResNet32 = partial(resnet, 32)
ResNet44 = partial(resnet, 44)
ResNet56 = partial(resnet, 56)
ResNet110 = partial(resnet, 110)
