"""Read images by one decoder, so that training, evaluation and devices see the same pixels. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from . import preprocess as pixels
from .errors import DataError, UsageError
from .preprocess import center_crop, letterbox, preprocess, resize_and_crop

__all__ = [
    "center_crop",
    "letterbox",
    "preprocess",
    "read_deep_values",
    "read_image",
    "read_image_size",
    "resize_and_crop",
]


def read_image(source: bytes | str | Path, levels: Sequence[float] = (), at_least: int = 0) -> Image.Image:
    """Return the image as `preprocess.decode_image` decodes it.

    Raises DataError if it cannot be read or has more pixels than are decoded, UsageError if KRESNET_MAX_MEGAPIXELS is
    no number.
    """
    with _translate_errors(source):
        return pixels.decode_image(source, levels, at_least)


def read_image_size(source: bytes | str | Path) -> tuple[int, int]:
    """Return the (width, height) in an image's header; raises as `read_image`."""
    with _translate_errors(source):
        return pixels.read_image_size(source)


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
