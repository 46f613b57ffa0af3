"""How one training image differs from the next, as a function of the seed and the image's position in the training
alone: a resumed training sees what it would have seen. Pixels are Pillow's; nothing here imports TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from keras_resnet.config.data import AugmentSpec

FILL = (127, 127, 127)
ASPECTS = (3 / 4, 4 / 3)
TRIES = 10
ERASED = (0.02, 1 / 3)
Operation = Callable[[Image.Image, float, "Magnitudes"], Image.Image]


@dataclass(frozen=True)
class Magnitudes:
    """What the full magnitude means: degrees, share of a side, factor around 1, bits kept of a channel's 8."""

    rotate: float
    shear: float
    translate: float
    enhance: float
    bits: int


# Cubuk et al. 2020 (as AutoAugment, table 6, but translations in shares of the side, for images of any size).
RANDAUGMENT = Magnitudes(rotate=30, shear=0.3, translate=0.45, enhance=0.9, bits=4)
# Müller & Hutter 2021, table 8 ("wide"): 32 pixels of their 224 are a seventh.
TRIVIALAUGMENT = Magnitudes(rotate=135, shear=0.99, translate=1 / 7, enhance=0.99, bits=2)


def _affine(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=FILL)


def _enhanced(kind: Any) -> Operation:
    return lambda image, level, reach: kind(image).enhance(1 + level * reach.enhance)


# Levels are -1 … 1; those that know no direction take the size alone.
OPERATIONS: tuple[Operation, ...] = (
    lambda image, level, reach: image,
    lambda image, level, reach: ImageOps.autocontrast(image),
    lambda image, level, reach: ImageOps.equalize(image),
    lambda image, level, reach: image.rotate(level * reach.rotate, Image.Resampling.BILINEAR, fillcolor=FILL),
    lambda image, level, reach: ImageOps.solarize(image, round(256 - 256 * abs(level))),
    lambda image, level, reach: ImageOps.posterize(image, 8 - round((8 - reach.bits) * abs(level))),
    _enhanced(ImageEnhance.Color),
    _enhanced(ImageEnhance.Contrast),
    _enhanced(ImageEnhance.Brightness),
    _enhanced(ImageEnhance.Sharpness),
    lambda image, level, reach: _affine(image, 1, level * reach.shear, 0, 0, 1, 0),
    lambda image, level, reach: _affine(image, 1, 0, 0, level * reach.shear, 1, 0),
    lambda image, level, reach: _affine(image, 1, 0, level * reach.translate * image.width, 0, 1, 0),
    lambda image, level, reach: _affine(image, 1, 0, 0, 0, 1, level * reach.translate * image.height),
)


def needs_pillow(augment: AugmentSpec) -> bool:
    """Whether images are augmented one by one here, rather than a batch at a time in TensorFlow."""
    return augment.crop == "resized" or augment.auto_augment != "none" or augment.random_erase > 0


def augmented(image: Image.Image, position: int, *, augment: AugmentSpec, size: int, flips: bool, seed: int) -> Any:
    """`image` as it is shown at `position` of the training: uint8 (size, size, 3)."""
    rng = np.random.Generator(np.random.Philox(key=[seed, position]))
    cut = (
        _resized_crop(image, augment.min_crop_area, size, rng)
        if augment.crop == "resized"
        else _padded(image, size, rng)
    )
    if flips and rng.random() < 0.5:
        cut = ImageOps.mirror(cut)
    if augment.auto_augment == "randaugment":
        cut = rand_augment(cut, augment, rng)
    elif augment.auto_augment == "trivialaugment":
        cut = OPERATIONS[rng.integers(len(OPERATIONS))](cut, rng.uniform(-1, 1), TRIVIALAUGMENT)
    pixels = np.array(cut)
    if rng.random() < augment.random_erase:
        _erase(pixels, rng)
    return pixels


def rand_augment(image: Image.Image, augment: AugmentSpec, rng: np.random.Generator) -> Image.Image:
    """`operations` drawn ones after one another, each at the magnitude, give or take, in one direction or the other."""
    for _ in range(augment.operations):
        level = np.clip(rng.normal(augment.magnitude, augment.magnitude_std), 0, 10) / 10
        image = OPERATIONS[rng.integers(len(OPERATIONS))](image, float(level * rng.choice((-1, 1))), RANDAUGMENT)
    return image


def _resized_crop(image: Image.Image, smallest: float, size: int, rng: np.random.Generator) -> Image.Image:
    """A part of `smallest` to all of the area, at 3:4 to 4:3, resized (Szegedy et al. 2015, section 6)."""
    for _ in range(TRIES):
        area = rng.uniform(smallest, 1) * image.width * image.height
        aspect = math.exp(rng.uniform(math.log(ASPECTS[0]), math.log(ASPECTS[1])))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= image.width and 0 < height <= image.height:
            left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
            box = (left, top, left + width, top + height)
            return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


def _padded(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """A cut of `size`, after a margin of zeros where the image is no larger (He et al. 2015, section 4.2)."""
    margin = max(1, size // 8) if min(image.size) == size else 0
    left = int(rng.integers(image.width + 2 * margin - size + 1)) - margin
    top = int(rng.integers(image.height + 2 * margin - size + 1)) - margin
    return image.crop((left, top, left + size, top + size))


def _erase(pixels: np.ndarray, rng: np.random.Generator) -> None:
    """Fill a rectangle of 2% to 33% of the area with noise (Zhong et al. 2020, section 3)."""
    height, width = pixels.shape[:2]
    for _ in range(TRIES):
        area = rng.uniform(*ERASED) * height * width
        aspect = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < h < height and 0 < w < width:
            top, left = rng.integers(height - h), rng.integers(width - w)
            pixels[top : top + h, left : left + w] = rng.integers(0, 256, (h, w, 3))
            return
