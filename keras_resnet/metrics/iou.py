"""Boxes as (left, top, right, bottom), and how far two of them overlap."""

from __future__ import annotations

from typing import Any

import numpy as np


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


def overlaps(ours: Any, theirs: Any) -> Any:
    """`iou` of tensors. Edge by edge: many objects by many locations are not made four times as large."""
    import tensorflow as tf

    def sides(low: int, high: int) -> Any:
        shared = tf.minimum(ours[..., high], theirs[..., high]) - tf.maximum(ours[..., low], theirs[..., low])
        return tf.nn.relu(shared)

    def size(boxes: Any) -> Any:
        return tf.nn.relu(boxes[..., 2] - boxes[..., 0]) * tf.nn.relu(boxes[..., 3] - boxes[..., 1])

    shared = sides(0, 2) * sides(1, 3)
    return tf.math.divide_no_nan(shared, size(ours) + size(theirs) - shared)


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
