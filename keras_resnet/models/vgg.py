"""VGG networks of Simonyan & Zisserman 2015, with and without batch normalization: the lesson's yardstick."""

from __future__ import annotations

from typing import Any

from keras_resnet.models.layers import Layers

# Convolutions of each block (table 1, configurations A, B, D, E).
BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
FILTERS = (64, 128, 256, 512, 512)
HIDDEN = 4096
DROPOUT = 0.5
# Five poolings halve the image five times.
SMALLEST_IMAGE = 32
# The names of layers, by the part of the network they make (see `parts`).
PARTS = r"(block\d+|fc\d+)(?:_\w+)?"


def features(bricks: Layers, depth: int, width: float, batch_norm: bool, x: Any) -> dict[str, Any]:
    """Features by the names a residual network gives to their strides: c2 (stride 4) … c4 before the
    poolings of the last three blocks, c5 (stride 32) after the last: {"c2": (B, H, W, C), …}."""
    stages: dict[str, Any] = {}
    for index, convolutions in enumerate(BLOCKS[depth]):
        block = f"block{index + 1}"
        for number in range(1, convolutions + 1):
            x = bricks.conv(x, scaled(FILTERS[index], width), 3, bias=True, name=f"{block}_conv{number}")
            x = bricks.norm(x, name=f"{block}_norm{number}") if batch_norm else x
            x = bricks.relu(x, name=f"{block}_relu{number}")
        if index >= 2:
            stages[f"c{index}"] = x
        x = bricks.max_pool(x, 2, stride=2, name=f"{block}_pool")
    return stages | {"c5": x}


def head(bricks: Layers, width: float, x: Any) -> Any:
    """The two hidden layers of the classifier: (B, H, W, C) → (B, 4096 × `width`)."""
    x = bricks.flatten(x, name="flatten")
    for number in (1, 2):
        x = bricks.hidden(x, scaled(HIDDEN, width), name=f"fc{number}")
        x = bricks.relu(x, name=f"fc{number}_relu")
        x = bricks.dropout(x, DROPOUT, name=f"fc{number}_drop")
    return x


def scaled(filters: int, width: float) -> int:
    """`filters` times `width`, to the nearest multiple of 8 and at least 8 (vector units work in eights)."""
    return filters if width == 1 else max(8, 8 * round(filters * width / 8))
