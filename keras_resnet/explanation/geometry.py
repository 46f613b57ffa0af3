"""Bring a heat map from the pixels that a network sees back onto the image that these were cut from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.preprocess import height_and_width

# Width and height, in pixels.
Size = tuple[int, int]


@dataclass(frozen=True)
class Placement:
    """Where the pixels of an image are in the network's input: x there is scale[0] × x in the image + offset[0], and y
    likewise; both count from the top left corner of the first pixel."""

    scale: tuple[float, float]
    offset: tuple[float, float]

    def to_input(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the image is in the network's input."""
        return x * self.scale[0] + self.offset[0], y * self.scale[1] + self.offset[1]

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the network's input is in the image."""
        return (x - self.offset[0]) / self.scale[0], (y - self.offset[1]) / self.scale[1]


def _place_cropped(image: Size, resize: Size, size: Size) -> Placement:
    """The image just covers `resize`, around its center, and `size` is cropped from that: `resize_and_crop`, then
    `center_crop`."""
    scale = max(resize[0] / image[0], resize[1] / image[1])
    cropped = tuple((large - small) // 2 for large, small in zip(resize, size, strict=True))
    x, y = ((side - scale * whole) / 2 - cut for side, whole, cut in zip(resize, image, cropped, strict=True))
    return Placement((scale, scale), (x, y))


def _place_letterboxed(image: Size, resize: Size, size: Size) -> Placement:
    """The image just fits into `size`, at its top left: `letterbox`, which rounds the sides to whole pixels."""
    scale = min(size[0] / image[0], size[1] / image[1])
    return Placement((max(1, round(image[0] * scale)) / image[0], max(1, round(image[1] * scale)) / image[1]), (0, 0))


def _place_stretched(image: Size, resize: Size, size: Size) -> Placement:
    """The image fills `size`: `stretch`."""
    return Placement((size[0] / image[0], size[1] / image[1]), (0, 0))


# By the names of runtime.preprocess.PREPROCESSORS: (size of the image, size that it is cropped from, size of the
# network's input) → where the image is in the input.
PLACEMENTS: dict[str, Callable[[Size, Size, Size], Placement]] = {
    "center_crop": _place_cropped,
    "letterbox": _place_letterboxed,
    "stretch": _place_stretched,
}


def find_placement(card: ModelMetadata, image: Size) -> Placement:
    """Return where an image of (width, height) is in the input of a network whose `card` says how it is prepared."""
    (resized_height, resized_width), (height, width) = map(height_and_width, (card.resize, card.image_size))
    return PLACEMENTS[card.preprocessing](image, (resized_width, resized_height), (width, height))


def resize_map(values: np.ndarray, size: Size) -> np.ndarray:
    """Resize a map (h, w) to (width, height) `size` by bilinear interpolation: float32 (height, width)."""
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def place_on_image(values: np.ndarray, placement: Placement, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Bring a map (H, W) of the network's input onto its image of (width, height) `size`.

    Returns the map, float32 (height, width), and bool (height, width): which of the image the network sees. The map is
    0 elsewhere.
    """
    (x_scale, y_scale), (x_offset, y_offset) = placement.scale, placement.offset
    columns = (np.arange(size[0]) + 0.5) * x_scale + x_offset
    rows = (np.arange(size[1]) + 0.5) * y_scale + y_offset
    height, width = values.shape
    seen = ((rows >= 0) & (rows <= height))[:, None] & ((columns >= 0) & (columns <= width))
    placed = _interpolate(_interpolate(values, rows).T, columns).T
    return np.where(seen, placed, np.float32(0)), seen


def _interpolate(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Read (n, …) at places along its first axis, linearly; the value of a pixel is that of its middle."""
    middles = np.clip(places - 0.5, 0, len(values) - 1)
    first = np.minimum(middles.astype(int), max(len(values) - 2, 0))
    second = np.minimum(first + 1, len(values) - 1)
    share = (middles - first).astype(np.float32)[:, None]
    return np.asarray((1 - share) * values[first] + share * values[second], np.float32)
