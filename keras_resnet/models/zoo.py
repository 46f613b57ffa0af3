"""Create networks by name, as ordinary Keras 3 models: `ResNet50(classes=10, input_shape=(32, 32, 3))`."""

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

InputShape = tuple[int, int, int]


def create_model(
    name: str | NetworkSpec,
    *,
    classes: int = 1000,
    input_shape: InputShape = (224, 224, 3),
    normalization: Normalization | None = Normalization(),  # noqa: B008 - frozen
    dtype: str = "float32",
) -> keras.Model:
    """Return the classifier called `name` ("seresnet50", "plain34", "vgg19_bn", …), or described by a NetworkSpec.

    It takes (B, H, W, 3) pixels in 0–255 and returns (B, classes) float32 logits, so compile it with
    `from_logits=True`. `input_shape` is (H, W, 3). Normalization is inside the model; pass
    `normalization=None` to feed values normalized by yourself. `dtype` is a Keras policy name such as
    "mixed_bfloat16". Raises UsageError for an unknown name, naming the nearest, and as `build.build_classifier` does.
    """
    import keras

    return build.build_classifier(
        Layers(keras, dtype), _to_spec(name), classes=classes, input_shape=input_shape, normalization=normalization
    )


def create_backbone(
    name: str | NetworkSpec,
    *,
    input_shape: InputShape = (224, 224, 3),
    normalization: Normalization | None = Normalization(),  # noqa: B008 - frozen
    dtype: str = "float32",
) -> keras.Model:
    """Return a network without its head: pixels (B, H, W, 3) → {"c2": (B, H', W', C), …}.

    c2 … c5 have strides 4, 8, 16 and 32; the networks for small images give c2 … c4 of strides 1, 2 and 4.
    """
    import keras

    return build.build_backbone(
        Layers(keras, dtype), _to_spec(name), input_shape=input_shape, normalization=normalization
    )


def resnet(depth: int, **options: Any) -> keras.Model:
    """Return a residual network of any depth that exists; options: any field of `NetworkSpec`, and what `create_model`
    takes.

    Example: `resnet(50, classes=5, squeeze_excitation=True)`.
    """
    network_options = {each.name for each in fields(NetworkSpec)}
    settings = {key: options.pop(key) for key in list(options) if key in network_options}
    model_options = {"classes", "input_shape", "normalization", "dtype"}
    for key in options:
        if key not in model_options:
            raise UsageError(
                f"unknown option {key!r} of a network.{did_you_mean(key, network_options | model_options)}"
            )
    return create_model(NetworkSpec(depth, **settings), **options)


def _to_spec(name: str | NetworkSpec) -> NetworkSpec:
    return parse_model_name(name) if isinstance(name, str) else name


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
Plain18 = partial(create_model, "plain18")
Plain20 = partial(create_model, "plain20")
Plain34 = partial(create_model, "plain34")
Plain56 = partial(create_model, "plain56")
VGG11 = partial(create_model, "vgg11")
VGG13 = partial(create_model, "vgg13")
VGG16 = partial(create_model, "vgg16")
VGG19 = partial(create_model, "vgg19")
