"""Networks by name, as ordinary Keras 3 models: `ResNet50(classes=10, input_shape=(32, 32, 3))`."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from keras_resnet.config.spec import NetworkSpec, Normalization
from keras_resnet.errors import UsageError, did_you_mean
from keras_resnet.models import build
from keras_resnet.models.layers import Layers
from keras_resnet.models.names import parse_model_name

if TYPE_CHECKING:
    import keras

Shape = tuple[int, int, int]


def network(
    which: str | NetworkSpec,
    *,
    classes: int = 1000,
    input_shape: Shape = (224, 224, 3),
    normalization: Normalization | None = Normalization(),  # noqa: B008 - frozen
    dtype: str = "float32",
) -> keras.Model:
    """The network called `which` ("seresnet50", "plain34", "vgg19_bn", …), or described by a NetworkSpec.

    Takes (B, H, W, 3) pixels in 0–255 and returns (B, classes) float32 logits, so compile it with
    `from_logits=True`. `input_shape` is (H, W, 3). Normalization is inside the model; pass
    `normalization=None` to feed values normalized by yourself. `dtype` is a Keras policy name such as
    "mixed_bfloat16". Raises UsageError for an unknown name, naming the nearest, and as `catalog.build` does.
    """
    import keras

    return build.build(
        Layers(keras, dtype), _spec(which), classes=classes, input_shape=input_shape, normalization=normalization
    )


def pyramid(
    which: str | NetworkSpec,
    *,
    input_shape: Shape = (224, 224, 3),
    normalization: Normalization | None = Normalization(),  # noqa: B008 - frozen
    dtype: str = "float32",
) -> keras.Model:
    """The body of a network, as a model from pixels (B, H, W, 3) to {"c2": (B, H', W', C), …}.

    c2 … c5 have strides 4, 8, 16 and 32; the networks for small images give c2 … c4 of strides 1, 2 and 4.
    """
    import keras

    return build.pyramid(Layers(keras, dtype), _spec(which), input_shape=input_shape, normalization=normalization)


def resnet(depth: int, **options: Any) -> keras.Model:
    """A residual network of any depth of the catalog: any field of `NetworkSpec`, and what `network` takes.

    Example: `resnet(50, classes=5, squeeze_excitation=True)`.
    """
    known = {each.name for each in fields(NetworkSpec)}
    ours = {key: options.pop(key) for key in list(options) if key in known}
    takes = {"classes", "input_shape", "normalization", "dtype"}
    for key in options:
        if key not in takes:
            raise UsageError(f"unknown option {key!r} of a network.{did_you_mean(key, known | takes)}")
    return network(NetworkSpec(depth, **ours), **options)


def _spec(which: str | NetworkSpec) -> NetworkSpec:
    return parse_model_name(which) if isinstance(which, str) else which


ResNet10 = partial(resnet, 10)
ResNet18 = partial(resnet, 18)
ResNet34 = partial(resnet, 34)
ResNet50 = partial(resnet, 50)
ResNet101 = partial(resnet, 101)
ResNet152 = partial(resnet, 152)
ResNet200 = partial(resnet, 200)
ResNet8 = partial(resnet, 8)
ResNet20 = partial(resnet, 20)
ResNet32 = partial(resnet, 32)
ResNet44 = partial(resnet, 44)
ResNet56 = partial(resnet, 56)
ResNet110 = partial(resnet, 110)
Plain18 = partial(network, "plain18")
Plain20 = partial(network, "plain20")
Plain34 = partial(network, "plain34")
Plain56 = partial(network, "plain56")
VGG11 = partial(network, "vgg11")
VGG13 = partial(network, "vgg13")
VGG16 = partial(network, "vgg16")
VGG19 = partial(network, "vgg19")
