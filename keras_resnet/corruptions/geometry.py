"""Geometry: images turned, and seen from nearer or farther. What comes into view shows the nearest pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from keras_resnet.corruptions.base import Corruption
from keras_resnet.corruptions.blur import enlarge, resize

GROUP = "geometry"


def turn(image: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Turn an image by so many `degrees` to one side or the other."""
    from scipy.ndimage import rotate

    angle = degrees * rng.choice([-1, 1])
    return np.asarray(rotate(image, angle, reshape=False, order=1, mode="nearest"))


def rescale(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Enlarge or shrink an image about its center by `factor`, as chance has it."""
    if rng.random() < 0.5:
        return enlarge(image, factor)
    height, width = image.shape[:2]
    rows, columns = (max(1, round(side / factor)) for side in (height, width))
    shrunk = resize(image, (columns, rows), Image.Resampling.BICUBIC)
    top, left = (height - rows) // 2, (width - columns) // 2
    margins = ((top, height - rows - top), (left, width - columns - left), (0, 0))
    return np.pad(shrunk, margins, mode="edge")


DEGREES, FACTORS = (5, 10, 15, 20, 30), (1.1, 1.2, 1.35, 1.5, 1.75)
CORRUPTIONS = (
    Corruption("rotation", GROUP, turn, DEGREES, DEGREES, moves_pixels=True),
    Corruption("scale", GROUP, rescale, FACTORS, FACTORS, moves_pixels=True),
)
