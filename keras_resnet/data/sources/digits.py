"""scikit-learn's bundled scans of handwritten digits as a TFDS dataset: real images without a download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

VALIDATION = 360


def read_scans() -> tuple[np.ndarray, np.ndarray]:
    """Return the scans, uint8 (1797, 8, 8), 0–255, and which digit each one shows, int (1797,)."""
    from sklearn.datasets import load_digits  # slow to import, and to look up a dataset's name takes this module alone

    digits = load_digits()
    # Scans count ink in 0–16.
    return np.round(digits.images * 255 / 16).astype(np.uint8), digits.target


def split_scans(labels: np.ndarray, validation: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of `labels` to train on, and as many as `validation` says to validate with, stratified."""
    from sklearn.model_selection import train_test_split

    train, held_out = train_test_split(np.arange(len(labels)), test_size=validation, stratify=labels, random_state=0)
    return train, held_out


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,797 scans of 8×8 pixels by 13 writers: 1,437 to train on, 360 to validate, stratified.

    Source: Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI repository.
    """

    name = "digits"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> Any:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        train, validation = split_scans(read_scans()[1], VALIDATION)
        return {"train": self._generate_examples(train), "validation": self._generate_examples(validation)}

    def _generate_examples(self, chosen: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        pixels, labels = read_scans()
        for index in chosen:
            yield int(index), {"image": pixels[index, ..., None], "label": int(labels[index])}
