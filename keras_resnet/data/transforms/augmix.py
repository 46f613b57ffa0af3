"""AugMix: Hendrycks et al. 2020, "AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty"."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from PIL import Image, ImageOps

from keras_resnet.config.data import AugmentSpec
from keras_resnet.config.image_size import ImageSize

# Section 3 and its code: how many chains are mixed, of 1 to how many operations, how severe at most on a scale of 10,
# and the parameter of the Dirichlet and Beta distributions.
WIDTH = 3
MAX_DEPTH = 3
SEVERITY = 3.0
ALPHA = 1.0
# What the full severity of 10 means.
MAX_BITS = 4
MAX_DEGREES = 30
MAX_SOLARIZE = 256
MAX_SHEAR = 0.3
MAX_TRANSLATE = 1 / 3
Operation = Callable[[Image.Image, np.random.Generator], Image.Image]


class AugMix:
    """Mixes an image with a mixture of chains of operations on it, none of which is a corruption of ImageNet-C.

    The image alone: the loss that keeps the predictions for several mixtures alike is not part of it.
    """

    is_batched: ClassVar[bool] = False

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether it is the policy."""
        return settings.auto_augment == "augmix"

    def __call__(
        self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: ImageSize
    ) -> Image.Image:
        """Return m · (w1 · chain1(image) + …) + (1 - m) · image, w drawn from Dirichlet(1, …) and m from Beta(1, 1)."""
        weights, share = rng.dirichlet([ALPHA] * WIDTH), rng.beta(ALPHA, ALPHA)
        mixture = np.zeros(np.asarray(image).shape)
        for weight in weights:
            chained = image
            for _ in range(rng.integers(1, MAX_DEPTH + 1)):
                chained = OPERATIONS[rng.integers(len(OPERATIONS))](chained, rng)
            mixture += weight * np.asarray(chained, np.float64)
        mixed = share * mixture + (1 - share) * np.asarray(image, np.float64)
        return Image.fromarray(np.clip(np.round(mixed), 0, 255).astype(np.uint8))


def _draw_level(rng: np.random.Generator) -> float:
    """Return a share of the full severity."""
    return float(rng.uniform(0.1, SEVERITY)) / 10


def _draw_signed_level(rng: np.random.Generator) -> float:
    return _draw_level(rng) * (1 if rng.random() < 0.5 else -1)


def _autocontrast(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.autocontrast(image)


def _equalize(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.equalize(image)


def _posterize(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.posterize(image, MAX_BITS - int(MAX_BITS * _draw_level(rng)))


def _rotate(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.rotate(int(MAX_DEGREES * _draw_signed_level(rng)), Image.Resampling.BILINEAR)


def _solarize(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.solarize(image, MAX_SOLARIZE - int(MAX_SOLARIZE * _draw_level(rng)))


def _shear_x(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _affine(image, 1, MAX_SHEAR * _draw_signed_level(rng), 0, 0, 1, 0)


def _shear_y(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _affine(image, 1, 0, 0, MAX_SHEAR * _draw_signed_level(rng), 1, 0)


def _translate_x(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _affine(image, 1, 0, int(MAX_TRANSLATE * image.width * _draw_signed_level(rng)), 0, 1, 0)


def _translate_y(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _affine(image, 1, 0, 0, 0, 1, int(MAX_TRANSLATE * image.height * _draw_signed_level(rng)))


def _affine(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


OPERATIONS: tuple[Operation, ...] = (
    _autocontrast,
    _equalize,
    _posterize,
    _rotate,
    _solarize,
    _shear_x,
    _shear_y,
    _translate_x,
    _translate_y,
)
