"""Whether large JPEGs are scaled while they are decoded, for the resized crops of training alone: evaluation,
calibration and devices decode all pixels, and see the same ones."""

from __future__ import annotations

import math

import numpy as np

from keras_resnet.config.data import AugmentSpec
from keras_resnet.config.image_size import ImageSize, height_and_width
from keras_resnet.config.provenance import describe_origin
from keras_resnet.data.dataset import Split
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.image import read_image_size

# So many times the longer side of the training images a scaled image keeps at least. The usual photograph of ImageNet,
# 500 × 375 pixels, has as many at 224: crops are enlarged no more often than those that recipes were found with. A
# phone's photo, 4032 × 3024, is decoded at 1/8 then.
KEPT_SIDES = 5 / 3
SAMPLED_FILES = 200
JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")


def least_side(augment: AugmentSpec, image_size: ImageSize) -> int:
    """Return the pixels that the shorter side of a scaled image keeps at least; 0 where images are not scaled."""
    scales = augment.scaled_decoding is True and augment.crop == "resized"
    return _kept_side(image_size) if scales else 0


def decide_scaled_decoding(augment: AugmentSpec, split: Split, image_size: ImageSize, log: Log) -> bool:
    """Return whether the JPEGs of the training `split` are scaled while they are decoded, and log it with the reason
    where it makes a difference: where images are read from files for each crop, and are large."""
    asked = augment.scaled_decoding
    if split.pixels is not None or augment.crop != "resized":
        return asked is True
    median, least = _median_side(split.files), _kept_side(image_size)
    is_large = median >= 2 * least
    if asked is None and not is_large:
        return False
    is_on = is_large if asked is None else asked
    reason = f"half of them have {median:g} or more; --no-scaled-decoding decodes all pixels"
    if asked is not None:
        reason = describe_origin("augment.scaled_decoding")
    how = f"at 1/2, 1/4 or 1/8 of their size, with {least} pixels a side or more" if is_on else "in full"
    log(f"decoding: training decodes JPEGs {how} ({reason}); evaluation always decodes all pixels")
    return is_on


def _kept_side(image_size: ImageSize) -> int:
    return math.ceil(KEPT_SIDES * max(height_and_width(image_size)))


def _median_side(files: tuple[str, ...]) -> float:
    """Return the median shorter side in pixels of the JPEGs among `files`, by the headers of some of them; 0 where
    there are none."""
    sides = []
    files = tuple(file for file in files if file.lower().endswith(JPEG_SUFFIXES))
    for file in files[:: max(1, -(-len(files) // SAMPLED_FILES))]:
        try:
            sides.append(min(read_image_size(file)))
        except DataError:  # was readable a moment ago: training will tell
            continue
    return float(np.median(sides)) if sides else 0.0
