"""Calibration images: class-balanced, from the training data, as evaluation sees them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from keras_resnet.data import pipeline
from keras_resnet.data.sources import Data

# About 200 images in all; ranges of these networks settle well before.
WANTED = 200
SEED = 0


@dataclass(frozen=True)
class Calibration:
    """images: (N, H, W, 3) uint8; digest: SHA-256 of their bytes, to tell two calibrations apart."""

    images: np.ndarray
    digest: str


def calibration_of(data: Data) -> Calibration:
    """A balanced sample of the training images, plus one black and one white image.

    The two make the calibrated input range 0–255, so that the file's input has scale 1 and zero
    point 0 and a client may feed raw pixels.
    """
    per_class = max(1, round(WANTED / len(data.classes)))
    sample = pipeline.balanced_sample(
        data.splits["train"], image_size=data.image_size, per_class=per_class, classes=len(data.classes), seed=SEED
    )
    extremes = np.stack([np.zeros_like(sample[0]), np.full_like(sample[0], 255)])
    images = np.concatenate([sample, extremes])
    return Calibration(images, hashlib.sha256(images.tobytes()).hexdigest())
