"""Residual networks of He et al. 2015 ("Deep Residual Learning for Image Recognition").

A `Variant` says everything that distinguishes two networks; `features` builds any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_resnet.bricks import Bricks


@dataclass(frozen=True)
class Variant:
    """One architecture.

    units: residual units per stage. width: filters of the first stage, doubled at each further one.
    bottleneck: 1×1, 3×3, 1×1 convolutions with four times the filters in the last (section 4.1).
    stem: "imagenet" or "cifar". shortcut: "A" or "B" where the shape changes (section 4.1).
    strides: which convolution of a bottleneck strides, "3x3" or "1x1".
    """

    units: tuple[int, ...]
    width: int
    bottleneck: bool
    stem: str
    shortcut: str
    strides: str = "3x3"


def features(bricks: Bricks, variant: Variant, x: Any) -> dict[str, Any]:
    """The output of each stage by its standard name, c2 for the first stage: {"c2": (B, H, W, C), …}."""
    x = _stem(bricks, variant, x)
    stages: dict[str, Any] = {}
    for index, units in enumerate(variant.units):
        filters = variant.width * 2**index
        for unit in range(units):
            stride = 2 if index > 0 and unit == 0 else 1
            x = _unit(bricks, variant, x, filters, stride, f"stage{index + 1}_unit{unit + 1}")
        stages[f"c{index + 2}"] = x
    return stages


def _stem(b: Bricks, variant: Variant, x: Any) -> Any:
    if variant.stem == "cifar":
        x = b.conv(x, variant.width, 3, name="stem_conv")
    else:
        x = b.conv(x, variant.width, 7, stride=2, name="stem_conv")
    x = b.relu(b.norm(x, name="stem_norm"), name="stem_relu")
    return x if variant.stem == "cifar" else b.max_pool(x, 3, stride=2, name="stem_pool")


def _unit(b: Bricks, variant: Variant, x: Any, filters: int, stride: int, name: str) -> Any:
    """y = relu(F(x) + shortcut(x)), equation 2 of the paper."""
    residual = _bottleneck if variant.bottleneck else _basic
    y = residual(b, variant, x, filters, stride, name)
    y = b.add(y, _shortcut(b, variant, x, int(y.shape[-1]), stride, name), name=f"{name}_add")
    return b.relu(y, name=f"{name}_out")


def _basic(b: Bricks, variant: Variant, x: Any, filters: int, stride: int, name: str) -> Any:
    x = b.conv(x, filters, 3, stride=stride, name=f"{name}_conv1")
    x = b.relu(b.norm(x, name=f"{name}_norm1"), name=f"{name}_relu1")
    x = b.conv(x, filters, 3, name=f"{name}_conv2")
    return b.norm(x, zero_init=True, name=f"{name}_norm2")


def _bottleneck(b: Bricks, variant: Variant, x: Any, filters: int, stride: int, name: str) -> Any:
    first, second = (stride, 1) if variant.strides == "1x1" else (1, stride)
    x = b.conv(x, filters, 1, stride=first, name=f"{name}_conv1")
    x = b.relu(b.norm(x, name=f"{name}_norm1"), name=f"{name}_relu1")
    x = b.conv(x, filters, 3, stride=second, name=f"{name}_conv2")
    x = b.relu(b.norm(x, name=f"{name}_norm2"), name=f"{name}_relu2")
    x = b.conv(x, 4 * filters, 1, name=f"{name}_conv3")
    return b.norm(x, zero_init=True, name=f"{name}_norm3")


def _shortcut(b: Bricks, variant: Variant, x: Any, channels: int, stride: int, name: str) -> Any:
    if int(x.shape[-1]) == channels and stride == 1:
        return x
    if variant.shortcut == "B":
        return b.norm(b.conv(x, channels, 1, stride=stride, name=f"{name}_proj"), name=f"{name}_proj_norm")
    if stride > 1:
        x = b.max_pool(x, 1, stride=stride, name=f"{name}_subsample")
    return b.pad_channels(x, channels, name=f"{name}_widen") if int(x.shape[-1]) < channels else x
