"""Images that a script holds in memory, delivered as every other source delivers them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_resnet.config.data import FITS, Fit
from keras_resnet.config.network import MAX_CHANNELS
from keras_resnet.data.class_names import require_labels
from keras_resnet.data.dataset import DatasetSplits, Split, require_all_classes
from keras_resnet.errors import DataError, require_one_of
from keras_resnet.runtime.plurals import counted

LabeledImages = tuple[np.ndarray, np.ndarray]


def in_memory(
    train: LabeledImages,
    validation: LabeledImages,
    classes: Sequence[str],
    name: str = "images in memory",
    fit: Fit = "crop",
) -> DatasetSplits:
    """Return a dataset of pairs of images, uint8 (N, H, W, channels), pixels 0–255, and labels, integers (N,), as
    `model.fit` takes them.

    classes: the labels' names, in the order of their numbers. name: what files will say that they were made with. fit:
    how devices are to bring other images to that size: "crop", "pad" or "stretch", as these were.

    Raises DataError for images of another form, or of two sizes; for labels that are not as many, or are none of
    `classes`; where one of these has no image, is empty, has a line break in it or is there twice.
    """
    require_one_of("fit", fit, tuple(FITS))
    labels = tuple(str(each) for each in classes)
    require_labels(labels, "classes")
    pairs = {"train": train, "validation": validation}
    splits = {split: _split(split, np.asarray(images), np.asarray(of)) for split, (images, of) in pairs.items()}
    _require_known(splits, labels)
    require_all_classes(splits, labels)
    ours, theirs = (images.shape[1:] for images, _ in pairs.values())
    if ours != theirs:
        raise DataError(f"validation images have the shape of the train images, {ours}. Received: {theirs}")
    size = ours[0] if ours[0] == ours[1] else ours[:2]
    return DatasetSplits(name, labels, splits, False, size, size, fit=fit, channels=ours[2])


def _split(name: str, images: np.ndarray, labels: np.ndarray) -> Split:
    if images.dtype != np.uint8 or images.ndim != 4 or not 0 < images.shape[3] <= MAX_CHANNELS:
        raise DataError(
            f"{name} images are uint8 (N, H, W, channels), pixels 0–255 as they come. Received: {images.dtype}"
            f" {images.shape}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise DataError(
            f"{name} labels are integers ({len(images)},), one for each image. Received: {labels.dtype} {labels.shape}"
        )
    return Split(name, labels.astype(np.int64), pixels=images, channels=images.shape[3])


def _require_known(splits: dict[str, Split], classes: tuple[str, ...]) -> None:
    for split in splits.values():
        if split.count and not 0 <= split.labels.min() <= split.labels.max() < len(classes):
            raise DataError(
                f"{split.name} labels are numbers of the {counted(len(classes), 'class', plural='classes')}, 0 to"
                f" {len(classes) - 1}."
                f" Received: {split.labels.min()} to {split.labels.max()}"
            )
