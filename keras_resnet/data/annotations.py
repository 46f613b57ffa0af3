"""What stands in images: boxes, classes, masks; from one image's annotation to arrays of a whole split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import mask as rle
from PIL import Image

from keras_resnet.config.task_rules import needs_boxes
from keras_resnet.errors import DataError
from keras_resnet.metrics.iou import box_area
from keras_resnet.runtime.plurals import counted

NO_LABEL = -1
# An id of an object in a map: a byte where that is enough; 0 is the ground.
MAX_IDS_UINT8, MAX_OBJECTS = np.iinfo(np.uint8).max, np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Annotation:
    """The n objects of one image of (width, height) `size`.

    boxes: float32 (n, 4), left, top, right, bottom in pixels of the image. labels: (n,). iscrowd: bool (n,), whether it
    is a group in which single objects are not told apart. areas: float32 (n,), in pixels. masks: of each the counts of
    COCO's run-length code of the whole image, or nothing where masks are not asked for.
    """

    size: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray
    iscrowd: np.ndarray
    areas: np.ndarray
    masks: tuple[bytes, ...] = ()

    @classmethod
    def from_boxes(
        cls, size: tuple[int, int], boxes: Any, labels: Any, iscrowd: Any = None, areas: Any = None, masks: Any = ()
    ) -> Annotation:
        """Return an annotation with boxes cut at the image's edges; those left without an area are left out."""
        width, height = size
        cut = np.asarray(boxes, float).reshape(-1, 4).clip(0, (width, height, width, height)).astype(np.float32)
        real = box_area(cut) > 0
        crowds = np.zeros(len(cut), bool) if iscrowd is None else np.asarray(iscrowd, bool)
        sizes = box_area(cut) if areas is None else np.asarray(areas, np.float32)
        kept = tuple(mask for mask, stays in zip(masks, real, strict=True) if stays) if len(masks) else ()
        return cls(size, cut[real], np.asarray(labels, np.int64).reshape(-1)[real], crowds[real], sizes[real], kept)

    @property
    def has_objects(self) -> bool:
        """Return whether there is an object that is none of a crowd."""
        return not bool(self.iscrowd.all())


def requires_object(split: str, annotations: str) -> bool:
    """Return whether images of a split have to show an object: to learn from, or to have a largest one."""
    return annotations == "object" or (needs_boxes(annotations) and split == "train")


def require_objects(labels: np.ndarray, iscrowd: np.ndarray, what: str) -> None:
    """Raise DataError unless one of `what`, images as `GroundTruth` has them, shows an object that is not a crowd."""
    if not ((labels >= 0) & ~iscrowd).any():
        raise DataError(f"none of the {len(labels)} {what} shows an object: there is nothing to evaluate on")


@dataclass(frozen=True)
class ImageAnnotation:
    """An image file and what stands in it."""

    file: Path
    annotation: Annotation


@dataclass(frozen=True)
class GroundTruth:
    """What stands in the images of a split, the largest object of each first and crowds last.

    boxes: float32 (count, most, 4), left, top, right, bottom in fractions of the square that the image is brought to;
    labels: int64 (count, most), -1 where there is no further object; iscrowd: bool (count, most); areas: float32
    (count, most), in pixels of the images, whose (width, height) are `sizes`, int64 (count, 2). masks: bytes (count,
    most), as in `Annotation`, or None.
    """

    boxes: np.ndarray
    labels: np.ndarray
    iscrowd: np.ndarray
    areas: np.ndarray
    sizes: np.ndarray
    masks: np.ndarray | None = None

    def subset(self, rows: np.ndarray) -> GroundTruth:
        """Return those of the images at `rows`."""
        return GroundTruth(**{name: value[rows] for name, value in self.as_dict().items()})

    def as_dict(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, as tf.data carries them."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def id_dtype(self) -> type[np.unsignedinteger[Any]]:
        """Return the type of maps of ids: uint8 if no image has more objects than that can tell, else uint16."""
        return mask_id_dtype(self.labels.shape[1])

    def ids(self, row: int, side: int) -> np.ndarray:
        """Return (side, side), of `mask_id_dtype`: the square of image `row`, n + 1 where its n-th object is and 0
        elsewhere. Of objects that cover each other the smaller is in front; crowds are left out."""
        assert self.masks is not None
        canvas = np.zeros((side, side), self.id_dtype)
        width, height = (int(each) for each in self.sizes[row])
        scale = side / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        for number in np.flatnonzero((self.labels[row] >= 0) & ~self.iscrowd[row]):
            mask = Image.fromarray(255 * decode_rle(self.masks[row, number], (width, height)))
            seen = np.asarray(mask.resize(size, Image.Resampling.BOX)) >= 128
            canvas[: size[1], : size[0]][seen] = number + 1
        return canvas


def mask_id_dtype(objects: int) -> type[np.unsignedinteger[Any]]:
    """Return what tells so many objects and the ground apart. Raises DataError for more than a uint16 can."""
    if objects > MAX_OBJECTS:
        raise DataError(f"an image shows {counted(objects, 'object', ',')}; up to {MAX_OBJECTS:,} are supported")
    return np.uint8 if objects <= MAX_IDS_UINT8 else np.uint16


def pad_annotations(per_image: Sequence[Annotation], masks: bool = False) -> GroundTruth:
    """Bring the annotations of images to one shape and order."""
    most = max([1, *(len(each.labels) for each in per_image)])
    mask_id_dtype(most)  # raises for too many
    count = len(per_image)
    objects = GroundTruth(
        boxes=np.zeros((count, most, 4), np.float32),
        labels=np.full((count, most), NO_LABEL, np.int64),
        iscrowd=np.zeros((count, most), bool),
        areas=np.zeros((count, most), np.float32),
        sizes=np.array([each.size for each in per_image], np.int64).reshape(-1, 2),
        masks=np.full((count, most), b"", object) if masks else None,
    )
    for row, each in enumerate(per_image):
        order = np.lexsort((-each.areas, each.iscrowd))
        n = len(order)
        objects.boxes[row, :n] = each.boxes[order] / max(each.size)
        objects.labels[row, :n] = each.labels[order]
        objects.iscrowd[row, :n] = each.iscrowd[order]
        objects.areas[row, :n] = each.areas[order]
        if objects.masks is not None:
            objects.masks[row, :n] = [each.masks[index] for index in order]
    return objects


def encode_rle(mask: np.ndarray) -> bytes:
    """Encode bool (height, width) as the counts of COCO's run-length code."""
    return bytes(rle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"])


def decode_rle(counts: bytes, size: tuple[int, int]) -> np.ndarray:
    """Decode the counts of an image of (width, height) `size`: uint8 (height, width), 0 or 1."""
    return np.asarray(rle.decode({"size": [size[1], size[0]], "counts": counts}), np.uint8)


def unpad_annotations(truth: dict[str, np.ndarray]) -> list[Annotation]:
    """Return what `GroundTruth.as_dict` has of some images as annotations again."""
    per_image = []
    for row, labels in enumerate(truth["labels"]):
        there = labels >= 0
        size = (int(truth["sizes"][row, 0]), int(truth["sizes"][row, 1]))
        masks = tuple(truth["masks"][row][there].tolist()) if "masks" in truth else ()
        boxes = truth["boxes"][row][there] * max(size)
        per_image.append(
            Annotation(size, boxes, labels[there], truth["iscrowd"][row][there], truth["areas"][row][there], masks)
        )
    return per_image
