"""Names of networks, as the field writes them: "resnet50", "plain34", "vgg19_bn", "resnext50_32x4d", …"""

from __future__ import annotations

import re

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.errors import UsageError, did_you_mean

# ImageNet networks as their papers and torchvision list them, then those for 32×32 images.
IMAGENET = (
    *("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200"),
    *("resnet18v2", "resnet34v2", "resnet50v2", "resnet101v2", "resnet152v2", "resnet200v2"),
    *("plain18", "plain34"),
    *("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    *("resnet50d", "resnet101d", "resnet152d", "seresnet50", "seresnet101", "seresnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"),
)
CIFAR = (
    *("resnet8", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202"),
    *("resnet20v2", "resnet56v2", "resnet110v2", "resnet164v2", "resnet1001v2"),
    *("plain20", "plain32", "plain44", "plain56", "plain110"),
    *("wrn16_4", "wrn40_4", "wrn28_10"),
)
# Fields of a NetworkSpec that a name tells; the others are left to the data or to options.
TOLD = (
    *("depth", "family", "preactivation", "resnet_d", "cardinality", "base_width", "widen"),
    *("squeeze_excitation", "batch_norm"),
)
_PATTERNS = (
    r"(?P<plain>plain)(?P<depth>\d+)",
    r"(?P<vgg>vgg)(?P<depth>\d+)(?P<bn>_bn)?",
    r"(?P<se>se)?resnet(?P<depth>\d+)(?P<v2>v2)?(?P<d>d)?",
    r"(?P<se>se)?resnext(?P<depth>\d+)_(?P<groups>\d+)x(?P<base>\d+)d",
    r"wide_resnet(?P<depth>\d+)_(?P<factor>\d+)",
    r"(?P<wrn>wrn)(?P<depth>\d+)_(?P<factor>\d+)",
)


def parse_model_name(name: str) -> NetworkSpec:
    """The network called `name`. Raises UsageError, suggesting the nearest, if no such name can be read.

    Whether its depth exists is decided by `catalog.require_known`.
    """
    for pattern in _PATTERNS:
        if match := re.fullmatch(pattern, name):
            return _spec(match.groupdict())
    raise UsageError(f"unknown network {name!r}.{did_you_mean(name, IMAGENET + CIFAR)} List them with: kresnet models")


def model_name(network: NetworkSpec) -> str:
    """The name of `network`. Settings that no name tells (shortcut, stem, width, …) are left out."""
    depth, se = network.depth, "se" if network.squeeze_excitation else ""
    if network.family == "vgg":
        return f"vgg{depth}" + ("_bn" if network.batch_norm else "")
    if network.family == "plain":
        return f"plain{depth}"
    if network.cardinality > 1:
        return f"{se}resnext{depth}_{network.cardinality}x{network.base_width}d"
    if network.widen != 1:
        stem = f"wrn{depth}" if network.preactivation else f"wide_resnet{depth}"
        return f"{stem}_{network.widen:g}"
    return f"{se}resnet{depth}" + ("v2" if network.preactivation else "") + ("d" if network.resnet_d else "")


def _spec(read: dict[str, str | None]) -> NetworkSpec:
    depth = int(read["depth"] or 0)
    if read.get("vgg"):
        return NetworkSpec(depth, "vgg", batch_norm=bool(read["bn"]))
    if read.get("plain"):
        return NetworkSpec(depth, "plain")
    return NetworkSpec(
        depth,
        preactivation=bool(read.get("v2") or read.get("wrn")),
        resnet_d=bool(read.get("d")),
        squeeze_excitation=bool(read.get("se")),
        cardinality=int(read.get("groups") or 1),
        base_width=int(read.get("base") or 64),
        widen=float(read.get("factor") or 1),
    )
