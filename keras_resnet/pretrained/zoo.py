"""Create networks by name, as ordinary Keras 3 models: `ResNet50(classes=10, input_shape=(32, 32, 3))`."""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from keras_resnet.config.families import FAMILIES
from keras_resnet.config.readable_signature import ReadableSignature
from keras_resnet.config.settings import Setting, iterate_settings
from keras_resnet.config.spec import NetworkSpec, Normalization
from keras_resnet.errors import UsageError, WeightsError, describe_received, did_you_mean
from keras_resnet.models import build
from keras_resnet.models.layers import Layers
from keras_resnet.models.names import model_name, parse_model_name
from keras_resnet.native_logs import quiet
from keras_resnet.pretrained import hub

if TYPE_CHECKING:
    import keras

    from keras_resnet.pretrained.weights import Weights

InputShape = tuple[int, int, int]
Origin = str | os.PathLike[str]
Create = Callable[..., "keras.Model"]
SCALED = Normalization()


@quiet
def create_model(
    name: str | NetworkSpec,
    *,
    weights: Origin | None = None,
    classes: int = 1000,
    input_shape: InputShape = (224, 224, 3),
    normalization: Normalization | None = SCALED,
    dtype: str = "float32",
) -> keras.Model:
    """Return the classifier called `name` ("seresnet50", "plain34", "vgg19_bn", …), or described by a NetworkSpec.

    It takes (B, H, W, C) pixels in 0–255 and returns (B, classes) float32 logits, so compile it with
    `from_logits=True`. `input_shape` is (H, W, C). Normalization is inside the model; pass
    `normalization=None` to feed values normalized by yourself. `dtype` is a Keras policy name such as
    "mixed_bfloat16".

    weights: "torchvision", "keras", "timm:resnet50.a1_in1k" or "hf:USER/NAME", which are downloaded, or a file
    (.keras, .h5, .pth, .safetensors). The normalization is then that of the weights, unless another one is given, and a
    head of other classes stays as initialized. Raises UsageError for an unknown name, naming the nearest, and for a
    network that does not exist or takes no images of this size; WeightsError for weights that cannot be had, or are of
    another network.
    """
    import keras

    network = _to_spec(name)
    fetched = None
    if weights is not None:
        fetched = _fetch(weights, network)
        network = _adopt_network(network, fetched)
        normalization = fetched.normalization or normalization if normalization is SCALED else normalization
    model = build.build_classifier(
        Layers(keras, dtype), network, classes=classes, input_shape=input_shape, normalization=normalization
    )
    if fetched:
        from keras_resnet.pretrained.load import assign_weights

        assign_weights(model, fetched, os.fspath(weights or ""))
    return model


def _name_origin(origin: str, network: NetworkSpec) -> str:
    """Return where weights come from, as `load_weights` takes it: "torchvision" alone is torchvision's of `network`."""
    return f"{origin}:{model_name(network)}" if origin in hub.SOURCES else origin


def _fetch(given: Origin, network: NetworkSpec) -> Weights:
    """Return the weights of `given`. Raises UsageError for what is neither a source nor a file."""
    is_path = isinstance(given, (str, os.PathLike))
    origin = _name_origin(os.fspath(given), network) if is_path else ""
    if not hub.is_hub_name(origin) and not os.path.splitext(origin)[1]:
        raise UsageError(
            "weights must be a source, such as 'torchvision', 'keras' or 'timm:resnet50.a1_in1k', or the path of a"
            f" file; the model of a run is open_run(NAME).model. Received: {describe_received(given)}"
        )
    from keras_resnet.pretrained.load import fetch_weights

    return fetch_weights(origin)


def _adopt_network(network: NetworkSpec, weights: Weights) -> NetworkSpec:
    """Return `network` as the weights have it, where names do not tell: which convolution strides, and the like.

    Raises WeightsError where they are of another one.
    """
    found, name = weights.network, model_name(network)
    if found is None:
        return network
    if model_name(found) != name:
        raise WeightsError(f"the weights are of {model_name(found)}, not of {name}")
    return found if network == parse_model_name(name) else network


@quiet
def create_backbone(
    name: str | NetworkSpec,
    *,
    input_shape: InputShape = (224, 224, 3),
    normalization: Normalization | None = SCALED,
    dtype: str = "float32",
) -> keras.Model:
    """Return a network without its head: pixels (B, H, W, C) → {"c2": (B, H', W', C), …}.

    c2 … c5 have strides 4, 8, 16 and 32; the networks for small images give c2 … c4 of strides 1, 2 and 4.
    """
    import keras

    return build.build_backbone(
        Layers(keras, dtype), _to_spec(name), input_shape=input_shape, normalization=normalization
    )


def resnet(
    depth: int,
    *,
    weights: Origin | None = None,
    classes: int = 1000,
    input_shape: InputShape = (224, 224, 3),
    normalization: Normalization | None = SCALED,
    dtype: str = "float32",
    **network: Any,
) -> keras.Model:
    """Return a residual network of any depth that exists. Further keywords change the network: those of `ResNet50`,
    whose help describes them. The rest is as `create_model` has it.

    Example: `resnet(50, classes=5, squeeze_excitation=True)`.
    """
    own = [each.name for each in fields(NetworkSpec) if each.name not in ("depth", "family")]
    for key in network:
        if key not in own:
            near = did_you_mean(key, [*own, *_SHARED])
            raise UsageError(f"unknown option {key!r} of a network.{near}")
    return create_model(
        NetworkSpec(depth, **network),
        weights=weights,
        classes=classes,
        input_shape=input_shape,
        normalization=normalization,
        dtype=dtype,
    )


def _to_spec(name: str | NetworkSpec) -> NetworkSpec:
    if not isinstance(name, (str, NetworkSpec)):
        raise UsageError(
            f"name must be that of a network, as a str, or a NetworkSpec. Received: {describe_received(name)}"
        )
    return parse_model_name(name) if isinstance(name, str) else name


_NETWORK_SETTINGS = tuple(each for each in iterate_settings(NetworkSpec) if each.key in FAMILIES["resnet"].settings)
_SHARED = tuple(inspect.signature(create_model).parameters)[1:]


def _name(title: str, create: Create, first: int | str, source: str) -> Create:
    """Return `create(first, …)` as a function called `title`, with a signature and a docstring of its own."""

    def function(**options: Any) -> keras.Model:
        return create(first, **options)

    *parameters, last = list(inspect.signature(create).parameters.values())[1:]
    parameters += map(_to_parameter, _NETWORK_SETTINGS) if last.kind is last.VAR_KEYWORD else [last]
    function.__name__ = function.__qualname__ = title
    function.__signature__ = ReadableSignature(parameters, return_annotation="keras.Model")  # type: ignore[attr-defined]
    shared = inspect.cleandoc(create_model.__doc__ or "").partition("\n\n")[2]
    function.__doc__ = f"Return {title} ({source}) as a Keras model.\n\n{shared}{_describe_network(create)}"
    return function


def _describe_network(create: Create) -> str:
    """Return what to say of the options of residual networks; "" of others."""
    if create is not resnet:
        return ""
    lines = [
        textwrap.fill(f"- {each.key}: {_describe_field(each)}", 116, subsequent_indent="  ")
        for each in _NETWORK_SETTINGS
    ]
    return "\n\nThe network:\n\n" + "\n".join(lines)


def _to_parameter(field: Setting) -> inspect.Parameter:
    """Return the keyword that sets a field of a network."""
    kind = Literal[field.choices] if field.choices else field.kind
    return inspect.Parameter(field.key, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=kind)


def _describe_field(field: Setting) -> str:
    """Return what True means for a field: its help is that of the option, which may turn it off."""
    words = field.help.removeprefix("Do not ") if field.default is True else field.help
    return words[:1].upper() + words[1:]


_HE = "He et al. 2015"
ResNet10 = _name("ResNet10", resnet, 10, "as ResNet-18, with one unit a stage")
ResNet18 = _name("ResNet18", resnet, 18, _HE)
ResNet34 = _name("ResNet34", resnet, 34, _HE)
ResNet50 = _name("ResNet50", resnet, 50, _HE)
ResNet101 = _name("ResNet101", resnet, 101, _HE)
ResNet152 = _name("ResNet152", resnet, 152, _HE)
ResNet200 = _name("ResNet200", resnet, 200, "He et al. 2016")
_CIFAR = f"{_HE}, section 4.2, for images of 32 pixels"
ResNet8 = _name("ResNet8", resnet, 8, "for images of 32 pixels, with one unit a stage")
ResNet20 = _name("ResNet20", resnet, 20, _CIFAR)
ResNet32 = _name("ResNet32", resnet, 32, _CIFAR)
ResNet44 = _name("ResNet44", resnet, 44, _CIFAR)
ResNet56 = _name("ResNet56", resnet, 56, _CIFAR)
ResNet110 = _name("ResNet110", resnet, 110, _CIFAR)
_PLAIN = f"{_HE}, without shortcuts"
Plain18 = _name("Plain18", create_model, "plain18", _PLAIN)
Plain20 = _name("Plain20", create_model, "plain20", _PLAIN)
Plain34 = _name("Plain34", create_model, "plain34", _PLAIN)
Plain56 = _name("Plain56", create_model, "plain56", _PLAIN)
_VGG = "Simonyan & Zisserman 2015"
VGG11 = _name("VGG11", create_model, "vgg11", _VGG)
VGG13 = _name("VGG13", create_model, "vgg13", _VGG)
VGG16 = _name("VGG16", create_model, "vgg16", _VGG)
VGG19 = _name("VGG19", create_model, "vgg19", _VGG)
