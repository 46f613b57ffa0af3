"""Images that a script holds in memory, delivered as every other source delivers them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_resnet.data.class_names import require_labels
from keras_resnet.data.dataset import DatasetSplits, Split, require_all_classes
from keras_resnet.errors import DataError
from keras_resnet.runtime.plurals import counted

LabeledImages = tuple[np.ndarray, np.ndarray]


def in_memory(
    train: LabeledImages, validation: LabeledImages, classes: Sequence[str], name: str = "images in memory"
) -> DatasetSplits:
    """Return a data set of pairs of images, uint8 (N, H, H, 3), pixels 0–255, and labels, integers (N,), as `model.fit`
    takes them.

    classes: the labels' names, in the order of their numbers. name: what files will say that they were made with.

    Raises DataError for images of another form, or of two sizes; for labels that are not as many, or are none of
    `classes`; where one of these has no image, is empty, has a line break in it or is there twice.
    """
    labels = tuple(str(each) for each in classes)
    require_labels(labels, "classes")
    pairs = {"train": train, "validation": validation}
    splits = {split: _split(split, np.asarray(images), np.asarray(of)) for split, (images, of) in pairs.items()}
    _require_known(splits, labels)
    require_all_classes(splits, labels)
    sizes = [images.shape[1] for images, _ in pairs.values()]
    if sizes[0] != sizes[1]:
        raise DataError(f"validation images have the size of the train images, {sizes[0]} pixels. Received: {sizes[1]}")
    return DatasetSplits(name, labels, splits, flip_safe=False, image_size=sizes[0], resize=sizes[0])


def _split(name: str, images: np.ndarray, labels: np.ndarray) -> Split:
    square = images.ndim == 4 and images.shape[1] == images.shape[2] and images.shape[3] == 3
    if images.dtype != np.uint8 or not square:
        raise DataError(
            f"{name} images are uint8 (N, H, H, 3), pixels 0–255 as they come. Received: {images.dtype} {images.shape}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise DataError(
            f"{name} labels are integers ({len(images)},), one for each image. Received: {labels.dtype} {labels.shape}"
        )
    return Split(name, labels.astype(np.int64), pixels=images)


def _require_known(splits: dict[str, Split], classes: tuple[str, ...]) -> None:
    for split in splits.values():
        if split.count and not 0 <= split.labels.min() <= split.labels.max() < len(classes):
            raise DataError(
                f"{split.name} labels are numbers of the {counted(len(classes), 'class', plural='classes')}, 0 to"
                f" {len(classes) - 1}."
                f" Received: {split.labels.min()} to {split.labels.max()}"
            )
