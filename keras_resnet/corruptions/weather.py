"""Weather: snow and fog of ImageNet-C (Hendrycks & Dietterich 2019, section 3.1). Its frost is made of photographs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_resnet.corruptions.base import Corruption
from keras_resnet.corruptions.blur import enlarge, smear

GROUP = "weather"
# Of luma in RGB (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114])


class Snow(NamedTuple):
    """mean, deviation: of the noise that flakes are made of. zoom: how much it is enlarged. threshold: below which
    there is no flake. radius, blur: of their motion (see `blur.smear`). opacity: of the image over a white copy."""

    mean: float
    deviation: float
    zoom: float
    threshold: float
    radius: float
    blur: float
    opacity: float


def add_snow(image: np.ndarray, constants: Snow, rng: np.random.Generator) -> np.ndarray:
    """Whiten an image and let flakes fall over it, downward to 45° aside, once more turned by 180°."""
    noise = rng.normal(constants.mean, constants.deviation, size=(*image.shape[:2], 1))
    flakes = enlarge(noise, constants.zoom)
    flakes[flakes < constants.threshold] = 0
    flakes = smear(np.clip(flakes, 0, 1), constants.radius, constants.blur, rng.uniform(-135, -45))
    gray = image @ LUMA if image.shape[2] == len(LUMA) else image.mean(axis=2)
    whitened = np.maximum(image, 1.5 * gray[:, :, None] + 0.5)
    return np.asarray(constants.opacity * image + (1 - constants.opacity) * whitened + flakes + flakes[::-1, ::-1])


def add_fog(image: np.ndarray, constants: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Add a plasma fractal of the strength `constants[0]` and the roughness `constants[1]` (see `make_plasma`), and
    bring the brightest value back to what it was."""
    strength, decay = constants
    height, width = image.shape[:2]
    side = 1 << (max(height, width) - 1).bit_length()
    brightest = image.max()
    foggy = image + strength * make_plasma(side, decay, rng)[:height, :width, None]
    return np.asarray(foggy * brightest / (brightest + strength))


def make_plasma(side: int, decay: float, rng: np.random.Generator) -> np.ndarray:
    """Return a height map (side, side) in 0–1 that repeats itself at its borders, by the diamond-square algorithm
    (Fournier, Fussell & Carpenter 1982): with each halving of the step, chance falls by `decay`. side: a power of 2."""
    heights = np.zeros((side, side))
    step, chance = side, 100.0
    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]

        def draw(scale: float = chance, shape: tuple[int, ...] = corners.shape) -> np.ndarray:
            return scale * rng.uniform(-scale, scale, shape)

        rows = corners + np.roll(corners, -1, axis=0)
        centers = (rows + np.roll(rows, -1, axis=1)) / 4 + draw()
        columns = corners + np.roll(corners, -1, axis=1)
        heights[half::step, half::step] = centers
        heights[::step, half::step] = (columns + centers + np.roll(centers, 1, axis=0)) / 4 + draw()
        heights[half::step, ::step] = (rows + centers + np.roll(centers, 1, axis=1)) / 4 + draw()
        step, chance = half, chance / decay
    heights -= heights.min()
    return np.asarray(heights / max(heights.max(), np.finfo(float).tiny))


SMALL_SNOW = (
    Snow(0.1, 0.2, 1, 0.6, 8, 3, 0.95),
    Snow(0.1, 0.2, 1, 0.5, 10, 4, 0.9),
    Snow(0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
    Snow(0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
    Snow(0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
)
LARGE_SNOW = (
    Snow(0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    Snow(0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    Snow(0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    Snow(0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    Snow(0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
SMALL_FOG = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))
LARGE_FOG = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))
CORRUPTIONS = (
    Corruption("snow", GROUP, add_snow, SMALL_SNOW, LARGE_SNOW),
    Corruption("fog", GROUP, add_fog, SMALL_FOG, LARGE_FOG),
)
