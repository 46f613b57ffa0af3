"""Choose the size in pixels that images are brought to, and log the choice with its reason."""

from __future__ import annotations

from collections import Counter

import numpy as np

from keras_resnet.config.provenance import describe_origin
from keras_resnet.errors import UsageError
from keras_resnet.progress import Log

# Pixels a side of images with objects: what is usual, and below what little can be found.
DEFAULT_SQUARE_SIZE, SMALL_SQUARE_SIZE = 320, 64


def choose_native_size(sides: list[int]) -> tuple[int | None, str]:
    """Return the shorter side in pixels that most of `sides` share, else their median as a multiple of 8 (None
    above 64); and the reason to give."""
    if not sides:
        return None, ""
    side, seen = Counter(sides).most_common(1)[0]
    if side >= 8 and seen > len(sides) / 2:
        return side, "the size of the images"
    median = float(np.median(sides))
    return max(8, 8 * round(median / 8)) if median <= 64 else None, "near the images' median shorter side"


def choose_square_size(asked: int | None, native: int | None, log: Log) -> tuple[int, int]:
    """Return the side in pixels of the squares that whole images are brought to, twice, with the reason said: what was
    asked, else the images' own, else DEFAULT_SQUARE_SIZE. Of a small one it is said how to ask for another."""
    if asked:
        size, why = asked, describe_origin("data.image_size")
    else:
        size, why = (native, "the size of the images") if native else (DEFAULT_SQUARE_SIZE, "usual for objects")
    small = (
        f"; objects are hard to find in so few pixels: --image-size {DEFAULT_SQUARE_SIZE} asks for the usual size"
        if size < SMALL_SQUARE_SIZE
        else ""
    )
    log(f"image size: {size} pixels ({why}), the whole image in a square{small}")
    return size, size


def choose_sizes(
    asked: int | None, resize: int | None, native: int | None, log: Log, native_why: str = "the size of the images"
) -> tuple[int, int]:
    """Return (image_size, resize) in pixels: what was asked, else `native` up to 64, else 224, with the reason said.

    Never more than a `resize` that was asked for; UsageError if that is below 8.

    Larger images are resized to 8/7 of the size that is cut from them: 256 for 224 (Krizhevsky et al. 2012).
    """
    if asked is not None:
        size, why = asked, describe_origin("data.image_size")
    elif native is not None and native <= 64:
        size, why = native, native_why
    else:
        size, why = 224, "the usual size for photographs"
    if resize is not None and resize < size:
        if resize < 8:
            raise UsageError(f"data.resize must be 8 or more pixels. Received: {resize}")
        size, why = resize, "as large as data.resize"
    chosen = resize or (size if size < 64 else round(size * 8 / 7))
    log(f"image size: {size} pixels ({why}), cropped from images resized to {chosen}")
    return size, chosen
