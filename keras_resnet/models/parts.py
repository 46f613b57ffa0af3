"""What networks are made of: backbone, neck and heads, and which layer belongs to what.

Whoever loads, freezes or slows parts of a network asks here. The files that build layers declare their names: so the
parts of a network are known also after it was saved, copied or quantized.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from keras_resnet.models import build, fpn
from keras_resnet.models.backbone import get_families

# Groups of parts: what turns images into features, what tasks on a pyramid put on those, what predicts.
BACKBONE, NECK, HEADS = GROUPS = ("backbone", "neck", "heads")


@dataclass(frozen=True)
class Part:
    """One part of a network. name: as `--freeze` takes it. group: BACKBONE, NECK or HEADS. title: for messages."""

    name: str
    group: str
    title: str


_BACKBONE = re.compile("|".join(dict.fromkeys(family.layer_pattern for family in get_families())))
_UNITS = re.compile("|".join(dict.fromkeys(family.unit_pattern for family in get_families())))
_OTHERS = (
    (Part("logits", HEADS, "the classifier"), re.compile(build.CLASSIFIER)),
    (Part("neck", NECK, "the neck"), re.compile(fpn.NECK)),
    *((Part(name, HEADS, f"the {name.replace('_', ' ')}"), re.compile(pattern)) for name, pattern in fpn.HEADS.items()),
)
_OUTPUTS = re.compile(rf"logits|{fpn.OUTPUTS}")


def get_part(layer: str) -> Part | None:
    """Return the part that the layer of that name belongs to: of "stage3_unit2_conv1" the part "stage3".

    None for layers between parts and for those of others.
    """
    if match := _BACKBONE.fullmatch(layer):
        name = next(filter(None, match.groups()))
        return Part(name, BACKBONE, name)
    return next((part for part, pattern in _OTHERS if pattern.fullmatch(layer)), None)


def get_unit(layer: str) -> str | None:
    """Return the residual unit or the block of a backbone that the layer of that name belongs to: of
    "stage3_unit2_conv1" "stage3_unit2". None for all other layers."""
    match = _UNITS.fullmatch(layer)
    return next(filter(None, match.groups())) if match else None


def get_group(layer: str) -> str | None:
    """Return the group of the layer's part, None for a layer without one."""
    part = get_part(layer)
    return part.group if part else None


def is_output(layer: str) -> bool:
    """Return whether a layer is the last with weights before an output."""
    return _OUTPUTS.fullmatch(layer) is not None


def find_lateral_layers(layers: Iterable[str]) -> set[str]:
    """Return, of the names of layers, those by which a neck takes up the features of a backbone."""
    return {layer for layer in layers if re.fullmatch(fpn.LATERAL, layer)}


def group_by_part(layers: Iterable[str]) -> dict[Part, list[str]]:
    """Return the names of layers by the part that they belong to, in the order given."""
    groups: dict[Part, list[str]] = {}
    for layer in layers:
        if part := get_part(layer):
            groups.setdefault(part, []).append(layer)
    return groups


def select_parts(name: str, parts: Iterable[str]) -> set[str]:
    """Return those of `parts` (see `tasks.parts_of`) that `name` means: itself, or all of a group."""
    return {part for part in parts if name in (part, _group_named(part))}


def _group_named(part: str) -> str:
    return next((other.group for other, _ in _OTHERS if other.name == part), BACKBONE)
