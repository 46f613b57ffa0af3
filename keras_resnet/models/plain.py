"""Plain networks of He et al. 2015: residual networks without their shortcuts, which get worse with depth."""

from __future__ import annotations

import re
from typing import ClassVar

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.models.resnet import ResNet


class Plain(ResNet):
    """A residual network without shortcuts."""

    title: ClassVar[str] = "plain networks"
    imagenet_variants: ClassVar[tuple[str, ...]] = ("plain18", "plain34")
    cifar_variants: ClassVar[tuple[str, ...]] = ("plain20", "plain32", "plain44", "plain56", "plain110")
    named_settings: ClassVar[tuple[str, ...]] = ()
    residual_family: ClassVar[str | None] = "resnet"
    has_shortcuts: ClassVar[bool] = False
    depth_kind: ClassVar[str] = "a plain depth"

    @classmethod
    def parse_name(cls, name: str) -> NetworkSpec | None:
        """Return the network called "plain34"."""
        match = re.fullmatch(r"plain(\d+)", name)
        return NetworkSpec(int(match[1]), "plain") if match else None

    @classmethod
    def format_name(cls, network: NetworkSpec) -> str:
        """Return "plain34"."""
        return f"plain{network.depth}"

    @classmethod
    def choose_shortcut(cls, network: NetworkSpec) -> str:
        """Return "none"."""
        return "none"
