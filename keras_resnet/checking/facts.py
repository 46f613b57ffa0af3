"""Measure each image of a dataset once: size, contrast, sharpness, and what finds it again among others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from keras_resnet.checking.findings import CheckedImage
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.data.sources.parallel_decode import decode_in_parallel
from keras_resnet.errors import DataError
from keras_resnet.runtime.image import Picture, read_image, show_in_rgb, size_of
from keras_resnet.runtime.plurals import counted

# Pixels of the longer side at which contrast and sharpness are measured, and of a side of the thumbnail.
MEASURED_SIDE, THUMBNAIL = 256, 16
MODES = {"L": "gray", "1": "black and white", "RGB": "color", "RGBA": "color with transparency", "P": "palette"}


@dataclass(frozen=True)
class ImageFacts:
    """What was measured of an image.

    channels: of its file, in words. digest: of its pixels. hash: 64 bits that similar images share most of. thumbnail:
    in color, uint8 (THUMBNAIL, THUMBNAIL, 3). brightest: the brightness, 0–1, that 1% of its pixels exceed.
    contrast: the standard deviation of its gray values, 0–255. sharpness: its strongest edges, in its contrast.
    """

    image: CheckedImage
    size: tuple[int, int]
    channels: str
    digest: bytes
    hash: int
    thumbnail: np.ndarray
    brightest: float
    contrast: float
    sharpness: float


def measure_images(data: DatasetSplits) -> tuple[list[ImageFacts], list[DataError]]:
    """Measure all images of `data`; return those that can be read, and of the others the errors."""
    facts, errors = [], []
    for split in data.splits.values():
        measure = partial(_measure, split, data.classes, data.levels)
        decoded = decode_in_parallel(range(split.count), measure, f"checking {split.name}")
        facts += decoded.values
        errors += decoded.errors
    return facts, errors


def read_original(split: Split, row: int, levels: tuple[float, ...]) -> Picture:
    """Return an image as its file has it, or of a dataset without files as it is kept."""
    return read_image(split.files[row], levels, split.channels) if split.files else split.image(row)


def identify(split: Split, row: int, classes: tuple[str, ...]) -> CheckedImage:
    """Return which image is at `row`, with all of its labels."""
    label = int(split.labels[row])
    names = [classes[label]] if label >= 0 else []
    if split.label_sets is not None:
        names = [name for name, is_there in zip(classes, split.label_sets[row], strict=True) if is_there]
    file = split.files[row] if split.files else ""
    return CheckedImage(split.name, row, ", ".join(names), file, split.name_image(row))


def _measure(split: Split, classes: tuple[str, ...], levels: tuple[float, ...], row: int) -> ImageFacts:
    import imagehash

    picture = read_original(split, row, levels)
    parts = picture if isinstance(picture, tuple) else (picture,)
    size = size_of(picture)
    digest = hashlib.blake2b(b"".join(part.tobytes() for part in parts) + repr(size).encode(), digest_size=16).digest()
    small = show_in_rgb(picture).copy()
    small.thumbnail((MEASURED_SIDE, MEASURED_SIDE))
    gray = np.asarray(small.convert("L"), np.float32)
    contrast = float(gray.std())
    return ImageFacts(
        image=identify(split, row, classes),
        size=size,
        channels=_channels(split, row),
        digest=digest,
        hash=int(str(imagehash.phash(small)), 16),
        thumbnail=np.asarray(small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)),
        brightest=float(np.percentile(gray, 99)) / 255,
        contrast=contrast,
        sharpness=_strongest_edges(gray) / max(contrast, 1e-3),
    )


def _strongest_edges(gray: np.ndarray) -> float:
    """Return the absolute value of the Laplacian that 1% of the pixels exceed; 0 of an image of less than 3 × 3."""
    if min(gray.shape) < 3:
        return 0.0
    center = gray[1:-1, 1:-1]
    laplacian = 4 * center - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    return float(np.percentile(np.abs(laplacian), 99))


def _channels(split: Split, row: int) -> str:
    """Return what kind of pixels an image's file has."""
    if split.channels not in (1, 3):
        return f"{split.channels} channels"
    if not split.files:
        return MODES["RGB"]
    try:
        with Image.open(split.files[row]) as image:
            return MODES.get(image.mode, f"{image.mode} ({counted(len(image.getbands()), 'channel')})")
    except OSError:  # a format that Pillow alone does not open
        return "other"
