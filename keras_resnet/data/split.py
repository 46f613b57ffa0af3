"""What every source delivers: splits of uint8 images with labels, and whether they stay in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Say = Callable[[str], None]
# Of the memory that is free; the rest is for training.
MEMORY_SHARE = 0.25


@dataclass(frozen=True)
class Split:
    """`count` images with `labels` (count,) int64.

    Exactly one of `pixels`, uint8 (count, resize, resize, 3), and `stream` is set; `stream()` is a
    tf.data.Dataset of (uint8 (resize, resize, 3), int64) in the order of `labels`.
    """

    name: str
    labels: np.ndarray
    pixels: np.ndarray | None = None
    stream: Callable[[], Any] | None = None

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.labels)

    def batches(self, size: int) -> Any:
        """tf.data of (uint8 (B, resize, resize, 3), int64 (B,)) in order, the last one smaller."""
        import tensorflow as tf

        if self.pixels is not None:
            return tf.data.Dataset.from_tensor_slices((self.pixels, self.labels)).batch(size)
        assert self.stream is not None
        return self.stream().batch(size)


@dataclass(frozen=True)
class Data:
    """A data set: its labels in the order of their numbers, and splits "train", "validation" and
    perhaps "test". flips: whether a mirrored image keeps its label."""

    name: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    flips: bool
    image_size: int
    resize: int


def fits_memory(images: int, resize: int) -> bool:
    """Whether `images` decoded ones may be kept: up to a quarter of the free memory."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return False
    return images * resize * resize * 3 <= MEMORY_SHARE * free


def collect(name: str, samples: Iterable[tuple[np.ndarray, int]]) -> Split:
    """A split in memory from (uint8 (resize, resize, 3), label) pairs."""
    pixels, labels = zip(*samples, strict=True)
    return Split(name, np.asarray(labels, np.int64), np.stack(pixels))


def choose_sizes(asked: int | None, resize: int | None, native: int | None, say: Say) -> tuple[int, int]:
    """(image_size, resize) in pixels: what was asked, else `native` up to 64, else 224, with the reason said.

    Larger images are resized to 8/7 of the size that is cut from them: 256 for 224 (Krizhevsky et al. 2012).
    """
    if asked is not None:
        size, why = asked, "as asked"
    elif native is not None and native <= 64:
        size, why = native, "the images' own size"
    else:
        size, why = 224, "the usual size for photographs"
    chosen = resize or (size if size < 64 else round(size * 8 / 7))
    say(f"image size: {size} pixels ({why}), cut from images resized to {chosen}")
    return size, chosen
