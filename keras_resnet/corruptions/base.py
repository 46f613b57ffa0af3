"""What a corruption is: a function of an image, with constants for five severities and the same chance each time."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

SEVERITIES = (1, 2, 3, 4, 5)
# From this many pixels of the shorter side on, the constants are those of ImageNet-C, made for 224; below, those of
# CIFAR-10-C, made for 32. It is their geometric mean.
LARGE = 85
SMALL_SET, LARGE_SET = "CIFAR-10-C", "ImageNet-C"


@dataclass(frozen=True)
class Corruption:
    """A way in which images are bad.

    name: as in ImageNet-C. group: of like ones. apply: maps an image, float64 (H, W, C) in 0–1, the constants of a
    severity and a generator of chance to the image afterwards, which may leave 0–1. small, large: the constants of the
    five severities, for small and for large images. moves_pixels: whether what is seen stands elsewhere afterwards, so
    that boxes of objects would be wrong.
    """

    name: str
    group: str
    apply: Callable[[np.ndarray, Any, np.random.Generator], np.ndarray]
    small: Sequence[Any]
    large: Sequence[Any]
    moves_pixels: bool = False

    def corrupt(
        self, pixels: np.ndarray, severity: int, rng: np.random.Generator, large: bool | None = None
    ) -> np.ndarray:
        """Return an image uint8 (H, W, C) with the corruption of a `severity`, 1 to 5. large: which constants it gets;
        None for those of its size."""
        large = is_large(pixels.shape[0], pixels.shape[1]) if large is None else large
        changed = self.apply(pixels / 255.0, (self.large if large else self.small)[severity - 1], rng)
        return np.asarray(np.rint(255 * np.clip(changed, 0, 1)), np.uint8)

    def corrupt_batch(
        self,
        pixels: np.ndarray,
        severity: int,
        seed: int,
        first: int = 0,
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> np.ndarray:
        """Return images uint8 (B, H, W, C), the first of which is image number `first`, with the corruption.

        Chance depends on `seed`, the corruption, the severity and the image's number alone. sizes: the (height, width)
        at the top left of each that shows the image; the rest is padding, and stays.
        """
        changed, large = pixels.copy(), is_large(pixels.shape[1], pixels.shape[2])

        def change(row: int) -> None:
            height, width = sizes[row] if sizes is not None else pixels.shape[1:3]
            rng = np.random.default_rng([seed, zlib.crc32(self.name.encode()), severity, first + row])
            changed[row, :height, :width] = self.corrupt(pixels[row, :height, :width], severity, rng, large)

        # NumPy, SciPy and Pillow compute in parallel for the most part.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(change, range(len(pixels))))
        return changed


def is_large(height: int, width: int) -> bool:
    """Return whether images are so large that the constants of ImageNet-C are for them."""
    return min(height, width) >= LARGE


def name_constants(height: int, width: int) -> str:
    """Return the name of the dataset whose constants images of that size get."""
    return LARGE_SET if is_large(height, width) else SMALL_SET
