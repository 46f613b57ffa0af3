"""One decoder for every image: training, evaluation and devices see the same pixels. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from . import preprocess as pixels
from .errors import DataError, UsageError
from .preprocess import center_crop, letterbox, preprocess, resize_and_crop

__all__ = ["center_crop", "letterbox", "preprocess", "read_image", "resize_and_crop", "size_of", "values_of"]


def read_image(source: bytes | str | Path, levels: Sequence[float] = ()) -> Image.Image:
    """The image as `pixels.decode` gives it. Raises DataError if it cannot be read or has more pixels than are decoded,
    UsageError if KRESNET_MAX_MEGAPIXELS is no number."""
    with _as_ours(source):
        return pixels.decode(source, levels)


def size_of(source: bytes | str | Path) -> tuple[int, int]:
    """See `pixels.size_of`. Raises as `read_image`."""
    with _as_ours(source):
        return pixels.size_of(source)


def values_of(source: bytes | str | Path) -> Iterator[np.ndarray]:
    """See `pixels.values_of`. Raises as `read_image`."""
    with _as_ours(source):
        yield from pixels.values_of(source)


@contextmanager
def _as_ours(source: bytes | str | Path) -> Iterator[None]:
    """What `pixels` raises as errors of this package."""
    try:
        yield
    except pixels.ImageError as error:
        name = "the image" if isinstance(source, bytes) else str(source)
        raise DataError(f"cannot read image {name}: {error}") from error
    except ValueError as error:  # of the environment
        raise UsageError(str(error)) from error
