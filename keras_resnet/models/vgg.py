"""VGG networks of Simonyan & Zisserman 2015, with and without batch normalization: the lesson's yardstick."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.models.backbone import Backbone, Features, unknown_depth
from keras_resnet.models.layers import Layers, Tensor, scale_filters

# Convolutions of each block (table 1, configurations A, B, D, E).
BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
FILTERS = (64, 128, 256, 512, 512)
HIDDEN_UNITS = 4096
DROPOUT = 0.5


@dataclass(frozen=True)
class VGGConfig:
    """One architecture. convolutions, filters: of each block. hidden_units: of the two layers before the logits."""

    convolutions: tuple[int, ...]
    filters: tuple[int, ...]
    hidden_units: int
    batch_norm: bool


class VGG(Backbone):
    """A VGG network; its two fully connected layers see every pixel, so it takes images of one size."""

    title: ClassVar[str] = "VGG networks"
    imagenet_variants: ClassVar[tuple[str, ...]] = (
        *("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    )
    named_settings: ClassVar[tuple[str, ...]] = ("batch_norm",)
    # Five poolings halve the image five times.
    min_size: ClassVar[int] = 32
    layer_pattern: ClassVar[str] = r"(block\d+|fc\d+)(?:_\w+)?"
    unit_pattern: ClassVar[str] = r"(block\d+)_\w+"

    def __init__(self, network: NetworkSpec, image_size: int) -> None:
        if network.depth not in BLOCKS:
            raise unknown_depth(network.depth, list(BLOCKS), "a VGG depth")
        self.network, self.image_size = network, image_size
        self.config = VGGConfig(
            convolutions=BLOCKS[network.depth],
            filters=tuple(scale_filters(filters, network.width) for filters in FILTERS),
            hidden_units=scale_filters(HIDDEN_UNITS, network.width),
            batch_norm=network.batch_norm,
        )

    @classmethod
    def parse_name(cls, name: str) -> NetworkSpec | None:
        """Return the network called "vgg16" or "vgg16_bn"."""
        match = re.fullmatch(r"vgg(\d+)(_bn)?", name)
        return NetworkSpec(int(match[1]), "vgg", batch_norm=bool(match[2])) if match else None

    @classmethod
    def format_name(cls, network: NetworkSpec) -> str:
        """Return "vgg16", or "vgg16_bn" with batch normalization, as torchvision does."""
        return f"vgg{network.depth}" + ("_bn" if network.batch_norm else "")

    @property
    def parts(self) -> tuple[str, ...]:
        """Five blocks and the two fully connected layers before the logits."""
        return (*(f"block{number}" for number in range(1, 1 + len(FILTERS))), "fc1", "fc2")

    @property
    def max_learning_rate(self) -> float | None:
        """Without batch normalization, ten times less than He et al. use (section 3.1): it diverges at more."""
        return None if self.network.batch_norm else 0.01

    def feature_sizes(self) -> tuple[int, ...]:
        """Return the pixels a side of c2 (stride 4) … c5 (stride 32)."""
        return tuple(self.image_size // stride for stride in (4, 8, 16, 32))

    def features(self, layers: Layers, x: Tensor) -> Features:
        """Build the blocks; c2 (stride 4) … c4 are taken before the poolings of the last three, c5 after the last."""
        features: Features = {}
        for index, convolutions in enumerate(self.config.convolutions):
            block = f"block{index + 1}"
            for number in range(1, convolutions + 1):
                x = layers.conv(x, self.config.filters[index], 3, bias=True, name=f"{block}_conv{number}")
                x = layers.norm(x, name=f"{block}_norm{number}") if self.config.batch_norm else x
                x = layers.relu(x, name=f"{block}_relu{number}")
            if index >= 2:
                features[f"c{index}"] = x
            x = layers.max_pool(x, 2, stride=2, name=f"{block}_pool")
        return features | {"c5": x}

    def pre_logits(self, layers: Layers, x: Tensor) -> Tensor:
        """Build the two hidden layers of the classifier: (B, H, W, C) → (B, hidden_units)."""
        x = layers.flatten(x, name="flatten")
        for number in (1, 2):
            x = layers.hidden(x, self.config.hidden_units, name=f"fc{number}")
            x = layers.relu(x, name=f"fc{number}_relu")
            x = layers.dropout(x, DROPOUT, name=f"fc{number}_drop")
        return x

    def shallowest(self) -> VGG:
        """Return VGG-11 with the same settings."""
        return VGG(replace(self.network, depth=min(BLOCKS)), self.image_size)
