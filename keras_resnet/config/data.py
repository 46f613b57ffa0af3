"""The settings of the data: which images, how they become arrays, and how they are augmented."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from keras_resnet.config.network import Normalization
from keras_resnet.config.option_groups import AUGMENTATION, COMMON, DATA
from keras_resnet.config.policies import POLICIES, describe_policies
from keras_resnet.config.section import STRICT, Section, not_allowed
from keras_resnet.config.settings import OneOf, Option, setting
from keras_resnet.config.task_rules import TASK_RULES

# Pixels of a side: more are a typing error, or damage.
MAX_SIDE = 16384


def _require_rising(values: tuple[float, ...]) -> tuple[float, ...]:
    """Raise ValueError for anything but () and two rising numbers."""
    if values and (len(values) != 2 or values[0] >= values[1]):
        raise ValueError
    return values


def _require_range(values: tuple[float, ...]) -> tuple[float, ...]:
    """Raise ValueError for anything but () and two numbers above 0, of which the second is not the smaller one."""
    if values and (len(values) != 2 or any(a > b for a, b in pairwise(values)) or values[0] <= 0):
        raise ValueError
    return values


@dataclass(frozen=True, config=STRICT)
class DataSpec(Section):
    """Which images, and how they become arrays of (image_size, image_size, 3) pixels in 0–255.

    Images to classify are resized to `resize` at their shorter side, then cut to `image_size` from the center
    (evaluation) or at random (training). Images with objects are resized at their longer side, and padded.
    """

    PATH: ClassVar[str] = "data"

    source: str = setting(
        "digits", "Images: digits, shapes, a TFDS data set, or a folder.", Option("--data", COMMON, "by the task")
    )
    data_dir: str | None = setting(None, "Where TFDS data sets are prepared.", Option("--data-dir", DATA))
    download: bool = setting(False, "Download a TFDS data set that is not there yet.", Option("--download", DATA))
    image_size: int | None = setting(
        None,
        "Side of the square input images in pixels.",
        Option("--image-size", COMMON, "by the data"),
        f"8 to {MAX_SIDE} pixels",
        ge=8,
        le=MAX_SIDE,
    )
    resize: int | None = setting(None, "Shorter side that images are resized to before they are cropped.", le=MAX_SIDE)
    val_fraction: float = setting(
        0.2, "Share held out where there is no validation split.", Option("--val-fraction", DATA), gt=0, lt=1
    )
    max_unreadable: float = setting(
        0.01, "Share of unreadable images allowed.", Option("--max-unreadable", DATA), ge=0, le=1
    )
    cache: Literal["auto", "off"] = setting(
        "auto",
        "Keep decoded images on disk for the next command, as far as there is room: auto; or off.",
        Option("--cache", DATA),
    )
    service: str | None = setting(
        None,
        "Address of a data service that reads the training images of a folder: HOST:PORT (kresnet data-service).",
        Option("--data-service", DATA, metavar="HOST:PORT"),
    )
    levels: Annotated[tuple[float, ...], AfterValidator(_require_rising)] = setting(
        (),
        "Values that are black and white in images of more than 8 bits; none lets those of a folder decide.",
        allowed="two numbers, that of black and the larger one of white",
    )
    annotations: Annotated[str, OneOf(tuple(rules.annotations for rules in TASK_RULES.values()))] = setting(
        "labels", "Annotations: labels, the main object's box, boxes of all objects, or masks. Follows from the task."
    )
    crowds: Literal["ignore", "learn"] = setting(
        "ignore",
        "Objects that COCO marks by iscrowd and Pascal VOC by difficult: ignore in loss and metrics, or learn.",
    )
    normalization: Normalization = Field(default_factory=Normalization)

    @model_validator(mode="after")
    def _require_room_to_crop(self) -> Self:
        if self.resize is not None and self.image_size is not None and self.resize < self.image_size:
            raise not_allowed("data.resize", self.resize, "at least image_size")
        return self


@dataclass(frozen=True, config=STRICT)
class AugmentSpec(Section):
    """How training images differ from one epoch to the next."""

    PATH: ClassVar[str] = "augment"

    crop: Literal["pad", "resized"] = setting(
        "pad",
        "How training images are cropped: pad (at random, with a margin of zeros; He et al. 2015) or resized (a random"
        " area; Szegedy et al. 2015).",
        Option("--crop", AUGMENTATION),
    )
    min_crop_area: float = setting(0.08, "Smallest area of a resized crop, as a share of the image.", gt=0, le=1)
    scaled_decoding: bool | None = setting(
        None,
        "Decode large JPEGs at 1/2, 1/4 or 1/8 of their size for resized crops in training, or all of their pixels.",
        Option("--scaled-decoding", AUGMENTATION, "by the data"),
    )
    flip: bool | None = setting(
        None, "Mirror half of the training images, or none.", Option("--flip", AUGMENTATION, "by the data")
    )
    auto_augment: Annotated[str, OneOf(("none", *POLICIES))] = setting(
        "none",
        f"Policy: {describe_policies()}.",
        Option("--auto-augment", AUGMENTATION),
    )
    operations: int = setting(2, "Operations of RandAugment, out of 14.", ge=1)
    magnitude: float = setting(9.0, "Magnitude of RandAugment.", ge=0, le=10)
    magnitude_std: float = setting(0.5, "Standard deviation of RandAugment's magnitude.", ge=0)
    mixup: float = setting(0.0, "Alpha of MixUp (Zhang et al. 2018); 0 is off.", Option("--mixup", AUGMENTATION), ge=0)
    cutmix: float = setting(0.0, "Alpha of CutMix (Yun et al. 2019); 0 is off.", Option("--cutmix", AUGMENTATION), ge=0)
    random_erase: float = setting(
        0.0,
        "Probability of filling a rectangle with noise (Zhong et al. 2020).",
        Option("--random-erase", AUGMENTATION),
        ge=0,
        le=1,
    )
    repeats: int = setting(1, "How often an epoch shows each of its images, augmented anew (Hoffer et al. 2020).", ge=1)
    train_sizes: tuple[Annotated[int, Field(ge=8)], ...] = setting(
        (),
        "Sides of training images, in equal shares of the epochs: 128,160 (Tan & Le 2021).",
        Option("--train-sizes", AUGMENTATION, "--image-size"),
        "8 or more pixels each",
    )
    scales: Annotated[tuple[float, ...], AfterValidator(_require_range)] = setting(
        (),
        "Scale jitter of objects, smallest and largest: 0.5,2 (Ghiasi et al. 2021).",
        Option("--scales", AUGMENTATION, "none"),
        "two numbers above 0, the smaller first",
    )
    color_jitter: float = setting(
        0.0,
        "Share by which brightness, contrast and saturation of images with objects change.",
        Option("--color-jitter", AUGMENTATION),
        ge=0,
        lt=1,
    )
    mosaic: float = setting(
        0.0,
        "Probability that an image with objects is four of them (Bochkovskiy et al. 2020).",
        Option("--mosaic", AUGMENTATION),
        ge=0,
        le=1,
    )
    copy_paste: float = setting(
        0.0,
        "Probability of pasting objects of another image, by their masks (Ghiasi et al. 2021).",
        Option("--copy-paste", AUGMENTATION),
        ge=0,
        le=1,
    )
