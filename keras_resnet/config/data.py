"""The settings of the data: which images, how they become arrays, and how they are augmented."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from keras_resnet.config.address import require_address
from keras_resnet.config.image_size import SIZE_WORDS, ImageSize, height_and_width, parse_image_size
from keras_resnet.config.network import MAX_CHANNELS, Normalization
from keras_resnet.config.option_groups import AUGMENTATION, COMMON, DATA
from keras_resnet.config.policies import POLICIES, describe_policies
from keras_resnet.config.section import STRICT, Section, not_allowed
from keras_resnet.config.settings import OneOf, Option, Typed, setting
from keras_resnet.config.task_rules import TASK_RULES

# How images of other proportions than the network's become its input → its name in `runtime.preprocess`.
Fit = Literal["crop", "pad", "stretch"]
Cache = Literal["auto", "off"]
FITS: dict[Fit, str] = {"crop": "center_crop", "pad": "letterbox", "stretch": "stretch"}
Size = Annotated[ImageSize | None, BeforeValidator(parse_image_size), Typed(str, "int | str | tuple[int, int]")]


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
    """Which images, and how they become arrays of (height, width, channels) pixels in 0–255, of `image_size`.

    Images to classify are brought to it as `fit` says; crop: resized until they cover `resize`, then cut to
    `image_size` from the center (evaluation) or at random (training). Images with objects are padded.
    """

    PATH: ClassVar[str] = "data"

    source: str = setting(
        "digits",
        "Images to train on: a folder, a table of labels, a TFDS dataset by its name, or the bundled digits,"
        " digit_pairs or shapes.",
        Option("--data", COMMON, "bundled images that suit the task", "DATA"),
    )
    data_dir: str | None = setting(None, "Folder of prepared TFDS datasets.", Option("--data-dir", DATA, metavar="DIR"))
    download: bool = setting(False, "Download a TFDS dataset that is not there yet.", Option("--download", DATA))
    image_size: Size = setting(
        None,
        "Size of the input images in pixels: the side of a square, or HEIGHTxWIDTH.",
        Option("--image-size", COMMON, "chosen from the data", "N|HxW"),
        SIZE_WORDS,
    )
    fit: Fit | None = setting(
        None,
        "How images of other proportions become the input: crop (their edges are cut off), pad (the whole image, with"
        " black beside it) or stretch (the whole image, distorted).",
        Option("--fit", DATA, "chosen from the data"),
    )
    channels: int | None = setting(
        None,
        "Channels of the input images: 1 (gray), 3 (color), or another number, as .npy and TIFF files have them.",
        Option("--channels", DATA, "3, or as many as the data have"),
        f"1 to {MAX_CHANNELS}",
        ge=1,
        le=MAX_CHANNELS,
    )
    resize: Size = setting(None, "Size that images are resized to before they are cropped.", None, SIZE_WORDS)
    val_fraction: float = setting(
        0.2,
        "Share of the images that is held out for validation if there is no validation split.",
        Option("--val-fraction", DATA),
        gt=0,
        lt=1,
    )
    max_unreadable: float = setting(
        0.01, "Share of the images that may be unreadable.", Option("--max-unreadable", DATA), ge=0, le=1
    )
    cache: Cache = setting(
        "auto",
        "Whether to keep decoded images on disk for the next commands: auto (as far as there is room) or off.",
        Option("--cache", DATA),
    )
    service: Annotated[str | None, AfterValidator(require_address)] = setting(
        None,
        "Address of a data service that reads the training images of a folder (see kresnet data-service).",
        Option("--data-service", DATA, metavar="HOST:PORT"),
        allowed="HOST:PORT, as in 127.0.0.1:5050",
    )
    levels: Annotated[tuple[float, ...], AfterValidator(_require_rising)] = setting(
        (),
        "Values that are black and white in images of more than 8 bits; none lets those of a folder decide.",
        allowed="two numbers, that of black and the larger one of white",
    )
    annotations: Annotated[str, OneOf(tuple(rules.annotations for rules in TASK_RULES.values()))] = setting(
        "labels",
        "Annotations: labels, sets of labels, the main object's box, boxes of all objects, or masks. Follows from the"
        " task.",
    )
    crowds: Literal["ignore", "learn"] = setting(
        "ignore",
        "Objects that COCO marks with iscrowd and Pascal VOC with difficult: ignore in loss and metrics, or learn.",
    )
    normalization: Normalization = Field(default_factory=Normalization)

    @property
    def preprocessing(self) -> str:
        """How images become the network's input, as `runtime.preprocess.PREPROCESSORS` names it; of a resolved spec."""
        assert self.fit is not None, "resolve the spec first"
        return FITS[self.fit]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The (height, width, channels) of the network's input; of a resolved spec."""
        assert self.image_size is not None and self.channels is not None, "resolve the spec first"
        return (*height_and_width(self.image_size), self.channels)

    @property
    def input_words(self) -> str:
        """The input in words: "64 × 128 pixels, gray, fit=pad"; the usual goes without saying."""
        height, width, channels = self.input_shape
        words = {1: ", gray", 3: ""}.get(channels, f" of {channels} channels")
        fit = "" if self.fit == "crop" or self.annotations != "labels" else f", fit={self.fit}"
        return f"{height} × {width} pixels{words}{fit}"

    def with_earlier_defaults(self) -> Self:
        """Return it with what all runs were before they could be otherwise: in colors, and cropped unless objects are
        looked for."""
        fit: Fit = self.fit or ("crop" if self.annotations == "labels" else "pad")
        return replace(self, fit=fit, channels=self.channels or 3)

    @model_validator(mode="after")
    def _require_room_to_crop(self) -> Self:
        if self.resize is None or self.image_size is None:
            return self
        whole, cut = height_and_width(self.resize), height_and_width(self.image_size)
        if any(larger < side for larger, side in zip(whole, cut, strict=True)):
            raise not_allowed("data.resize", self.resize, "at least image_size")
        if self.fit in ("pad", "stretch") and whole != cut:
            raise not_allowed("data.resize", self.resize, f"image_size, since --fit {self.fit} cuts nothing off")
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
        "Decode large JPEGs at 1/2, 1/4 or 1/8 of their size for resized crops in training, or at full size.",
        Option("--scaled-decoding", AUGMENTATION, "chosen from the data"),
    )
    flip: bool | None = setting(
        None,
        "Flip half of the training images horizontally, or none.",
        Option("--flip", AUGMENTATION, "chosen from the data"),
    )
    auto_augment: Annotated[str, OneOf(("none", *POLICIES))] = setting(
        "none",
        f"Augmentation policy: {describe_policies()}.",
        Option("--auto-augment", AUGMENTATION),
    )
    operations: int = setting(2, "Operations of RandAugment, out of 14.", ge=1)
    magnitude: float = setting(9.0, "Magnitude of RandAugment.", ge=0, le=10)
    magnitude_std: float = setting(0.5, "Standard deviation of RandAugment's magnitude.", ge=0)
    mixup: float = setting(
        0.0, "Alpha of MixUp (Zhang et al. 2018); 0 turns it off.", Option("--mixup", AUGMENTATION), ge=0
    )
    cutmix: float = setting(
        0.0, "Alpha of CutMix (Yun et al. 2019); 0 turns it off.", Option("--cutmix", AUGMENTATION), ge=0
    )
    random_erase: float = setting(
        0.0,
        "Random erasing: probability that a rectangle is filled with noise (Zhong et al. 2020).",
        Option("--random-erase", AUGMENTATION),
        ge=0,
        le=1,
    )
    repeats: int = setting(1, "How often an epoch shows each of its images, augmented anew (Hoffer et al. 2020).", ge=1)
    train_sizes: tuple[Annotated[int, Field(ge=8)], ...] = setting(
        (),
        "Progressive resizing: sides of the training images, each for an equal share of the epochs, such as 128,160"
        " (Tan & Le 2021).",
        Option("--train-sizes", AUGMENTATION, "--image-size"),
        "8 or more pixels each",
    )
    scales: Annotated[tuple[float, ...], AfterValidator(_require_range)] = setting(
        (),
        "Scale jitter of objects: the smallest and the largest factor, such as 0.5,2 (Ghiasi et al. 2021).",
        Option("--scales", AUGMENTATION, "none"),
        "two numbers above 0, the smaller first",
    )
    color_jitter: float = setting(
        0.0,
        "Color jitter of images with objects: share by which brightness, contrast and saturation change.",
        Option("--color-jitter", AUGMENTATION),
        ge=0,
        lt=1,
    )
    mosaic: float = setting(
        0.0,
        "Mosaic: probability that an image with objects is put together from four (Bochkovskiy et al. 2020).",
        Option("--mosaic", AUGMENTATION),
        ge=0,
        le=1,
    )
    copy_paste: float = setting(
        0.0,
        "Copy-paste: probability that objects of another image are pasted in, by their masks (Ghiasi et al. 2021).",
        Option("--copy-paste", AUGMENTATION),
        ge=0,
        le=1,
    )
