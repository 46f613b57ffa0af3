"""Boxes as (left, top, right, bottom), in shares of the image's sides, and what happens to them with their image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

EMPTY = -1


@dataclass(frozen=True)
class Objects:
    """What stands in the images of a split, the largest object of each first.

    boxes: float32 (count, most, 4), shares of the square image; labels: int64 (count, most), -1 where there is no
    further object.
    """

    boxes: np.ndarray
    labels: np.ndarray

    def some(self, rows: np.ndarray) -> Objects:
        """Those of the images at `rows`."""
        return Objects(self.boxes[rows], self.labels[rows])

    def tree(self) -> dict[str, np.ndarray]:
        """As what tf.data carries."""
        return {"boxes": self.boxes, "labels": self.labels}


def packed(found: list[tuple[np.ndarray, np.ndarray]]) -> Objects:
    """One image's (boxes (n, 4), labels (n,)) after another, brought to one shape and ordered by area."""
    most = max([1, *(len(labels) for _, labels in found)])
    boxes = np.zeros((len(found), most, 4), np.float32)
    labels = np.full((len(found), most), EMPTY, np.int64)
    for row, (own, kinds) in enumerate(found):
        order = np.argsort(-area(np.asarray(own, np.float32).reshape(-1, 4)), kind="stable")
        boxes[row, : len(kinds)] = np.reshape(own, (-1, 4))[order]
        labels[row, : len(kinds)] = np.asarray(kinds, np.int64)[order]
    return Objects(boxes, labels)


def area(boxes: Any) -> Any:
    """Of (…, 4), 0 where a box is turned inside out: (…)."""
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return width.clip(0) * height.clip(0)


def iou(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (…, 4) and (…, 4), which broadcast: (…)."""
    corners = np.concatenate(
        [np.maximum(ours[..., :2], theirs[..., :2]), np.minimum(ours[..., 2:], theirs[..., 2:])], -1
    )
    shared = area(corners)
    return np.asarray(shared / np.maximum(area(ours) + area(theirs) - shared, 1e-12))


def generalized_iou(ours: Any, theirs: Any) -> tuple[Any, Any]:
    """(IoU, GIoU) of tensors (…, 4): Rezatofighi et al. 2019, "Generalized intersection over union"."""
    import tensorflow as tf

    def size(corners: Any) -> Any:
        sides = tf.nn.relu(corners[..., 2:] - corners[..., :2])
        return sides[..., 0] * sides[..., 1]

    inner = tf.concat([tf.maximum(ours[..., :2], theirs[..., :2]), tf.minimum(ours[..., 2:], theirs[..., 2:])], -1)
    outer = tf.concat([tf.minimum(ours[..., :2], theirs[..., :2]), tf.maximum(ours[..., 2:], theirs[..., 2:])], -1)
    shared, around = size(inner), size(outer)
    union = size(ours) + size(theirs) - shared
    overlap = tf.math.divide_no_nan(shared, union)
    return overlap, overlap - tf.math.divide_no_nan(around - union, around)


def cut_boxes(boxes: Any, side: int, size: int, margin: int, offsets: Any, mirrored: Any) -> Any:
    """Tensors (B, M, 4) after what `pipeline` does to images of `side` pixels: a margin, a cut of `size` at `offsets`
    (2, B) of rows and columns, mirrored where (B, 1) says so; clipped to the cut."""
    import tensorflow as tf

    start = tf.cast(tf.gather(offsets, [1, 0, 1, 0]), tf.float32) - margin
    moved = (boxes * side - tf.transpose(start)[:, None]) / size
    if mirrored is not None:
        turned = tf.stack([1 - moved[..., 2], moved[..., 1], 1 - moved[..., 0], moved[..., 3]], axis=-1)
        moved = tf.where(mirrored[:, :, None], turned, moved)
    return tf.clip_by_value(moved, 0.0, 1.0)
