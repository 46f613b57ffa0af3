"""Random erasing: Zhong et al. 2020, "Random Erasing Data Augmentation"."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from PIL import Image

from keras_resnet.config.data import AugmentSpec
from keras_resnet.config.image_size import ImageSize

AREAS = (0.02, 1 / 3)
ASPECT_RATIOS = (0.3, 1 / 0.3)
MAX_TRIES = 10


class RandomErase:
    """Fills a rectangle of 2% to 33% of the area with noise (section 3), with the chance `random_erase`."""

    is_batched: ClassVar[bool] = False

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether the chance is above 0."""
        return settings.random_erase > 0

    def __call__(
        self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: ImageSize
    ) -> Image.Image:
        """Return `image`, perhaps with such a rectangle."""
        if rng.random() >= settings.random_erase:
            return image
        pixels = np.array(image)
        height, width = pixels.shape[:2]
        for _ in range(MAX_TRIES):
            area = rng.uniform(*AREAS) * height * width
            aspect = math.exp(rng.uniform(math.log(ASPECT_RATIOS[0]), math.log(ASPECT_RATIOS[1])))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < h < height and 0 < w < width:
                top, left = rng.integers(height - h), rng.integers(width - w)
                pixels[top : top + h, left : left + w] = rng.integers(0, 256, (h, w, *pixels.shape[2:]))
                break
        return Image.fromarray(pixels)
