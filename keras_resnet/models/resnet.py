"""Residual networks of He et al. 2015 and 2016, their plain twins, and what others made of them.

A `ResNetConfig` says everything that distinguishes two networks; `features` builds any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_resnet.models.layers import Layers

# Hu et al. 2018, section 6.
SQUEEZE = 16
# The names of layers, by the part of the network they make (see `parts`).
PARTS = r"(stem|stage\d+|final)_\w+"


@dataclass(frozen=True)
class ResNetConfig:
    """One architecture. `NetworkSpec` explains what its fields share with it.

    units: residual units per stage. stem_width: filters of the stem. width: filters of the first stage,
    doubled at each further one. bottleneck: 1×1, 3×3, 1×1 convolutions with four times the filters in the
    last (He et al. 2015, section 4.1), `inner` times the filters (per group) in the first two. kept: share of the
    filters of all convolutions of a unit but the last.
    stem: "imagenet", "deep" or "cifar". shortcut: "A", "B", "C", "D", or "none" in a plain network.
    """

    units: tuple[int, ...]
    stem_width: int
    width: int
    bottleneck: bool
    stem: str
    shortcut: str
    strides: str = "3x3"
    preactivation: bool = False
    groups: int = 1
    inner: float = 1.0
    kept: float = 1.0
    squeeze: bool = False
    drop_path: float = 0.0
    zero_gamma: bool = True


@dataclass(frozen=True)
class _Unit:
    """One residual unit. drop: chance of leaving it out. activated: its input went through norm and ReLU."""

    name: str
    filters: int
    stride: int
    drop: float
    activated: bool


def features(bricks: Layers, variant: ResNetConfig, x: Any) -> dict[str, Any]:
    """The output of each stage by its standard name, c2 for the first stage: {"c2": (B, H, W, C), …}.

    In a pre-activation network they are the sums, and the last one is normalized and rectified.
    """
    x = _stem(bricks, variant, x)
    stages: dict[str, Any] = {}
    build = _preactivation_unit if variant.preactivation else _unit
    for stage in range(len(variant.units)):
        for unit in _units(variant, stage):
            x = build(bricks, variant, x, unit)
        stages[f"c{stage + 2}"] = x
    if variant.preactivation:
        stages[f"c{len(stages) + 1}"] = bricks.relu(bricks.norm(x, name="final_norm"), name="final_relu")
    return stages


def _units(variant: ResNetConfig, stage: int) -> list[_Unit]:
    before, total = sum(variant.units[:stage]), sum(variant.units)
    return [
        _Unit(
            name=f"stage{stage + 1}_unit{index + 1}",
            filters=variant.width * 2**stage,
            stride=2 if stage > 0 and index == 0 else 1,
            # Huang et al. 2016, equation 4.
            drop=variant.drop_path * (before + index + 1) / total,
            activated=before + index == 0 and variant.stem != "cifar",
        )
        for index in range(variant.units[stage])
    ]


def _stem(b: Layers, variant: ResNetConfig, x: Any) -> Any:
    width = variant.stem_width
    if variant.stem == "cifar":
        x = b.conv(x, width, 3, name="stem_conv")
        # A pre-activation unit begins with the norm.
        return x if variant.preactivation else b.relu(b.norm(x, name="stem_norm"), name="stem_relu")
    if variant.stem == "deep":
        for number, (filters, stride) in enumerate(((width // 2, 2), (width // 2, 1)), 1):
            x = b.conv(x, filters, 3, stride=stride, name=f"stem_conv{number}")
            x = b.relu(b.norm(x, name=f"stem_norm{number}"), name=f"stem_relu{number}")
        x = b.conv(x, width, 3, name="stem_conv")
    else:
        x = b.conv(x, width, 7, stride=2, name="stem_conv")
    x = b.relu(b.norm(x, name="stem_norm"), name="stem_relu")
    return b.max_pool(x, 3, stride=2, name="stem_pool")


def _unit(b: Layers, variant: ResNetConfig, x: Any, unit: _Unit) -> Any:
    """y = relu(F(x) + shortcut(x)), equation 2 of He et al. 2015; without the sum in a plain network."""
    convs = _convolutions(variant, unit)
    zero_gamma = variant.zero_gamma and variant.shortcut != "none"
    y = x
    for number, (filters, kernel, stride, groups) in enumerate(convs, 1):
        last = number == len(convs)
        y = b.conv(y, filters, kernel, stride=stride, groups=groups, name=f"{unit.name}_conv{number}")
        y = b.norm(y, zero_init=zero_gamma and last, name=f"{unit.name}_norm{number}")
        y = y if last else b.relu(y, name=f"{unit.name}_relu{number}")
    y = _finish_residual(b, variant, y, unit)
    if variant.shortcut != "none":
        y = b.add(y, _shortcut(b, variant, x, x, int(y.shape[-1]), unit), name=f"{unit.name}_add")
    return b.relu(y, name=f"{unit.name}_out")


def _preactivation_unit(b: Layers, variant: ResNetConfig, x: Any, unit: _Unit) -> Any:
    """y = F(relu(norm(x))) + shortcut, He et al. 2016, figure 1b. A projection sees the activated input."""
    y = activated = x if unit.activated else b.relu(b.norm(x, name=f"{unit.name}_norm1"), name=f"{unit.name}_relu1")
    for number, (filters, kernel, stride, groups) in enumerate(_convolutions(variant, unit), 1):
        if number > 1:
            y = b.relu(b.norm(y, name=f"{unit.name}_norm{number}"), name=f"{unit.name}_relu{number}")
        y = b.conv(y, filters, kernel, stride=stride, groups=groups, name=f"{unit.name}_conv{number}")
    y = _finish_residual(b, variant, y, unit)
    return b.add(y, _shortcut(b, variant, x, activated, int(y.shape[-1]), unit), name=f"{unit.name}_add")


def _convolutions(variant: ResNetConfig, unit: _Unit) -> list[tuple[int, int, int, int]]:
    """(filters, kernel, stride, groups) of each convolution of a unit."""
    if not variant.bottleneck:
        return [(_kept(unit.filters, variant), 3, unit.stride, 1), (unit.filters, 3, 1, 1)]
    first, second = (unit.stride, 1) if variant.strides == "1x1" else (1, unit.stride)
    inner = _kept(int(unit.filters * variant.inner) * variant.groups, variant)
    return [(inner, 1, first, 1), (inner, 3, second, variant.groups), (4 * unit.filters, 1, 1, 1)]


def _kept(filters: int, variant: ResNetConfig) -> int:
    return filters if variant.kept == 1 else max(8, round(filters * variant.kept / 8) * 8)


def _finish_residual(b: Layers, variant: ResNetConfig, y: Any, unit: _Unit) -> Any:
    if variant.squeeze:
        y = _squeeze_excitation(b, y, unit.name)
    return b.drop_path(y, unit.drop, name=f"{unit.name}_drop") if unit.drop else y


def _squeeze_excitation(b: Layers, x: Any, name: str) -> Any:
    """Each channel times a weight in 0–1 that the channels' means decide (Hu et al. 2018, section 3)."""
    channels = int(x.shape[-1])
    s = b.mean_pool(x, keep=True, name=f"{name}_squeeze")
    s = b.conv(s, max(1, channels // SQUEEZE), 1, bias=True, name=f"{name}_se1")
    s = b.conv(b.relu(s, name=f"{name}_se_relu"), channels, 1, bias=True, name=f"{name}_se2")
    return b.multiply(x, b.sigmoid(s, name=f"{name}_se_sigmoid"), name=f"{name}_scale")


def _shortcut(b: Layers, variant: ResNetConfig, x: Any, activated: Any, channels: int, unit: _Unit) -> Any:
    """x itself where it has the shape of the sum (unless option C), else x brought to that shape."""
    name, stride = unit.name, unit.stride
    if int(x.shape[-1]) == channels and stride == 1 and variant.shortcut != "C":
        return x
    if variant.shortcut == "A":
        if stride > 1:
            activated = b.max_pool(activated, 1, stride=stride, name=f"{name}_subsample")
        widen = int(x.shape[-1]) < channels
        return b.pad_channels(activated, channels, name=f"{name}_widen") if widen else activated
    if variant.shortcut == "D" and stride > 1:
        activated, stride = b.halve(activated, name=f"{name}_mean"), 1
    y = b.conv(activated, channels, 1, stride=stride, name=f"{name}_proj")
    return y if variant.preactivation else b.norm(y, name=f"{name}_proj_norm")
