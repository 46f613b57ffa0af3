"""The bundled scans of digits, up to two an image, as a TFDS dataset: several labels without a download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from keras_resnet.data.sources.digits import read_scans, split_scans

TRAIN, VALIDATION = 3000, 600
# Scans that no training image shows.
VALIDATION_SCANS = 360
SIDE, SCAN_SIDE = 24, 8
# How likely an image shows no digit, one, or two different ones.
SHARES = (0.1, 0.3, 0.6)
# The brightest of the background, of 255.
NOISE = 15


class DigitPairs(tfds.core.GeneratorBasedBuilder):
    """Images of 24×24 pixels with no digit, one, or two different ones at random places: 3,000 to train on, 600 of
    other scans to validate.

    Source of the scans: Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI repository.
    """

    name = "digit_pairs"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> Any:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 1)),
                    "labels": tfds.features.Sequence(
                        tfds.features.ClassLabel(names=[str(digit) for digit in range(10)])
                    ),
                }
            ),
            supervised_keys=("image", "labels"),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        train, validation = split_scans(read_scans()[1], VALIDATION_SCANS)
        return {
            "train": self._generate_examples(train, TRAIN, 0),
            "validation": self._generate_examples(validation, VALIDATION, 1),
        }

    def _generate_examples(self, scans: np.ndarray, count: int, seed: int) -> Iterator[tuple[int, dict[str, Any]]]:
        (pixels, digits), rng = read_scans(), np.random.default_rng(seed)
        for number in range(count):
            # Noise, so that images without a digit are no copies of each other.
            image = rng.integers(NOISE + 1, size=(SIDE, SIDE), dtype=np.uint8)
            chosen = _choose_scans(rng, scans, digits)
            for scan, (top, left) in zip(chosen, _choose_places(rng), strict=False):
                image[top : top + SCAN_SIDE, left : left + SCAN_SIDE] |= pixels[scan]
            labels = sorted(int(digits[scan]) for scan in chosen)
            yield number, {"image": image[..., None], "labels": labels}


def _choose_scans(rng: np.random.Generator, scans: np.ndarray, labels: np.ndarray) -> list[int]:
    """Return none, one, or two scans of different digits."""
    count = int(rng.choice(len(SHARES), p=SHARES))
    chosen = [int(scan) for scan in rng.choice(scans, count, replace=False)]
    while len({int(labels[scan]) for scan in chosen}) < count:
        chosen = [int(scan) for scan in rng.choice(scans, count, replace=False)]
    return chosen


def _choose_places(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return the upper left corners of two squares that do not meet: one in each half of the image."""
    free = SIDE - SCAN_SIDE
    near, far = int(rng.integers(SIDE // 2 - SCAN_SIDE + 1)), int(rng.integers(SIDE // 2, free + 1))
    across = [int(each) for each in rng.integers(free + 1, size=2)]
    places = [(near, across[0]), (far, across[1])]
    if rng.random() < 0.5:
        places = [(left, top) for top, left in places]
    return places if rng.random() < 0.5 else places[::-1]
