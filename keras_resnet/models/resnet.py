"""Residual networks: He et al. 2015 and 2016, wide, ResNeXt, squeeze-and-excitation and ResNet-D."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from keras_resnet.config.provenance import describe_origin
from keras_resnet.config.spec import NetworkSpec
from keras_resnet.errors import UsageError
from keras_resnet.models.backbone import Backbone, Features, unknown_depth
from keras_resnet.models.layers import Layers, Tensor, scale_filters
from keras_resnet.models.residual_units import ResidualBuilder, ResNetConfig

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
FIRST_BOTTLENECK_DEPTH = 50
# Below this many pixels the ImageNet stem, which divides by four, leaves too little to look at.
IMAGENET_STEM_MIN_SIZE = 64
_NAME_PATTERNS = (
    r"(?P<se>se)?resnet(?P<depth>\d+)(?P<v2>v2)?(?P<d>d)?",
    r"(?P<se>se)?resnext(?P<depth>\d+)_(?P<groups>\d+)x(?P<base>\d+)d",
    r"wide_resnet(?P<depth>\d+)_(?P<factor>\d+)",
    r"(?P<wrn>wrn)(?P<depth>\d+)_(?P<factor>\d+)",
)


class ResNet(Backbone):
    """A residual network.

    Depths 10, 18, 34, 50, 101, 152 and 200 are the ImageNet networks. Any 6n+2 from 8 is a CIFAR network of
    He et al. 2015, section 4.2; with bottlenecks any 9n+2 (He et al. 2016); widened ones are counted as
    6n+4 by their authors, who include projections.
    """

    title: ClassVar[str] = "residual networks"
    imagenet_variants: ClassVar[tuple[str, ...]] = (
        *("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200"),
        *("resnet18v2", "resnet34v2", "resnet50v2", "resnet101v2", "resnet152v2", "resnet200v2"),
        *("resnet50d", "resnet101d", "resnet152d", "seresnet50", "seresnet101", "seresnet152"),
        *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"),
    )
    cifar_variants: ClassVar[tuple[str, ...]] = (
        *("resnet8", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202"),
        *("resnet20v2", "resnet56v2", "resnet110v2", "resnet164v2", "resnet1001v2"),
        *("wrn16_4", "wrn40_4", "wrn28_10"),
    )
    named_settings: ClassVar[tuple[str, ...]] = (
        *("preactivation", "resnet_d", "cardinality", "base_width", "widen", "squeeze_excitation"),
    )
    # Five halvings: fewer pixels than this leave a stage of the ImageNet networks empty.
    min_size: ClassVar[int] = 8
    layer_pattern: ClassVar[str] = r"(stem|stage\d+|final)_\w+"
    unit_pattern: ClassVar[str] = r"(stem|stage\d+_unit\d+|final)_\w+"
    has_shortcuts: ClassVar[bool] = True
    # How an error calls what it refuses.
    depth_kind: ClassVar[str] = "a ResNet depth"

    def __init__(self, network: NetworkSpec, image_size: int) -> None:
        self.network, self.image_size = network, image_size
        self.config = self._configure()
        if self.config.groups > 1 or network.base_width != 64:
            self._require_bottlenecks("network.cardinality and base_width need bottleneck blocks")
        if network.strides == "1x1":
            self._require_bottlenecks("network.strides 1x1 needs bottleneck blocks")
        if network.resnet_d and network.shortcut != "auto":
            raise UsageError(
                f"network.resnet_d decides the shortcut. Received also: network.shortcut {network.shortcut}"
            )

    @classmethod
    def parse_name(cls, name: str) -> NetworkSpec | None:
        """Return the network called "resnet50", "resnet50v2", "seresnext50_32x4d", "wide_resnet50_2", "wrn16_4", …"""
        match = next(filter(None, (re.fullmatch(pattern, name) for pattern in _NAME_PATTERNS)), None)
        if match is None:
            return None
        groups = match.groupdict()
        return NetworkSpec(
            int(match["depth"]),
            preactivation=bool(groups.get("v2") or groups.get("wrn")),
            resnet_d=bool(groups.get("d")),
            squeeze_excitation=bool(groups.get("se")),
            cardinality=int(groups.get("groups") or 1),
            base_width=int(groups.get("base") or 64),
            widen=float(groups.get("factor") or 1),
        )

    @classmethod
    def format_name(cls, network: NetworkSpec) -> str:
        """Return the name as torchvision and timm write it; "wrn16_4" as its authors do."""
        depth, se = network.depth, "se" if network.squeeze_excitation else ""
        if network.cardinality > 1:
            return f"{se}resnext{depth}_{network.cardinality}x{network.base_width}d"
        if network.widen != 1:
            prefix = f"wrn{depth}" if network.preactivation else f"wide_resnet{depth}"
            return f"{prefix}_{network.widen:g}"
        return f"{se}resnet{depth}" + ("v2" if network.preactivation else "") + ("d" if network.resnet_d else "")

    @classmethod
    def resolve(cls, network: NetworkSpec, image_size: int) -> tuple[NetworkSpec, str | None]:
        """Return `network` with the stem for images of `image_size` pixels, and which that is and why."""
        stem, reason = choose_stem(network, image_size)
        return replace(network, stem=stem), f"stem: {stem} ({reason})"

    @classmethod
    def choose_shortcut(cls, network: NetworkSpec) -> str:
        """Return "A", "B", "C" or "D" (see `NetworkSpec`)."""
        if network.resnet_d:
            return "D"
        if network.shortcut != "auto":
            return network.shortcut
        # He et al. 2016 project in pre-activation networks, Zagoruyko & Komodakis in widened ones.
        is_projected = network.depth in IMAGENET_UNITS or network.preactivation or network.widen != 1
        return "B" if is_projected else "A"

    @property
    def parts(self) -> tuple[str, ...]:
        """The stem, the stages, and the last norm of a pre-activation network."""
        stages = (f"stage{number}" for number in range(1, 1 + len(self.config.units)))
        return ("stem", *stages, *(["final"] if self.config.preactivation else []))

    def feature_sizes(self) -> tuple[int, ...]:
        """Return the pixels a side of c2 … c5 (c4 in a CIFAR network)."""
        side = self.image_size if self.config.stem == "cifar" else halve(halve(self.image_size))
        sides = [side]
        for _ in self.config.units[1:]:
            sides.append(halve(sides[-1]))
        return tuple(sides)

    def features(self, layers: Layers, x: Tensor) -> Features:
        """Build the stem and the stages; c2 … c5 have strides 4 … 32, in a CIFAR network c2 … c4 strides 1, 2 and 4.

        In a pre-activation network they are the sums, and the last one is normalized and rectified.
        """
        builder = ResidualBuilder(layers, self.config)
        x = builder.stem(x)
        features: Features = {}
        for stage in range(len(self.config.units)):
            x = features[f"c{stage + 2}"] = builder.stage(x, stage)
        if self.config.preactivation:
            features[f"c{len(features) + 1}"] = builder.final(x)
        return features

    def shallowest(self) -> ResNet:
        """Return the network with one unit a stage."""
        backbone = type(self)(self.network, self.image_size)
        backbone.config = replace(self.config, units=(1,) * len(self.config.units))
        return backbone

    def _configure(self) -> ResNetConfig:
        network = self.network
        if network.depth in IMAGENET_UNITS:
            if network.block != "auto":
                raise UsageError(f"network.block can be chosen for CIFAR networks only. Received: {network.block}")
            units, base = IMAGENET_UNITS[network.depth], 64
            bottleneck = network.depth >= FIRST_BOTTLENECK_DEPTH
        else:
            bottleneck = network.block == "bottleneck" or (network.block == "auto" and _counts_bottlenecks(network))
            units, base = (self._cifar_units(bottleneck),) * 3, 16
        width = scale_filters(base, network.width)
        return ResNetConfig(
            units=units,
            stem_width=width,
            width=width if bottleneck else scale_filters(width, network.widen),
            bottleneck=bottleneck,
            stem=choose_stem(network, self.image_size)[0],
            shortcut=self.choose_shortcut(network),
            strides=network.strides,
            preactivation=network.preactivation,
            groups=network.cardinality,
            inner=network.base_width / 64 * (network.widen if bottleneck else 1),
            kept=network.keep_ratio,
            squeeze_excitation=network.squeeze_excitation,
            drop_path=network.drop_path,
            zero_gamma=network.zero_gamma,
        )

    def _cifar_units(self, bottleneck: bool) -> int:
        """Return the units a stage. Raises UsageError for a depth that is not one of the kind."""
        network = self.network
        a, b = (9, 2) if bottleneck else (6, 2 if network.widen == 1 else 4)
        units, rest = divmod(network.depth - b, a)
        if units < 1 or rest:
            nearest = max(a + b, a * round((network.depth - b) / a) + b)
            raise unknown_depth(network.depth, [*IMAGENET_UNITS, nearest], self.depth_kind, f"{a}n+{b}")
        return units

    def _require_bottlenecks(self, rule: str) -> None:
        if not self.config.bottleneck:
            raise UsageError(f"{rule}. Received: {self.network.depth}")


def choose_stem(network: NetworkSpec, image_size: int) -> tuple[str, str]:
    """Return the stem for images of `image_size` pixels, and the reason for it."""
    if network.stem != "auto":
        return network.stem, describe_origin("network.stem")
    if network.depth not in IMAGENET_UNITS:
        return "cifar", "the CIFAR networks have no other"
    if image_size < IMAGENET_STEM_MIN_SIZE:
        return "cifar", f"images of {image_size} pixels are smaller than {IMAGENET_STEM_MIN_SIZE}"
    stem = "deep" if network.resnet_d else "imagenet"
    return stem, f"for images of {IMAGENET_STEM_MIN_SIZE} pixels or more; smaller ones get the cifar stem"


def halve(side: int) -> int:
    """Return the pixels a side after a convolution of stride 2, padded symmetrically."""
    return -(-side // 2)


def _counts_bottlenecks(network: NetworkSpec) -> bool:
    return network.preactivation and network.widen == 1
