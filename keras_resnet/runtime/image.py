"""Read images by one decoder, so that training, evaluation and devices see the same pixels. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from . import preprocess as pixels
from .errors import DataError, UsageError
from .preprocess import (
    ImageSize,
    Picture,
    center_crop,
    fit_picture,
    height_and_width,
    letterbox,
    preprocess,
    resize_and_crop,
    show_in_rgb,
    size_of,
    to_channels,
    to_picture,
)

__all__ = [
    "ImageSize",
    "Picture",
    "center_crop",
    "fit_picture",
    "height_and_width",
    "letterbox",
    "preprocess",
    "read_deep_values",
    "read_for_display",
    "read_image",
    "read_image_size",
    "read_shape",
    "resize_and_crop",
    "show_in_rgb",
    "size_of",
    "to_channels",
    "to_picture",
]


def read_image(
    source: bytes | str | Path, levels: Sequence[float] = (), channels: int = 3, at_least: int = 0
) -> Picture:
    """Return the image as `preprocess.decode_image` decodes it.

    Raises DataError if it cannot be read or has more pixels than are decoded, UsageError if KRESNET_MAX_MEGAPIXELS is
    no number.
    """
    with _translate_errors(source):
        return pixels.decode_image(source, levels, channels, at_least)


def read_for_display(source: bytes | str | Path) -> Image.Image:
    """Return an image as people can look at it, whatever its channels, as RGB; raises as `read_image`."""
    channels = read_shape(source)[2]
    return show_in_rgb(read_image(source, channels=3 if channels == 1 else channels))


def read_image_size(source: bytes | str | Path, at_least: int = 0) -> tuple[int, int]:
    """Return the (width, height) in an image's header, see `preprocess.read_image_size`; raises as `read_image`."""
    with _translate_errors(source):
        return pixels.read_image_size(source, at_least)


def read_shape(source: bytes | str | Path) -> tuple[int, int, int]:
    """Return the (height, width, channels) of an image, see `preprocess.read_shape`; raises as `read_image`."""
    with _translate_errors(source):
        return pixels.read_shape(source)


def read_deep_values(source: bytes | str | Path) -> Iterator[np.ndarray]:
    """Yield the values of an image of more than 8 bits, some rows (H, W) at a time; raises as `read_image`."""
    with _translate_errors(source):
        yield from pixels.read_deep_values(source)


@contextmanager
def _translate_errors(source: bytes | str | Path) -> Iterator[None]:
    """Translate the errors of `preprocess` to those of this package."""
    try:
        yield
    except pixels.ImageError as error:
        name = "the image" if isinstance(source, bytes) else str(source)
        raise DataError(f"cannot read image {name}: {error}") from error
    except ValueError as error:  # of the environment
        raise UsageError(str(error)) from error
