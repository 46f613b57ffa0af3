"""Calibration images: training images, as many of each class, as evaluation sees them; or a folder of one's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.data import pipeline
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import DataError
from keras_resnet.export.settings import DEFAULT_IMAGES, MIN_IMAGES
from keras_resnet.progress import track
from keras_resnet.runtime.image import preprocess, read_image
from keras_resnet.runtime.image_files import format_kinds, list_images

if TYPE_CHECKING:
    import keras

SEED = 0


@dataclass(frozen=True)
class Calibration:
    """images: (N, H, W, C) uint8; source: in words; sha256: of their bytes, to tell two calibrations apart."""

    images: np.ndarray
    source: str
    sha256: str


@dataclass(frozen=True)
class Convergence:
    """How much wider all images made the range of a layer's outputs than the first half had, as a fraction of it:
    the median and the largest over all layers, and whose that is."""

    median: float
    largest: float
    layer: str


def build_calibration(data: DatasetSplits, folder: str | None = None, count: int = DEFAULT_IMAGES) -> Calibration:
    """Return `count` images of the training data, balanced, or all of `folder`, plus a black and a white image.

    The two make the calibrated input range 0–255, so that the file's input has scale 1 and zero
    point 0 and a client may feed raw pixels. Raises DataError for images that cannot give ranges.
    """
    sample, source = _sample_training_images(data, count) if folder is None else _read_folder(data, folder)
    check_calibration_images(sample, source)
    # The order is by class otherwise, and the first half would be other classes than the second.
    sample = sample[np.random.default_rng(SEED).permutation(len(sample))]
    extremes = np.stack([np.zeros_like(sample[0]), np.full_like(sample[0], 255)])
    images = np.concatenate([extremes, sample])
    return Calibration(images, source, hashlib.sha256(images.tobytes()).hexdigest())


def _sample_training_images(data: DatasetSplits, count: int) -> tuple[np.ndarray, str]:
    per_class = max(1, round(count / len(data.classes)))
    sample = pipeline.sample_balanced_images(
        data.splits["train"], image_size=data.image_size, per_class=per_class, classes=len(data.classes), seed=SEED
    )
    return sample, f"training images of {data.name}, {_describe_counts(data, per_class)}"


def _describe_counts(data: DatasetSplits, per_class: int) -> str:
    """Say how many images of each class a sample of up to `per_class` of each has."""
    train = data.splits["train"]
    counts = np.minimum(train.count_labels(len(data.classes)), per_class)
    fewest, most = counts.min(), counts.max()
    return f"{most} of each class" if fewest == most else f"{fewest} to {most} of each class"


def _read_folder(data: DatasetSplits, folder: str) -> tuple[np.ndarray, str]:
    require_calibration_folder(folder)
    files, left_out = list_images(Path(folder))
    with track(files, "reading calibration images", "images") as counted:
        read = (read_image(file, data.levels, data.channels) for file in counted)
        geometry = data.preprocessing, data.resize, data.image_size, data.channels
        pixels = [preprocess(image, *geometry) for image in read]
    sample = np.stack(pixels) if pixels else np.zeros((0, *data.input_shape), np.uint8)
    return sample, f"images of {folder}{f', left out: {format_kinds(left_out)}' if left_out else ''}"


def require_calibration_folder(folder: str) -> None:
    """Raise DataError unless `folder` is one."""
    if not Path(folder).is_dir():
        what = "it is no folder of images" if Path(folder).exists() else "no such folder"
        raise DataError(f"--calibration-data {folder}: {what}")


def check_calibration_images(images: np.ndarray, source: str) -> None:
    """Raise DataError unless `images` are uint8 pixels 0–255, enough of them, not all alike."""
    if images.dtype != np.uint8:
        raise DataError(
            f"calibration takes uint8 pixels 0–255, neither scaled nor augmented; {source} are {images.dtype}"
        )
    if len(images) < MIN_IMAGES:
        raise DataError(f"calibration takes {MIN_IMAGES} images or more. Received: {len(images)} ({source})")
    if images.max() <= 2:
        raise DataError(
            f"calibration takes pixels 0–255; the brightest of {source} is {images.max()}: were they scaled?"
        )
    if len(np.unique(images.reshape(len(images), -1), axis=0)) < MIN_IMAGES:
        raise DataError(f"calibration takes {MIN_IMAGES} different images or more; most of {source} are the same")


def measure_convergence(model: keras.Model, calibration: Calibration) -> Convergence:
    """Return by how much the second half of the images widened the ranges of `model`'s layers."""
    from keras_resnet.compression.quantization.activation_ranges import channel_min_max

    layers = [
        layer for layer in model.layers if (len(layer.output.shape) > 1 and layer.weights) or "relu" in layer.name
    ]
    images = calibration.images[2:]
    widened = [
        _width(ranges) / max(_width(ranges[: len(images) // 2]), 1e-12) - 1
        for ranges in channel_min_max(model, [layer.output for layer in layers], images)
    ]
    worst = int(np.argmax(widened))
    return Convergence(float(np.median(widened)), float(widened[worst]), layers[worst].name)


def _width(ranges: np.ndarray) -> float:
    """Return the width of the whole range of (N, 2, C), the smallest and largest values by image and channel."""
    return float(ranges[:, 1].max() - ranges[:, 0].min())
