"""Measure how far boxes overlap: IoU and generalized IoU of boxes (left, top, right, bottom)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Compute the areas (…) of boxes (…, 4), 0 where a box is turned inside out."""
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return np.asarray(width.clip(0) * height.clip(0))


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute intersection over union (…) of boxes (…, 4) and (…, 4), which broadcast."""
    corners = np.concatenate(
        [np.maximum(boxes[..., :2], others[..., :2]), np.minimum(boxes[..., 2:], others[..., 2:])], -1
    )
    intersection = box_area(corners)
    return np.asarray(intersection / np.maximum(box_area(boxes) + box_area(others) - intersection, 1e-12))


def tensor_iou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Compute `iou` of tensors. Edge by edge: many objects by many locations are not made four times as large."""
    import tensorflow as tf

    intersection = _shared_side(boxes, others, 0, 2) * _shared_side(boxes, others, 1, 3)
    union = _width_times_height(boxes) + _width_times_height(others) - intersection
    return tf.math.divide_no_nan(intersection, union)


def _shared_side(boxes: tf.Tensor, others: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Compute the length (…) that boxes share along one axis, whose edges are columns `low` and `high`."""
    import tensorflow as tf

    return tf.nn.relu(tf.minimum(boxes[..., high], others[..., high]) - tf.maximum(boxes[..., low], others[..., low]))


def _width_times_height(boxes: tf.Tensor) -> tf.Tensor:
    """Compute `box_area` of tensors, edge by edge."""
    import tensorflow as tf

    return tf.nn.relu(boxes[..., 2] - boxes[..., 0]) * tf.nn.relu(boxes[..., 3] - boxes[..., 1])


def generalized_iou(boxes: tf.Tensor, others: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute (IoU, GIoU) of tensors (…, 4): Rezatofighi et al. 2019, "Generalized intersection over union"."""
    import tensorflow as tf

    inner = tf.concat([tf.maximum(boxes[..., :2], others[..., :2]), tf.minimum(boxes[..., 2:], others[..., 2:])], -1)
    outer = tf.concat([tf.minimum(boxes[..., :2], others[..., :2]), tf.maximum(boxes[..., 2:], others[..., 2:])], -1)
    intersection, hull = _side_product(inner), _side_product(outer)
    union = _side_product(boxes) + _side_product(others) - intersection
    overlap = tf.math.divide_no_nan(intersection, union)
    return overlap, overlap - tf.math.divide_no_nan(hull - union, hull)


def _side_product(boxes: tf.Tensor) -> tf.Tensor:
    """Compute `box_area` of tensors, both sides at once."""
    import tensorflow as tf

    sides = tf.nn.relu(boxes[..., 2:] - boxes[..., :2])
    return sides[..., 0] * sides[..., 1]
