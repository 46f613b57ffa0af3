"""RandAugment (Cubuk et al. 2020) and TrivialAugment (Müller & Hutter 2021): operations on single images, drawn at
random. Pixels are Pillow's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from keras_resnet.config.data import AugmentSpec
from keras_resnet.config.image_size import ImageSize

FILL = 127
# (image, level from -1 to 1, what the full level means) → image.
Operation = Callable[[Image.Image, float, "Magnitudes"], Image.Image]


@dataclass(frozen=True)
class Magnitudes:
    """What the full magnitude means: degrees, share of a side, factor around 1, bits kept of a channel's 8."""

    rotate: float
    shear: float
    translate: float
    enhance: float
    bits: int


# Cubuk et al. 2020 (as AutoAugment, table 6, but translations in fractions of the side, for images of any size).
RANDAUGMENT = Magnitudes(rotate=30, shear=0.3, translate=0.45, enhance=0.9, bits=4)
# Müller & Hutter 2021, table 8 ("wide"): 32 pixels of their 224 are a seventh.
TRIVIALAUGMENT = Magnitudes(rotate=135, shear=0.99, translate=1 / 7, enhance=0.99, bits=2)


def transform_affine(image: Image.Image, *matrix: float) -> Image.Image:
    """Return `image` under the affine map whose inverse is `matrix`, the six numbers that Pillow takes."""
    method, filter = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return image.transform(image.size, method, matrix, filter, fillcolor=_fill(image))


def _fill(image: Image.Image) -> int | tuple[int, ...]:
    """Return the color of what comes into view, gray."""
    return FILL if image.mode == "L" else (FILL,) * 3


class _Enhancement(Protocol):
    def __call__(self, image: Image.Image) -> ImageEnhance._Enhance: ...


def _enhance(kind: _Enhancement) -> Operation:
    return lambda image, level, full: kind(image).enhance(1 + level * full.enhance)


# Levels are -1 … 1; those that know no direction take the size alone.
OPERATIONS: tuple[Operation, ...] = (
    lambda image, level, full: image,
    lambda image, level, full: ImageOps.autocontrast(image),
    lambda image, level, full: ImageOps.equalize(image),
    lambda image, level, full: image.rotate(level * full.rotate, Image.Resampling.BILINEAR, fillcolor=_fill(image)),
    lambda image, level, full: ImageOps.solarize(image, round(256 - 256 * abs(level))),
    lambda image, level, full: ImageOps.posterize(image, 8 - round((8 - full.bits) * abs(level))),
    _enhance(ImageEnhance.Color),
    _enhance(ImageEnhance.Contrast),
    _enhance(ImageEnhance.Brightness),
    _enhance(ImageEnhance.Sharpness),
    lambda image, level, full: transform_affine(image, 1, level * full.shear, 0, 0, 1, 0),
    lambda image, level, full: transform_affine(image, 1, 0, 0, level * full.shear, 1, 0),
    lambda image, level, full: transform_affine(image, 1, 0, level * full.translate * image.width, 0, 1, 0),
    lambda image, level, full: transform_affine(image, 1, 0, 0, 0, 1, level * full.translate * image.height),
)


class RandAugment:
    """Applies some operations one after another, each at the same magnitude, more or less (Cubuk et al. 2020)."""

    is_batched: ClassVar[bool] = False

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether it is the policy."""
        return settings.auto_augment == "randaugment"

    def __call__(
        self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: ImageSize
    ) -> Image.Image:
        """Return `image` after `operations` of them, each in one direction or the other."""
        for _ in range(settings.operations):
            level = np.clip(rng.normal(settings.magnitude, settings.magnitude_std), 0, 10) / 10
            operation = OPERATIONS[rng.integers(len(OPERATIONS))]
            image = operation(image, float(level * rng.choice((-1, 1))), RANDAUGMENT)
        return image


class TrivialAugment:
    """Applies one operation at a random magnitude (Müller & Hutter 2021)."""

    is_batched: ClassVar[bool] = False

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether it is the policy."""
        return settings.auto_augment == "trivialaugment"

    def __call__(
        self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: ImageSize
    ) -> Image.Image:
        """Return `image` after the operation."""
        return OPERATIONS[rng.integers(len(OPERATIONS))](image, rng.uniform(-1, 1), TRIVIALAUGMENT)
