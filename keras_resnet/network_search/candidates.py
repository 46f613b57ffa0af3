"""Candidates of a search: a network with its input, which decide the cost, and the recipe that it is trained by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from keras_resnet.config.image_size import ImageSize, format_size, height_and_width, parse_image_size
from keras_resnet.config.network import NetworkSpec
from keras_resnet.models.backbone import get_family
from keras_resnet.models.flops import Cost, count_cost
from keras_resnet.models.names import NAMED_SETTINGS, parse_model_name
from keras_resnet.runtime.plurals import counted


@dataclass(frozen=True)
class Architecture:
    """What decides the cost of a file: a network by name, its width, and the images that it takes."""

    model: str
    width: float
    image_size: ImageSize
    channels: int

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Architecture:
        """Return the architecture among the `options` of a training."""
        size: Any = parse_image_size(options["image_size"])
        return cls(options["model"], options["width"], size, options["channels"])

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The (height, width, channels) of the images."""
        return (*height_and_width(self.image_size), self.channels)

    @property
    def network(self) -> NetworkSpec:
        """The network, its stem chosen for the image size. Raises UsageError where it takes no such width."""
        network = replace(parse_model_name(self.model), width=float(self.width))
        return get_family(network.family).resolve(network, min(self.input_shape[:2]))[0]

    @property
    def kind(self) -> tuple[object, ...]:
        """What networks have in common that differ in depth, width and input alone."""
        network = parse_model_name(self.model)
        return tuple(getattr(network, name) for name in NAMED_SETTINGS if name != "depth")

    def count(self, classes: int) -> Cost:
        """Return what can be counted of the network. Raises UsageError for one that does not exist, or takes no images
        so small."""
        return count_cost(self.network, classes=classes, input_shape=self.input_shape)

    def options(self) -> dict[str, Any]:
        """Return the options of a training that choose it."""
        return asdict(self) | {"image_size": self.size_text}

    @property
    def size_text(self) -> str:
        """The image size as it is typed."""
        return format_size(self.image_size)

    def __str__(self) -> str:
        gray = {1: ", gray", 3: ""}.get(self.channels, f", {self.channels} channels")
        return f"{self.model} × {self.width:g}, {self.size_text} px{gray}"


@dataclass(frozen=True)
class Recipe:
    """How a candidate is brought its images and trained; names are those of the options of a training."""

    fit: str
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    auto_augment: str
    mixup: float
    epochs: int

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Recipe:
        """Return the recipe among the `options` of a training."""
        return cls(**{field.name: options[field.name] for field in fields(cls)})

    def __str__(self) -> str:
        augmentation = [self.auto_augment] * (self.auto_augment != "none") + ["MixUp"] * bool(self.mixup)
        return (
            f"{counted(self.epochs, 'epoch')}, rate {self.learning_rate:.3g}, decay {self.weight_decay:.2g}, smoothing"
            f" {self.label_smoothing:g}, {' and '.join(augmentation) or 'no policy'}"
        )


@dataclass(frozen=True)
class Candidate:
    """One proposal of a search."""

    architecture: Architecture
    recipe: Recipe

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Candidate:
        """Return the candidate that `options` describe."""
        return cls(Architecture.from_options(options), Recipe.from_options(options))

    def options(self) -> dict[str, Any]:
        """Return the options of the training."""
        return self.architecture.options() | asdict(self.recipe)
