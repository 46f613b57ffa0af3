"""Image files with their labels, split by split, as a layout lists them before any is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Listing:
    """Image files of one split, and the number of each one's class; or their label sets, uint8 (files, classes), 1
    where an image has the label."""

    files: list[Path]
    labels: list[int]
    label_sets: np.ndarray | None = None

    @property
    def truth(self) -> np.ndarray:
        """Return what is known of each file: int64 (files,), or the label sets."""
        return np.asarray(self.labels, np.int64) if self.label_sets is None else self.label_sets

    def select(self, rows: np.ndarray) -> Listing:
        """Return the files at `rows`."""
        sets = None if self.label_sets is None else self.label_sets[rows]
        labels = [self.labels[row] for row in rows] if sets is None else []
        return Listing([self.files[row] for row in rows], labels, sets)


@dataclass(frozen=True)
class FolderLayout:
    """classes: labels in the order of their numbers. listings: by the split's name. unlabeled: splits of images
    without labels → what they are, in words. missing: listed files that are not there, or may not be read → why."""

    classes: tuple[str, ...]
    listings: dict[str, Listing]
    unlabeled: dict[str, str]
    missing: dict[Path, str] = field(default_factory=dict)

    def list_training_files(self) -> list[Path]:
        """List the training images that may be read."""
        return [file for file in self.listings["train"].files if file not in self.missing]

    @property
    def total(self) -> int:
        """Return how many images are listed."""
        return sum(len(listing.files) for listing in self.listings.values())
