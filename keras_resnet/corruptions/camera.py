"""What cameras do: too little light, the noise of a sensor, JPEG as phones and messengers write it."""

from __future__ import annotations

import numpy as np

from keras_resnet.corruptions.base import Corruption
from keras_resnet.corruptions.digital import compress

GROUP = "camera"


def to_linear(image: np.ndarray) -> np.ndarray:
    """Return linear light, 0–1, of sRGB values, 0–1 (IEC 61966-2-1)."""
    return np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def to_srgb(light: np.ndarray) -> np.ndarray:
    """Return sRGB values, 0–1, of linear light, 0–1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def darken(image: np.ndarray, stops: float, rng: np.random.Generator) -> np.ndarray:
    """Expose an image by so many `stops` less, each of which halves the light."""
    return to_srgb(to_linear(image) * 2.0**-stops)


def add_sensor_noise(image: np.ndarray, electrons: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Add the noise of a camera's sensor in linear light: Poisson counts of electrons, of which white has the first of
    `electrons`, and normal read noise of the second, as Foi et al. 2008 ("Practical Poissonian-Gaussian noise modeling
    and fitting for single-image raw-data") model it. The fewer electrons, the higher the ISO number."""
    white, read = electrons
    counts = rng.poisson(to_linear(image) * white) + rng.normal(scale=read, size=image.shape)
    return to_srgb(np.clip(counts / white, 0, 1))


STOPS = (1, 2, 3, 4, 5)
ELECTRONS = ((2000, 4), (800, 4), (300, 4), (120, 4), (50, 4))
# Cameras of phones write about 92; messengers compress what they send to 50–80.
QUALITIES = (92, 80, 70, 60, 50)
CORRUPTIONS = (
    Corruption("darkness", GROUP, darken, STOPS, STOPS),
    Corruption("sensor_noise", GROUP, add_sensor_noise, ELECTRONS, ELECTRONS),
    Corruption("phone_jpeg", GROUP, compress, QUALITIES, QUALITIES),
)
