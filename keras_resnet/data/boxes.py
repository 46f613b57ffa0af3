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
