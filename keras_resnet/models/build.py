"""Build networks from specs: a backbone, a head on its features, and the normalization of pixels before both."""

from __future__ import annotations

from collections.abc import Sized
from numbers import Integral
from typing import TYPE_CHECKING, Protocol

from keras_resnet.config.families import FAMILIES
from keras_resnet.config.spec import NetworkSpec, Normalization, Spec
from keras_resnet.errors import UsageError
from keras_resnet.models.backbone import Backbone, Features, get_backbone, get_family
from keras_resnet.models.layers import Layers, Tensor
from keras_resnet.models.names import model_name

if TYPE_CHECKING:
    import keras

# The name of a classifier's last layer, and of those that quantization puts beside it.
CLASSIFIER = r"logits(?:_\w+)?"
# Logits alone, or several outputs by name.
Outputs = Tensor | dict[str, Tensor]


class Heads(Protocol):
    """What stands on a backbone: each task says what that is for it."""

    def build_heads(self, layers: Layers, backbone: Backbone, features: Features, spec: Spec) -> Outputs:
        """Build the layers on `features`, those of `backbone`, and return the network's outputs, float32."""


def build_model(spec: Spec, heads: Heads, layers: Layers, any_size: bool = False) -> keras.Model:
    """Return the network of `spec` with `heads`: pixels (B, H, W, C) in 0–255 → the heads' outputs.

    With `any_size` it takes images of other sizes than `spec.data.image_size` too.
    """
    backbone, pixels, features = build_features(
        layers, spec.network, spec.data.input_shape, spec.data.normalization, any_size
    )
    return layers.model(pixels, heads.build_heads(layers, backbone, features, spec), name=model_name(spec.network))


def build_classifier(
    layers: Layers,
    network: NetworkSpec,
    *,
    classes: int,
    input_shape: tuple[int, int, int],
    normalization: Normalization | None = None,
    any_size: bool = False,
) -> keras.Model:
    """Return a classifier: pixels (B, H, W, C) in 0–255 → logits (B, classes), float32.

    Normalization is the model's first layer, so training, evaluation and every exported file agree;
    None builds a network that takes values already normalized. With `any_size` it takes images of other sizes
    too, though its stem is chosen for input_shape. Raises UsageError for an unknown depth, fewer than 2 classes,
    `any_size` of a family with a fixed size, or an input_shape that is not (H, W, C) or too small for the network.
    """
    if not isinstance(classes, Integral) or classes < 2:
        raise UsageError(f"a classifier needs a whole number of classes, 2 or more. Received: {classes!r}")
    backbone, pixels, features = build_features(layers, network, input_shape, normalization, any_size)
    return layers.model(pixels, build_logits(layers, backbone, features, classes), name=model_name(network))


def build_logits(layers: Layers, backbone: Backbone, features: Features, classes: int) -> Tensor:
    """Build a classifier's head on the last of `features` and return its logits (B, classes), float32."""
    *_, last = features.values()
    return layers.dense(backbone.pre_logits(layers, last), classes, name="logits")


def build_backbone(
    layers: Layers,
    network: NetworkSpec,
    *,
    input_shape: tuple[int, int, int],
    normalization: Normalization | None = None,
) -> keras.Model:
    """Return `network` without a head: pixels (B, H, W, C) → {"c2": (B, H, W, C), …} (see `Backbone.features`)."""
    _, pixels, features = build_features(layers, network, input_shape, normalization)
    return layers.model(pixels, features, name=f"{model_name(network)}_backbone")


def build_shallowest(layers: Layers, network: NetworkSpec, image_size: int, channels: int = 3) -> keras.Model:
    """Return the shallowest classifier with the layers of `network`: to time its kind of work."""
    pixels = layers.input(image_size, image_size, channels)
    backbone = get_backbone(network, image_size).shallowest()
    features = backbone.features(layers, layers.normalize(pixels, Normalization().adapt(channels), name="normalize"))
    return layers.model(pixels, build_logits(layers, backbone, features, 10), name="shallowest")


def build_features(
    layers: Layers,
    network: NetworkSpec,
    input_shape: tuple[int, int, int],
    normalization: Normalization | None,
    any_size: bool = False,
) -> tuple[Backbone, Tensor, Features]:
    """Build a network without a head and return its backbone, its input and its features (see `build_classifier`)."""
    require_known(network)
    if not isinstance(input_shape, Sized) or len(input_shape) != 3:
        raise UsageError(f"input_shape must be (height, width, channels). Received: {input_shape}")
    size = min(input_shape[:2])
    require_size(network, size)
    if any_size and FAMILIES[network.family].has_fixed_size:
        raise UsageError(f"{model_name(network)} takes images of one size only: its classifier sees every pixel")
    pixels = layers.input(None, None, input_shape[2]) if any_size else layers.input(*input_shape)
    x = pixels
    if normalization:
        x = layers.normalize(pixels, normalization.adapt(input_shape[2]), name="normalize")
    backbone = get_backbone(network, size)
    return backbone, pixels, backbone.features(layers, x)


def require_known(network: NetworkSpec) -> None:
    """Raise UsageError unless `network` describes a network that exists."""
    get_backbone(network)


def require_size(network: NetworkSpec, image_size: int) -> None:
    """Raise UsageError if images of `image_size` pixels a side are too small for `network`."""
    family = get_family(network.family)
    if image_size < family.min_size:
        raise UsageError(
            f"{family.format_name(network)} needs images of {family.min_size} or more pixels a side."
            f" Received: {image_size}"
        )
