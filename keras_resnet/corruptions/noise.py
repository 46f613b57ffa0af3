"""Noise: Gaussian, shot and impulse noise of ImageNet-C (Hendrycks & Dietterich 2019, section 3.1)."""

from __future__ import annotations

import numpy as np

from keras_resnet.corruptions.base import Corruption

GROUP = "noise"


def add_gaussian(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add normal noise of a standard `deviation`, a share of white."""
    return image + rng.normal(scale=deviation, size=image.shape)


def add_shot(image: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """Replace each value by a Poisson count, of which white has `photons` on average."""
    return np.asarray(rng.poisson(image * photons) / photons)


def add_impulses(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Set a `share` of the values, each channel for itself, to black or white: salt and pepper."""
    changed = image.copy()
    hit = rng.random(image.shape) < share
    changed[hit] = rng.integers(0, 2, size=int(hit.sum()))
    return changed


CORRUPTIONS = (
    Corruption("gaussian_noise", GROUP, add_gaussian, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),
    Corruption("shot_noise", GROUP, add_shot, (500, 250, 100, 75, 50), (60, 25, 12, 5, 3)),
    Corruption("impulse_noise", GROUP, add_impulses, (0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)),
)
