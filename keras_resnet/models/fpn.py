"""Build a feature pyramid on a backbone, and the heads that look at each of its levels.

Lin et al. 2017 ("Feature pyramid networks") for the pyramid; heads as in FCOS (Tian et al. 2019). Each level has towers
of its own. Convolutions that levels share but norms do not would save nothing on a device, since a converter folds each
norm into a copy of the kernel; and what compresses a network here knows layers that are called once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.models.backbone import Features, get_backbone
from keras_resnet.models.layers import Layers, Tensor
from keras_resnet.models.resnet import halve

# A pyramid stands on this many stages, the last ones.
STAGES = 3
# The coarsest level has at least so many anchor points to a side.
MIN_SIDE = 4
# He et al.'s networks have 64 to 512 or 256 to 2048 channels; FPN's 256 are an eighth of the latter.
CHANNEL_DIVISOR, MIN_CHANNELS = 8, 32
# Of a class at first, so that the many places without an object do not swamp the loss (Lin et al. 2017, "Focal loss").
PRIOR_PROBABILITY = 0.01
# How far the edges of an object are at first, in strides.
INITIAL_DISTANCE = 2.0
# The names of layers, by the part that they belong to (see `parts`). LATERAL: those of the neck that take up features.
# OUTPUTS: the last of the heads, of which "scores" have a filter for each class.
LATERAL = r"lateral\d+_(?:conv|norm)"
NECK = r"(?:lateral|up|sum|p)\d+(?:_\w+)?"
HEADS = {
    "class_head": r"(?:cls_tower|scores)\d*(?:_\w+)?",
    "box_head": r"(?:box_tower|distances)\d*(?:_\w+)?",
    "mask_head": r"(?:mask_\w+|(?:coefficients\d*|prototypes)(?:_\w+)?)",
}
OUTPUTS = r"(?:scores|distances|coefficients)\d+|prototypes"

# The levels of a pyramid by name, the finest first: {"p3": (B, H, W, C), …}.
Pyramid = dict[str, Tensor]


def pyramid_sides(network: NetworkSpec, image_size: int) -> tuple[int, ...]:
    """Return the anchor points to a side of each level, the finest first.

    There is a level for each of the last three stages, and coarser ones while they have MIN_SIDE or more.
    """
    sides = list(get_backbone(network, image_size).feature_sizes()[-STAGES:])
    while halve(sides[-1]) >= MIN_SIDE:
        sides.append(halve(sides[-1]))
    return tuple(sides)


def build_pyramid(layers: Layers, features: Features, sides: Sequence[int]) -> Pyramid:
    """Build a feature pyramid on c3 … c5 and return p3 … p7, all of one width, with `sides` anchor points to a side.

    Level p4 stands on c4, and so on; without the finest side, or on a CIFAR network, the numbers begin elsewhere.
    """
    inputs = {int(name[1:]): x for name, x in list(features.items())[-STAGES:] if int(x.shape[1]) <= sides[0]}
    finest, coarsest = min(inputs), max(inputs)
    filters = max(MIN_CHANNELS, int(inputs[coarsest].shape[-1]) // CHANNEL_DIVISOR)
    sums = {coarsest: _conv_norm(layers, inputs[coarsest], filters, 1, f"lateral{coarsest}")}
    for number in range(coarsest - 1, finest - 1, -1):
        coarser = layers.upsample(sums[number + 1], inputs[number], name=f"up{number}")
        lateral = _conv_norm(layers, inputs[number], filters, 1, f"lateral{number}")
        sums[number] = layers.add(coarser, lateral, name=f"sum{number}")
    pyramid = {f"p{number}": _conv_norm_relu(layers, sums[number], filters, 3, f"p{number}") for number in sorted(sums)}
    for number in range(coarsest + 1, finest + len(sides)):
        last = pyramid[f"p{number - 1}"]
        pyramid[f"p{number}"] = _conv_norm_relu(layers, last, filters, 3, f"p{number}", stride=2)
    assert tuple(int(x.shape[1]) for x in pyramid.values()) == tuple(sides)
    return pyramid


def build_heads(layers: Layers, pyramid: Pyramid, classes: int, convs: int, coefficients: int = 0) -> dict[str, Tensor]:
    """Build a class tower and a box tower of `convs` convolutions on each level, and the outputs on them.

    Returns {"scores": logits (B, N, classes), "distances": (B, N, 4)}, with "coefficients" (B, N, coefficients) if any;
    see `runtime.postprocess`.
    """
    outputs: dict[str, list[Tensor]] = {"scores": [], "distances": []}
    if coefficients:
        outputs["coefficients"] = []
    initial_logit = -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)
    for name, level in pyramid.items():
        number = name[1:]
        cls_tower, box_tower = (_build_tower(layers, level, convs, f"{kind}_tower{number}") for kind in ("cls", "box"))
        outputs["scores"].append(layers.predict(cls_tower, classes, 3, bias=initial_logit, name=f"scores{number}"))
        outputs["distances"].append(layers.predict(box_tower, 4, 3, bias=INITIAL_DISTANCE, name=f"distances{number}"))
        if coefficients:
            maps = layers.predict(box_tower, coefficients, 3, name=f"coefficients{number}")
            outputs["coefficients"].append(maps)
    return {name: layers.concatenate_levels(maps, name=name) for name, maps in outputs.items()}


def build_prototypes(layers: Layers, pyramid: Pyramid, features: Features, convs: int, prototypes: int) -> Tensor:
    """Build the prototypes of masks, float32 (B, h, w, prototypes), at the resolution of the feature below the pyramid,
    whose edges are sharper; of a CIFAR network, which has none, at that of the finest level."""
    x = _build_tower(layers, next(iter(pyramid.values())), convs, "mask")
    filters, below = int(x.shape[-1]), list(features.values())[:-STAGES]
    if below:
        x = layers.upsample(x, below[-1], name="mask_up")
        x = layers.add(x, _conv_norm(layers, below[-1], filters, 1, "mask_lateral"), name="mask_sum")
    return layers.predict(_conv_norm_relu(layers, x, filters, 3, "mask_fine"), prototypes, 1, name="prototypes")


def _build_tower(layers: Layers, x: Tensor, convs: int, name: str) -> Tensor:
    for number in range(1, convs + 1):
        x = _conv_norm_relu(layers, x, int(x.shape[-1]), 3, f"{name}_{number}")
    return x


def _conv_norm_relu(layers: Layers, x: Tensor, filters: int, kernel: int, name: str, stride: int = 1) -> Tensor:
    return layers.relu(_conv_norm(layers, x, filters, kernel, name, stride), name=f"{name}_relu")


def _conv_norm(layers: Layers, x: Tensor, filters: int, kernel: int, name: str, stride: int = 1) -> Tensor:
    return layers.norm(layers.conv(x, filters, kernel, stride=stride, name=f"{name}_conv"), name=f"{name}_norm")
