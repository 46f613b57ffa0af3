"""One decoder for every image: training, evaluation and devices see the same pixels. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from keras_resnet import pixels
from keras_resnet.errors import DataError, UsageError
from keras_resnet.pixels import center_crop, placed, to_canvas, to_pixels

__all__ = ["center_crop", "placed", "read_image", "to_canvas", "to_pixels"]


def read_image(source: bytes | str | Path, levels: Sequence[float] = ()) -> Image.Image:
    """The image as `pixels.decode` gives it. Raises DataError if it cannot be read or has more pixels than are decoded,
    UsageError if KRESNET_MAX_MEGAPIXELS is no number."""
    try:
        return pixels.decode(source, levels)
    except pixels.ImageError as error:
        raise _unreadable(source, error) from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def _unreadable(source: bytes | str | Path, error: Exception) -> DataError:
    name = "the image" if isinstance(source, bytes) else str(source)
    return DataError(f"cannot read image {name}: {error}")
