"""From a NetworkSpec to a network: which depths exist, and what each is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keras_resnet.config.chosen import who
from keras_resnet.config.spec import NetworkSpec, Normalization
from keras_resnet.errors import UsageError
from keras_resnet.models import resnet, vgg
from keras_resnet.models.layers import Layers
from keras_resnet.models.names import model_name
from keras_resnet.models.resnet import ResNetConfig
from keras_resnet.models.vgg import scaled

# He et al. 2015, table 1; 200 from He et al. 2016, appendix; 10 is 18 with one unit a stage.
IMAGENET_UNITS: dict[int, tuple[int, ...]] = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
FIRST_BOTTLENECK = 50
# Below this many pixels the ImageNet stem, which divides by four, leaves too little to look at.
IMAGENET_STEM_FROM = 64
# Five halvings: fewer pixels than this leave a stage of the ImageNet networks empty.
SMALLEST_IMAGE = 8
# The classifier's layers by name (see `parts`).
CLASSIFIER = r"logits(?:_\w+)?"


def require_known(network: NetworkSpec) -> None:
    """Raises UsageError unless `network` names a network that exists."""
    if network.family == "vgg":
        if network.depth not in vgg.BLOCKS:
            raise UsageError(_unknown_depth(network.depth, list(vgg.BLOCKS), "a VGG depth", ""))
        return
    variant = variant_of(network, SMALLEST_IMAGE)
    if variant.groups > 1 or network.base_width != 64:
        _require(variant.bottleneck, "network.cardinality and base_width need bottleneck blocks", network.depth)
    if network.strides == "1x1":
        _require(variant.bottleneck, "network.strides 1x1 needs bottleneck blocks", network.depth)
    if network.resnet_d and network.shortcut != "auto":
        raise UsageError(f"network.resnet_d decides the shortcut. Received also: network.shortcut {network.shortcut}")


def variant_of(network: NetworkSpec, image_size: int) -> ResNetConfig:
    """The residual or plain architecture `network` names, for square images of `image_size` pixels.

    Depths 10, 18, 34, 50, 101, 152 and 200 are the ImageNet networks. Any 6n+2 from 8 is a CIFAR network of
    He et al. 2015, section 4.2; with bottlenecks any 9n+2 (He et al. 2016); widened ones are counted as
    6n+4 by their authors, who include projections. Raises UsageError for any other, naming the nearest.
    """
    imagenet = network.depth in IMAGENET_UNITS
    if imagenet:
        _require(network.block == "auto", "network.block can be chosen for CIFAR networks only", network.block)
        units, base = IMAGENET_UNITS[network.depth], 64
        bottleneck = network.depth >= FIRST_BOTTLENECK
    else:
        bottleneck = network.block == "bottleneck" or (network.block == "auto" and _counts_bottlenecks(network))
        units, base = (_cifar_units(network, bottleneck),) * 3, 16
    width = scaled(base, network.width)
    return ResNetConfig(
        units=units,
        stem_width=width,
        width=width if bottleneck else scaled(width, network.widen),
        bottleneck=bottleneck,
        stem=choose_stem(network, image_size)[0],
        shortcut=_shortcut(network, imagenet),
        strides=network.strides,
        preactivation=network.preactivation,
        groups=network.cardinality,
        inner=network.base_width / 64 * (network.widen if bottleneck else 1),
        kept=network.kept,
        squeeze=network.squeeze_excitation,
        drop_path=network.drop_path,
        zero_gamma=network.zero_gamma,
    )


def require_size(network: NetworkSpec, image_size: int) -> None:
    """Raises UsageError for images, of `image_size` pixels a side, that are too small for `network`."""
    smallest = vgg.SMALLEST_IMAGE if network.family == "vgg" else SMALLEST_IMAGE
    if image_size < smallest:
        raise UsageError(
            f"{model_name(network)} needs images of {smallest} or more pixels a side. Received: {image_size}"
        )


def choose_stem(network: NetworkSpec, image_size: int) -> tuple[str, str]:
    """The stem for `image_size` and the reason for it, as (stem, reason)."""
    if network.family == "vgg":
        return "auto", "a VGG network has none"
    if network.stem != "auto":
        return network.stem, who("network.stem")
    if network.depth not in IMAGENET_UNITS:
        return "cifar", "the CIFAR networks have no other"
    if image_size < IMAGENET_STEM_FROM:
        return "cifar", f"images of {image_size} pixels are smaller than {IMAGENET_STEM_FROM}"
    stem = "deep" if network.resnet_d else "imagenet"
    return stem, f"images of {image_size} pixels are {IMAGENET_STEM_FROM} or larger"


def features(bricks: Layers, network: NetworkSpec, x: Any, image_size: int | None = None) -> dict[str, Any]:
    """The outputs of the stages by name, c2 … c5 (c4 in a CIFAR network), for normalized images (B, H, W, 3).

    Where the stem divides by four, and in VGG networks, c2 has stride 4, c3 8, c4 16 and c5 32.
    """
    size = image_size or min(int(x.shape[1]), int(x.shape[2]))
    if network.family == "vgg":
        return vgg.features(bricks, network.depth, network.width, network.batch_norm, x)
    return resnet.features(bricks, variant_of(network, size), x)


def build(
    bricks: Layers,
    network: NetworkSpec,
    *,
    classes: int,
    input_shape: tuple[int, int, int],
    normalization: Normalization | None = None,
    any_size: bool = False,
) -> Any:
    """A classifier: pixels (B, H, W, 3) in 0–255 → logits (B, classes), float32.

    Normalization is the model's first layer, so training, evaluation and every exported file agree;
    None builds a network that takes values already normalized. With `any_size` it takes images of other sizes
    too, though its stem is chosen for input_shape; a VGG network cannot. Raises UsageError for an unknown
    depth, fewer than 2 classes, or an input_shape that is not (H, W, C) or too small for the network.
    """
    if classes < 2:
        raise UsageError(f"a classifier needs 2 or more classes. Received: {classes}")
    pixels, stages = body(bricks, network, input_shape, normalization, any_size)
    *_, last = stages.values()
    vector = vgg.head(bricks, network.width, last) if network.family == "vgg" else bricks.mean_pool(last, name="pool")
    return bricks.model(pixels, bricks.dense(vector, classes, name="logits"), name=model_name(network))


def pyramid(
    bricks: Layers,
    network: NetworkSpec,
    *,
    input_shape: tuple[int, int, int],
    normalization: Normalization | None = None,
) -> Any:
    """The body of `network` as a model from pixels (B, H, W, 3) to {"c2": (B, H, W, C), …} (see `features`)."""
    pixels, stages = body(bricks, network, input_shape, normalization)
    return bricks.model(pixels, stages, name=f"{model_name(network)}_pyramid")


def trial(bricks: Layers, network: NetworkSpec, image_size: int) -> Any:
    """The smallest network with the layers of `network`, one unit a stage: to time its kind of work."""
    shape, normalization = (image_size, image_size, 3), Normalization()
    if network.family == "vgg":
        return build(bricks, replace(network, depth=min(vgg.BLOCKS)), classes=10, input_shape=shape)
    variant = variant_of(network, image_size)
    pixels = bricks.input(*shape)
    short = replace(variant, units=(1,) * len(variant.units))
    *_, last = resnet.features(bricks, short, bricks.normalize(pixels, normalization, name="normalize")).values()
    return bricks.model(pixels, bricks.dense(bricks.mean_pool(last, name="pool"), 10, name="logits"), name="trial")


def body(
    bricks: Layers,
    network: NetworkSpec,
    input_shape: tuple[int, int, int],
    normalization: Normalization | None,
    any_size: bool = False,
) -> tuple[Any, dict[str, Any]]:
    """(the input, the outputs of the stages by name) of a network yet without a head (see `build`)."""
    require_known(network)
    if len(input_shape) != 3:
        raise UsageError(f"input_shape must be (height, width, channels). Received: {input_shape}")
    require_size(network, min(input_shape[:2]))
    if any_size and network.family == "vgg":
        raise UsageError(f"{model_name(network)} takes images of one size only: its classifier sees every pixel")
    pixels = bricks.input(None, None, input_shape[2]) if any_size else bricks.input(*input_shape)
    x = bricks.normalize(pixels, normalization, name="normalize") if normalization else pixels
    return pixels, features(bricks, network, x, min(input_shape[:2]))


def _shortcut(network: NetworkSpec, imagenet: bool) -> str:
    if network.family == "plain":
        return "none"
    if network.resnet_d:
        return "D"
    if network.shortcut != "auto":
        return network.shortcut
    # He et al. 2016 project in pre-activation networks, Zagoruyko & Komodakis in widened ones.
    return "B" if imagenet or network.preactivation or network.widen != 1 else "A"


def _counts_bottlenecks(network: NetworkSpec) -> bool:
    return network.preactivation and network.widen == 1


def _cifar_units(network: NetworkSpec, bottleneck: bool) -> int:
    """Units a stage. Raises UsageError for a depth that is not one of the kind."""
    a, b = (9, 2) if bottleneck else (6, 2 if network.widen == 1 else 4)
    units, rest = divmod(network.depth - b, a)
    if units < 1 or rest:
        nearest = max(a + b, a * round((network.depth - b) / a) + b)
        kind = "a plain depth" if network.family == "plain" else "a ResNet depth"
        raise UsageError(_unknown_depth(network.depth, [*IMAGENET_UNITS, nearest], kind, f"{a}n+{b}"))
    return units


def _unknown_depth(depth: int, known: list[int], kind: str, rule: str) -> str:
    nearest = min(known, key=lambda each: abs(each - depth))
    allowed = ", ".join(map(str, known[:-1] if rule else known))
    also = f", or {rule} for the CIFAR networks" if rule else ""
    return f"{depth} is not {kind}: it must be {allowed}{also}; did you mean {nearest}?"


def _require(holds: bool, rule: str, received: Any) -> None:
    if not holds:
        raise UsageError(f"{rule}. Received: {received}")
