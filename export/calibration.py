"""Calibration images: from the training data, as many of each class, as evaluation sees them; or one's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data import pipeline
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import DataError
from keras_resnet.progress import track
from keras_resnet.runtime.image import preprocess, read_image
from keras_resnet.runtime.image_files import format_kinds, list_images

# About 200 images in all; `convergence` tells whether that was enough.
WANTED = 200
# TensorFlow's guide to post-training quantization asks for 100 to 500; with fewer than this ranges are chance.
FEWEST = 20
SEED = 0


@dataclass(frozen=True)
class Calibration:
    """images: (N, H, W, 3) uint8; source: in words; digest: SHA-256 of their bytes, to tell two calibrations apart."""

    images: np.ndarray
    source: str
    digest: str


@dataclass(frozen=True)
class Convergence:
    """How much wider all images made the range of a layer's outputs than the first half had, as a share of it:
    the median and the largest over all layers, and whose that is."""

    median: float
    largest: float
    layer: str


def calibration_of(data: DatasetSplits, folder: str | None = None, count: int = WANTED) -> Calibration:
    """`count` images of the training data, balanced, or all of `folder`, plus one black and one white image.

    The two make the calibrated input range 0–255, so that the file's input has scale 1 and zero
    point 0 and a client may feed raw pixels. Raises DataError for images that cannot tell ranges.
    """
    if folder is None:
        per_class = max(1, round(count / len(data.classes)))
        sample = pipeline.sample_balanced_images(
            data.splits["train"], image_size=data.image_size, per_class=per_class, classes=len(data.classes), seed=SEED
        )
        source = f"training images of {data.name}, {per_class} of each class"
    else:
        require_folder(folder)
        files, left_out = list_images(Path(folder))
        method = "letterbox" if data.splits["train"].objects else "center_crop"
        with track(files, "reading calibration images", "images") as counted:
            read = (read_image(file, data.levels) for file in counted)
            pixels = [preprocess(image, method, data.resize, data.image_size) for image in read]
        sample = np.stack(pixels) if pixels else np.zeros((0, data.image_size, data.image_size, 3), np.uint8)
        source = f"images of {folder}{f', left out: {format_kinds(left_out)}' if left_out else ''}"
    require_fit(sample, source)
    # The order is by class otherwise, and the first half would be other classes than the second.
    sample = sample[np.random.default_rng(SEED).permutation(len(sample))]
    extremes = np.stack([np.zeros_like(sample[0]), np.full_like(sample[0], 255)])
    images = np.concatenate([extremes, sample])
    return Calibration(images, source, hashlib.sha256(images.tobytes()).hexdigest())


def require_folder(folder: str) -> None:
    """Raises DataError unless it is one."""
    if not Path(folder).is_dir():
        raise DataError(f"--calibration-data {folder} is not a folder")


def require_fit(images: np.ndarray, source: str) -> None:
    """Raises DataError unless `images` are uint8 pixels as they come, enough of them, not all alike."""
    if images.dtype != np.uint8:
        raise DataError(
            f"calibration takes uint8 pixels 0–255, neither scaled nor augmented; {source} are {images.dtype}"
        )
    if len(images) < FEWEST:
        raise DataError(f"calibration takes {FEWEST} images or more; {source} are {len(images)}")
    if images.max() <= 2:
        raise DataError(
            f"calibration takes pixels 0–255; the brightest of {source} is {images.max()}: were they scaled?"
        )
    if len(np.unique(images.reshape(len(images), -1), axis=0)) < FEWEST:
        raise DataError(f"calibration takes {FEWEST} different images or more; most of {source} are the same")


def convergence(model: Any, calibration: Calibration) -> Convergence:
    """Whether more images would have widened the ranges of `model`'s layers still."""
    from keras_resnet.compression.quantization.activation_ranges import channel_min_max

    layers = [
        layer for layer in model.layers if (len(layer.output.shape) > 1 and layer.weights) or "relu" in layer.name
    ]
    images = calibration.images[2:]
    shares = [
        _width(ends) / max(_width(ends[: len(images) // 2]), 1e-12) - 1
        for ends in channel_min_max(model, [layer.output for layer in layers], images)
    ]
    worst = int(np.argmax(shares))
    return Convergence(float(np.median(shares)), float(shares[worst]), layers[worst].name)


def _width(ends: np.ndarray) -> float:
    """Of (N, 2, C), the smallest and largest values by image and channel."""
    return float(ends[:, 1].max() - ends[:, 0].min())
