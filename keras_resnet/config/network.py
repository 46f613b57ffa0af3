"""The settings of a network: its architecture, its input normalization, and the heads of a detector."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from keras_resnet.config.families import FAMILIES
from keras_resnet.config.option_groups import COMMON, MODEL
from keras_resnet.config.section import STRICT, Section, not_allowed
from keras_resnet.config.settings import OneOf, Option, setting
from keras_resnet.errors import SettingError

# Layers, and convolutions of a tower: more are a typing error, or damage.
MAX_DEPTH, MAX_HEAD_CONVS = 2000, 64
# Channels of an image.
MAX_CHANNELS = 64
Channels = Annotated[tuple[float, ...], Field(min_length=1, max_length=MAX_CHANNELS)]


def _require_positive(values: tuple[float, ...]) -> tuple[float, ...]:
    if min(values) <= 0:
        raise ValueError
    return values


@dataclass(frozen=True, config=STRICT)
class Normalization(Section):
    """`(pixel - mean) / std` per channel, for pixels in 0–255. Part of every model."""

    PATH: ClassVar[str] = "data.normalization"

    mean: Channels = setting(
        (127.5, 127.5, 127.5),
        "Means of the channels.",
        allowed="a number for each channel: three for red, green and blue",
    )
    std: Annotated[Channels, AfterValidator(_require_positive)] = setting(
        (127.5, 127.5, 127.5),
        "Standard deviations of the channels.",
        allowed="a number above 0 for each channel: three for colors",
    )

    @model_validator(mode="after")
    def _require_as_many(self) -> Self:
        if len(self.mean) != len(self.std):
            raise not_allowed("data.normalization.std", self.std, f"as many numbers as the mean ({len(self.mean)})")
        return self

    def adapt(self, channels: int) -> Normalization:
        """Return it for images of so many `channels`: of other than three of them each has the mean of all means and
        of all deviations. Raises SettingError for numbers that are neither for three channels nor for `channels`."""
        if len(self.mean) == channels:
            return self
        if len(self.mean) != 3:
            raise not_allowed("data.normalization.mean", self.mean, f"{channels} numbers, one for each channel")
        mean, std = (sum(values) / 3 for values in (self.mean, self.std))
        return Normalization((mean,) * channels, (std,) * channels)


@dataclass(frozen=True, config=STRICT)
class NetworkSpec(Section):
    """Which network. `models.names` turns names such as "resnext50_32x4d" into one."""

    PATH: ClassVar[str] = "network"

    depth: int = setting(
        50,
        "Layers with weights: 10, 18, 34, 50, 101, 152 or 200, or 6n+2, such as 8 or 20, for a CIFAR network.",
        Option("--depth", COMMON, "20 for the digits, else 50"),
        le=MAX_DEPTH,
    )
    family: Annotated[str, OneOf(tuple(FAMILIES))] = setting("resnet", "Kind of network; --model names it.")
    preactivation: bool = setting(
        False,
        "Normalize and activate before each convolution (v2; He et al. 2016); depths of 9n+2 are then CIFAR networks.",
        Option("--preactivation", MODEL),
    )
    block: Literal["auto", "basic", "bottleneck"] = setting(
        "auto",
        "Residual unit of a CIFAR network: basic or bottleneck.",
        Option("--block", MODEL, "depends on the network"),
    )
    strides: Literal["3x3", "1x1"] = setting(
        "3x3",
        "Which convolution of a bottleneck has the stride: 3x3 (torchvision, V1.5) or 1x1 (He et al. 2015).",
        Option("--strides", MODEL),
    )
    stem: Annotated[str, OneOf(("auto", "imagenet", "deep", "cifar"))] = setting(
        "auto",
        "First layers: imagenet (7×7, max pooling), deep (three 3×3; He et al. 2019) or cifar (one 3×3).",
        Option("--stem", MODEL, "depends on the image size"),
    )
    shortcut: Literal["auto", "A", "B", "C", "D"] = setting(
        "auto",
        "Shortcut: A (zero padding), B (projection where the shape changes), C (projection everywhere) of He et al."
        " 2015, or D (average pooling first; He et al. 2019).",
        Option("--shortcut", MODEL, "A for CIFAR networks, else B"),
    )
    resnet_d: bool = setting(
        False, "Use the deep stem and the average-pooled shortcuts of ResNet-D.", Option("--resnet-d", MODEL)
    )
    cardinality: int = setting(
        1, "Groups of a bottleneck's 3×3 convolution (ResNeXt; Xie et al. 2017).", Option("--cardinality", MODEL), ge=1
    )
    base_width: int = setting(
        64, "Filters of each group per 64 filters of the stage (ResNeXt).", Option("--base-width", MODEL), ge=1
    )
    widen: float = setting(
        1.0, "Width factor of a wide ResNet (Zagoruyko & Komodakis 2016).", Option("--widen", MODEL), gt=0
    )
    width: float = setting(
        1.0, "Width factor of all filters, rounded to multiples of 8.", Option("--width", MODEL), gt=0
    )
    keep_ratio: float = setting(
        1.0,
        "Share of the filters inside residual units that filter pruning leaves (Li et al. 2017).",
        gt=0,
        le=1,
    )
    squeeze_excitation: bool = setting(
        False,
        "Add squeeze-and-excitation to each residual unit (Hu et al. 2018).",
        Option("--squeeze-excitation", MODEL),
    )
    drop_path: float = setting(
        0.0,
        "Stochastic depth: probability of dropping the last residual unit; that of the others rises linearly from 0"
        " (Huang et al. 2016).",
        Option("--drop-path", MODEL),
        ge=0,
        lt=1,
    )
    zero_gamma: bool = setting(
        True,
        "Do not start residual units as identities (Goyal et al. 2017, section 5.1).",
        Option("--no-zero-gamma", MODEL),
    )
    batch_norm: bool = setting(True, "Use batch norm; of vgg only.")

    @model_validator(mode="after")
    def _require_settings_of_the_family(self) -> Self:
        if self.keep_ratio != 1 and self.cardinality != 1:
            raise not_allowed(
                "network.keep_ratio", self.keep_ratio, "1 where convolutions have groups, which lose no single filters"
            )
        taken = FAMILIES[self.family].settings
        for name, field in self.__pydantic_fields__.items():
            if name not in ("family", "depth", *taken) and getattr(self, name) != field.default:
                raise SettingError(
                    f"network.{name} has no meaning for a {self.family} network."
                    f" Received: {getattr(self, name)}. It takes: {', '.join(taken)}"
                )
        return self


@dataclass(frozen=True, config=STRICT)
class HeadSpec(Section):
    """What detection and segmentation put on a network's feature pyramid."""

    PATH: ClassVar[str] = "head"

    convs: int = setting(
        2, "Convolutions of each tower of a detector.", Option("--head-convs", MODEL), ge=1, le=MAX_HEAD_CONVS
    )
    masks: Literal["condinst", "yolact"] = setting(
        "condinst",
        "Mask head: condinst (a small network per object; Tian et al. 2020) or yolact (a weighted sum of prototypes;"
        " Bolya et al. 2019).",
        Option("--masks", MODEL),
    )
