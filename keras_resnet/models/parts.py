"""What networks are made of: body, neck and heads, and which layer belongs to what.

Whoever loads, freezes or slows parts of a network asks here. The files that build layers declare them: a network is
made of the parts that its layers' names tell, also after it was saved, copied or quantized.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.models import build, fpn, resnet, vgg

# Groups of parts: what comes from images, what the tasks on a pyramid put on it, what answers.
BODY, NECK, HEADS = GROUPS = ("body", "neck", "heads")


@dataclass(frozen=True)
class Part:
    """One part of a network. name: as `--freeze` takes it. group: BODY, NECK or HEADS. words: as a report says it."""

    name: str
    group: str
    words: str


_BODY = re.compile(rf"{resnet.PARTS}|{vgg.PARTS}")
_OTHERS = (
    (Part("logits", HEADS, "the classifier"), re.compile(build.CLASSIFIER)),
    (Part("neck", NECK, "the neck"), re.compile(fpn.NECK)),
    *((Part(name, HEADS, f"the {name.replace('_', ' ')}"), re.compile(pattern)) for name, pattern in fpn.HEADS.items()),
)
_OUTPUTS = re.compile(rf"logits|{fpn.OUTPUTS}")


def part_of(layer: str) -> Part | None:
    """The part to which the layer of that name belongs; None for layers between parts and for those of others.

    "stage3_unit2_conv1" is of the part "stage3".
    """
    if match := _BODY.fullmatch(layer):
        name = next(filter(None, match.groups()))
        return Part(name, BODY, name)
    return next((part for part, pattern in _OTHERS if pattern.fullmatch(layer)), None)


def group_of(layer: str) -> str | None:
    """The group of the layer's part, None for a layer without one."""
    part = part_of(layer)
    return part.group if part else None


def is_output(layer: str) -> bool:
    """Whether a layer is the last with weights before an output."""
    return _OUTPUTS.fullmatch(layer) is not None


def links_of(layers: Iterable[str]) -> set[str]:
    """Of the names of layers those by which a neck takes up the stages of a body."""
    return {layer for layer in layers if re.fullmatch(fpn.LINKS, layer)}


def by_part(layers: Iterable[str]) -> dict[Part, list[str]]:
    """The names of layers by the part that they belong to, in the order given."""
    found: dict[Part, list[str]] = {}
    for layer in layers:
        if part := part_of(layer):
            found.setdefault(part, []).append(layer)
    return found


def body_of(network: NetworkSpec) -> tuple[str, ...]:
    """The names of the parts of a network's body, from the image on."""
    if network.family == "vgg":
        return (*(f"block{number}" for number in range(1, 1 + len(vgg.FILTERS))), "fc1", "fc2")
    variant = build.variant_of(network, build.SMALLEST_IMAGE)
    stages = (f"stage{stage}" for stage in range(1, 1 + len(variant.units)))
    return ("stem", *stages, *(["final"] if variant.preactivation else []))


def named_parts(name: str, parts: Iterable[str]) -> set[str]:
    """Those of `parts` (see `tasks.parts_of`) that `name` means: itself, or all of a group."""
    every = tuple(parts)
    groups = {part: _group_named(part) for part in every}
    return {part for part in every if name in (part, groups[part])}


def _group_named(part: str) -> str:
    return next((other.group for other, _ in _OTHERS if other.name == part), BODY)
