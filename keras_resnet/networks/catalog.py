"""From a depth to a network: which depths exist, and what each is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keras_resnet.bricks import Bricks
from keras_resnet.errors import UsageError
from keras_resnet.networks.residual import Variant, features
from keras_resnet.spec import NetworkSpec, Normalization

# He et al. 2015, table 1.
IMAGENET_UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
FIRST_BOTTLENECK = 50
SMALLEST_CIFAR = 8
# Below this many pixels the ImageNet stem, which divides by four, leaves too little to look at.
IMAGENET_STEM_FROM = 64
# Five halvings: fewer pixels than this leave a stage of the ImageNet networks empty.
SMALLEST_IMAGE = 8


def variant_of(network: NetworkSpec, image_size: int) -> Variant:
    """The architecture `network` names, for square images of `image_size` pixels.

    Depths 18, 34, 50, 101 and 152 are the ImageNet networks of He et al. 2015, table 1; 6n+2 from 8
    the CIFAR networks of section 4.2. Raises UsageError for any other depth, naming the nearest.
    """
    depth = network.depth
    if depth in IMAGENET_UNITS:
        bottleneck = depth >= FIRST_BOTTLENECK
        variant = Variant(IMAGENET_UNITS[depth], 64, bottleneck, "imagenet", "B", network.strides)
    elif depth >= SMALLEST_CIFAR and depth % 6 == 2:
        variant = Variant(((depth - 2) // 6,) * 3, 16, False, "cifar", "A", network.strides)
    else:
        raise UsageError(_unknown_depth(depth))
    if network.shortcut != "auto":
        variant = replace(variant, shortcut=network.shortcut)
    return replace(variant, stem=choose_stem(network, image_size)[0])


def choose_stem(network: NetworkSpec, image_size: int) -> tuple[str, str]:
    """The stem for `image_size` and the reason for it, as (stem, reason)."""
    if network.stem != "auto":
        return network.stem, "as asked"
    if network.depth not in IMAGENET_UNITS:
        return "cifar", "the 6n+2 networks have no other"
    if image_size < IMAGENET_STEM_FROM:
        return "cifar", f"images of {image_size} pixels are smaller than {IMAGENET_STEM_FROM}"
    return "imagenet", f"images of {image_size} pixels are {IMAGENET_STEM_FROM} or larger"


def build(
    bricks: Bricks,
    network: NetworkSpec,
    *,
    classes: int,
    input_shape: tuple[int, int, int],
    normalization: Normalization | None = None,
) -> Any:
    """A classifier: pixels (B, H, W, 3) in 0–255 → logits (B, classes), float32.

    Normalization is the model's first layer, so training, evaluation and every exported file agree;
    None builds a network that takes values already normalized. Raises UsageError for an unknown
    depth, fewer than 2 classes, or an input_shape that is not (H, W, C) with 8 or more pixels a side.
    """
    if classes < 2:
        raise UsageError(f"a classifier needs 2 or more classes. Received: {classes}")
    if len(input_shape) != 3 or min(input_shape[:2]) < SMALLEST_IMAGE:
        raise UsageError(
            f"input_shape must be (height, width, channels) with {SMALLEST_IMAGE} or more pixels a side."
            f" Received: {input_shape}"
        )
    variant = variant_of(network, min(input_shape[:2]))
    return _classifier(bricks, variant, classes, input_shape, normalization, f"resnet{network.depth}")


def trial(bricks: Bricks, network: NetworkSpec, image_size: int) -> Any:
    """The smallest network with the layers of `network`, one unit a stage: to time its kind of work."""
    variant = variant_of(network, image_size)
    short = replace(variant, units=(1,) * len(variant.units))
    return _classifier(bricks, short, 10, (image_size, image_size, 3), Normalization(), "trial")


def _classifier(
    bricks: Bricks,
    variant: Variant,
    classes: int,
    input_shape: tuple[int, int, int],
    normalization: Normalization | None,
    name: str,
) -> Any:
    pixels = bricks.input(*input_shape)
    x = bricks.normalize(pixels, normalization, name="normalize") if normalization else pixels
    *_, last = features(bricks, variant, x).values()
    pooled = bricks.mean_pool(last, name="pool")
    return bricks.model(pixels, bricks.dense(pooled, classes, name="logits"), name=name)


def _unknown_depth(depth: int) -> str:
    cifar = max(SMALLEST_CIFAR, 6 * round((depth - 2) / 6) + 2)
    nearest = min([*IMAGENET_UNITS, cifar], key=lambda known: abs(known - depth))
    return (
        f"{depth} is not a ResNet depth: it must be {', '.join(map(str, IMAGENET_UNITS))},"
        f" or 6n+2 for the CIFAR networks (20, 32, 44, 56, 110, …); did you mean {nearest}?"
    )
