"""A feature pyramid on a residual network, and the towers that look at each of its levels.

Lin et al. 2017 ("Feature pyramid networks") for the pyramid; heads as in FCOS (Tian et al. 2019). Each level has towers
of its own. Convolutions that levels share but norms do not would save nothing on a device, since a converter folds each
norm into a copy of the kernel; and what compresses a network here knows layers that are called once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.models.build import variant_of
from keras_resnet.models.layers import Layers

# The coarsest level has at least so many cells to a side.
FEWEST_CELLS = 4
# He et al.'s networks have 64 to 512 or 256 to 2048 channels; FPN's 256 are an eighth of the latter.
SHARE, NARROWEST = 8, 32
# Of a class at first, so that the many places without an object do not swamp the loss (Lin et al. 2017, "Focal loss").
PRIOR = 0.01
# How far the edges of an object are at first, in cells.
FIRST_DISTANCE = 2.0
# The names of layers, by what they make of the body (see `parts`). LINKS: those of the neck that take up its stages.
# OUTPUTS: the last of the heads, of which "scores" have a filter for each class.
LINKS = r"lateral\d+_(?:conv|norm)"
NECK = r"(?:lateral|up|sum|level)\d+(?:_\w+)?"
HEADS = {
    "class_head": r"(?:what|scores)\d*(?:_\w+)?",
    "box_head": r"(?:where|distances)\d*(?:_\w+)?",
    "mask_head": r"(?:mask_\w+|(?:coefficients\d*|prototypes)(?:_\w+)?)",
}
OUTPUTS = r"(?:scores|distances|coefficients)\d+|prototypes"


def cells_of(network: NetworkSpec, image_size: int) -> tuple[int, ...]:
    """Cells to a side of the levels, the finest first: of the last three stages, and coarser ones while they have
    FEWEST_CELLS or more."""
    variant = variant_of(network, image_size)
    side = image_size if variant.stem == "cifar" else _half(_half(image_size))
    sides = [side]
    for _ in variant.units[1:]:
        sides.append(_half(sides[-1]))
    sides = sides[-3:]
    while _half(sides[-1]) >= FEWEST_CELLS:
        sides.append(_half(sides[-1]))
    return tuple(sides)


def _half(side: int) -> int:
    """After a convolution of stride 2, padded symmetrically."""
    return -(-side // 2)


def levels_of(b: Layers, stages: dict[str, Any], cells: Sequence[int]) -> list[Any]:
    """The stages c2 … c5 as maps with `cells` to a side, all of one width, the finest first."""
    tops = [stage for stage in list(stages.values())[-3:] if int(stage.shape[1]) <= cells[0]]
    width = max(NARROWEST, int(tops[-1].shape[-1]) // SHARE)
    sums = [_normed(b, tops[-1], width, 1, f"lateral{len(tops)}")]
    for number in range(len(tops) - 1, 0, -1):
        stage = tops[number - 1]
        above = b.upsample(sums[0], stage, name=f"up{number}")
        sums.insert(0, b.add(above, _normed(b, stage, width, 1, f"lateral{number}"), name=f"sum{number}"))
    found = [_active(b, x, width, 3, f"level{number}") for number, x in enumerate(sums, 1)]
    while len(found) < len(cells):
        found.append(_active(b, found[-1], width, 3, f"level{len(found) + 1}", stride=2))
    assert tuple(int(x.shape[1]) for x in found) == tuple(cells)
    return found


def heads_of(b: Layers, levels: list[Any], classes: int, convs: int, coefficients: int = 0) -> dict[str, Any]:
    """{"scores": logits (B, N, classes), "distances": (B, N, 4)}, with "coefficients" (B, N, coefficients) if any; see
    `detections`."""
    outputs: dict[str, list[Any]] = {"scores": [], "distances": []} | ({"coefficients": []} if coefficients else {})
    for number, level in enumerate(levels, 1):
        what, where = (_tower(b, level, convs, f"{kind}{number}") for kind in ("what", "where"))
        start = -math.log((1 - PRIOR) / PRIOR)
        outputs["scores"].append(b.predict(what, classes, 3, start=start, name=f"scores{number}"))
        outputs["distances"].append(b.predict(where, 4, 3, start=FIRST_DISTANCE, name=f"distances{number}"))
        if coefficients:
            outputs["coefficients"].append(b.predict(where, coefficients, 3, name=f"coefficients{number}"))
    return {name: b.rows(maps, name=name) for name, maps in outputs.items()}


def prototypes_of(b: Layers, levels: list[Any], stages: dict[str, Any], convs: int, prototypes: int) -> Any:
    """float32 (B, h, w, prototypes), with the cells of the stage below the pyramid, whose edges are sharper; of a CIFAR
    network, which has none, those of the finest level."""
    x = _tower(b, levels[0], convs, "mask")
    width, below = int(x.shape[-1]), list(stages.values())[:-3]
    if below:
        x = b.upsample(x, below[-1], name="mask_up")
        x = b.add(x, _normed(b, below[-1], width, 1, "mask_lateral"), name="mask_sum")
    return b.predict(_active(b, x, width, 3, "mask_fine"), prototypes, 1, name="prototypes")


def _tower(b: Layers, x: Any, convs: int, name: str) -> Any:
    for number in range(1, convs + 1):
        x = _active(b, x, int(x.shape[-1]), 3, f"{name}_{number}")
    return x


def _active(b: Layers, x: Any, filters: int, kernel: int, name: str, stride: int = 1) -> Any:
    return b.relu(_normed(b, x, filters, kernel, name, stride), name=f"{name}_relu")


def _normed(b: Layers, x: Any, filters: int, kernel: int, name: str, stride: int = 1) -> Any:
    return b.norm(b.conv(x, filters, kernel, stride=stride, name=f"{name}_conv"), name=f"{name}_norm")
