"""The interface of a model family: `Backbone`, and how the registry in config/families.py is asked for one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from pkgutil import resolve_name
from typing import ClassVar

from keras_resnet.config.families import FAMILIES
from keras_resnet.config.spec import NetworkSpec
from keras_resnet.errors import UsageError
from keras_resnet.models.layers import Layers, Tensor

# The outputs of a backbone's stages by name, c2 first: {"c2": (B, H, W, C), …}.
Features = dict[str, Tensor]


class Backbone(ABC):
    """A network without its head, as one model family builds it.

    To add a family, subclass this in a file of its own and name the class in `config.families.FAMILIES`.
    """

    # The family's name in figures.
    title: ClassVar[str]
    # Names of its networks for ImageNet and for 32×32 images, as `kresnet models` lists them.
    imagenet_variants: ClassVar[tuple[str, ...]] = ()
    cifar_variants: ClassVar[tuple[str, ...]] = ()
    # Fields of a NetworkSpec that such a name decides, beside depth and family.
    named_settings: ClassVar[tuple[str, ...]] = ()
    # Fewer pixels a side than this leave a stage empty.
    min_size: ClassVar[int]
    # A regular expression for the names of all layers with weights; its one group is the part they belong to.
    layer_pattern: ClassVar[str]
    # Another one, whose group is the residual unit or the block: what is recomputed at a time to save memory.
    unit_pattern: ClassVar[str]
    # The family that adds shortcuts to this one, and whether this one has them.
    residual_family: ClassVar[str | None] = None
    has_shortcuts: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, network: NetworkSpec, image_size: int) -> None:
        """Take up `network` for images of `image_size` pixels a side. Raises UsageError if the family has none such."""

    @classmethod
    @abstractmethod
    def parse_name(cls, name: str) -> NetworkSpec | None:
        """Return the network called `name`, None if that is no name of this family."""

    @classmethod
    @abstractmethod
    def format_name(cls, network: NetworkSpec) -> str:
        """Return the name of `network`; settings that no name tells are left out."""

    @classmethod
    def resolve(cls, network: NetworkSpec, image_size: int) -> tuple[NetworkSpec, str | None]:
        """Return `network` with what depends on the image size decided, and the decision with its reason, if any."""
        return network, None

    @property
    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """The names of its parts, from the image on: what can be frozen ("stem", "stage1", …)."""

    @property
    def max_learning_rate(self) -> float | None:
        """The largest learning rate that it is known to survive from random weights; None if any."""
        return None

    @abstractmethod
    def feature_sizes(self) -> tuple[int, ...]:
        """Return the pixels a side of each of its features."""

    @abstractmethod
    def features(self, layers: Layers, x: Tensor) -> Features:
        """Build the stages on normalized images (B, H, W, C) and return their outputs, the finest first."""

    def pre_logits(self, layers: Layers, x: Tensor) -> Tensor:
        """Build what a classifier puts between the last feature and its logits: (B, H, W, C) → (B, F)."""
        return layers.mean_pool(x, name="pool")

    @abstractmethod
    def shallowest(self) -> Backbone:
        """Return the shallowest network with the same kinds of layers: quick to build and to time."""


@cache
def get_family(name: str) -> type[Backbone]:
    """Return the class of the family called `name` in the registry."""
    family: type[Backbone] = resolve_name(FAMILIES[name].backbone)
    return family


def get_families() -> list[type[Backbone]]:
    """Return the classes of all families, in the registry's order."""
    return [get_family(name) for name in FAMILIES]


def get_backbone(network: NetworkSpec, image_size: int | None = None) -> Backbone:
    """Return the backbone that `network` describes, for images of `image_size` pixels a side, by default the smallest.

    Raises UsageError for a depth that its family does not have, naming the nearest, and for settings that exclude
    each other.
    """
    family = get_family(network.family)
    return family(network, family.min_size if image_size is None else image_size)


def has_shortcuts(network: NetworkSpec) -> bool:
    """Return whether `network` adds a layer's input to what comes later."""
    return get_family(network.family).has_shortcuts


def is_plain_twin(network: NetworkSpec, residual: NetworkSpec) -> bool:
    """Return whether the family of `network` is that of `residual` without its shortcuts."""
    return get_family(network.family).residual_family == residual.family


def unknown_depth(depth: int, known: list[int], kind: str, rule: str = "") -> UsageError:
    """Return the error for a `depth` that is none of `known`; `rule`: others that exist, such as "6n+2"."""
    nearest = min(known, key=lambda each: abs(each - depth))
    allowed = ", ".join(map(str, known[:-1] if rule else known))
    also = f", or {rule} for the CIFAR networks" if rule else ""
    return UsageError(f"{depth} is not {kind}: it must be {allowed}{also}; did you mean {nearest}?")
