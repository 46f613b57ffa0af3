"""Assign objects to the locations of a detector, and compute what detections cost: TOOD (Feng et al. 2021) with quality
focal loss (Li et al. 2020) and generalized IoU.

All in float32 and for each image alone, so that the parts of a batch on several replicas add up to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_resnet.metrics.iou import generalized_iou, tensor_iou
from keras_resnet.runtime.postprocess import anchor_points

# Feng et al. 2021, section 4.1: alignment is score^1 × IoU^6, and the 13 best aligned locations answer for an object.
SCORE_POWER, IOU_POWER, TOP_LOCATIONS = 1.0, 6.0, 13
# Li et al. 2020, equation 6: beta.
FOCAL_POWER = 2.0
# Feng et al. weigh the boxes' loss by 2.
BOX_WEIGHT = 2.0


@dataclass(frozen=True)
class Assignment:
    """Of N locations of B images. objects: int32 (B, N), the row of the object that a location answers for, -1 for
    none. quality: float32 (B, N), the score that it should have for that object's class. ignored: bool (B, N), within a
    crowd and of no object. alignment: float32 (B, N), 1 for the best aligned location of its object. iou: float32
    (B, N), of its box with that object's."""

    objects: tf.Tensor
    quality: tf.Tensor
    ignored: tf.Tensor
    alignment: tf.Tensor
    iou: tf.Tensor


def decode_boxes(distances: tf.Tensor, cells: Sequence[int]) -> tf.Tensor:
    """Turn distances (B, N, 4) into boxes (B, N, 4), as `postprocess.ltrb_to_xyxy` does in NumPy."""
    centers, widths = anchor_points(cells)
    scale = widths * np.array([-1, -1, 1, 1], np.float32)
    return np.concatenate([centers, centers], axis=1) + tf.cast(distances, tf.float32) * scale


def assign(scores: tf.Tensor, boxes: tf.Tensor, targets: dict[str, tf.Tensor], cells: Sequence[int]) -> Assignment:
    """Assign objects to locations: scores are logits (B, N, classes), boxes (B, N, 4), targets "boxes" (B, M, 4),
    "labels" (B, M), -1 where there is no object, and "iscrowd" (B, M)."""
    scores, boxes = tf.stop_gradient(tf.cast(scores, tf.float32)), tf.stop_gradient(boxes)
    is_object = (targets["labels"] >= 0) & ~targets["iscrowd"]
    iou = tensor_iou(boxes[:, None], targets["boxes"][:, :, None])  # (B, M, N)
    own_scores = tf.gather(tf.sigmoid(scores), tf.maximum(targets["labels"], 0), axis=2, batch_dims=1)  # (B, N, M)
    inside = _is_inside(targets["boxes"], cells)
    aligned = tf.transpose(own_scores, (0, 2, 1)) ** SCORE_POWER * tf.maximum(iou, 1e-3) ** IOU_POWER
    aligned = tf.where(inside & is_object[:, :, None], aligned, 0.0)
    least = tf.math.top_k(aligned, min(TOP_LOCATIONS, aligned.shape[-1])).values[..., -1:]
    chosen = (aligned > 0) & (aligned >= least)
    # A location that several objects want goes to the one that its box overlaps most.
    objects = tf.argmax(tf.where(chosen, iou + 1.0, 0.0), axis=1, output_type=tf.int32)  # (B, N)
    chosen &= tf.range(tf.shape(aligned)[1])[None, :, None] == objects[:, None]
    aligned = tf.where(chosen, aligned, 0.0)
    best_iou = tf.reduce_max(tf.where(chosen, iou, 0.0), axis=2, keepdims=True)
    alignment = tf.math.divide_no_nan(aligned, tf.reduce_max(aligned, axis=2, keepdims=True))
    positive = tf.reduce_any(chosen, axis=1)
    crowded = tf.reduce_any(inside & (targets["iscrowd"] & (targets["labels"] >= 0))[:, :, None], axis=1)
    return Assignment(
        objects=tf.where(positive, objects, -1),
        quality=tf.reduce_sum(alignment * best_iou, axis=1),
        ignored=crowded & ~positive,
        alignment=tf.reduce_sum(alignment, axis=1),
        iou=tf.reduce_sum(tf.where(chosen, iou, 0.0), axis=1),
    )


def _is_inside(boxes: tf.Tensor, cells: Sequence[int]) -> tf.Tensor:
    """Return whether the center of each location is in each box: (B, M, 4) → bool (B, M, N). Boxes smaller than a
    finest cell are taken as large as one, or none would answer for them."""
    centers, widths = anchor_points(cells)
    box_centers, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    half = tf.maximum(half, float(widths.min()) / 2)
    return tf.reduce_all(tf.abs(centers - box_centers[:, :, None]) <= half[:, :, None], axis=-1)


def detection_losses(
    scores: tf.Tensor, boxes: tf.Tensor, targets: dict[str, tf.Tensor], assignment: Assignment
) -> tf.Tensor:
    """Compute quality focal loss of the scores and GIoU loss of the boxes, over the sum of all qualities: (B,)."""
    scores = tf.cast(scores, tf.float32)
    rows = tf.maximum(assignment.objects, 0)
    labels = tf.gather(targets["labels"], rows, axis=1, batch_dims=1)
    target_scores = assignment.quality[..., None] * tf.one_hot(labels, scores.shape[-1])
    focus = tf.abs(target_scores - tf.sigmoid(scores)) ** FOCAL_POWER
    score_losses = focus * tf.nn.sigmoid_cross_entropy_with_logits(target_scores, scores)
    score_losses = tf.where(assignment.ignored[..., None], 0.0, score_losses)
    target_boxes = tf.gather(targets["boxes"], rows, axis=1, batch_dims=1)
    _, giou = generalized_iou(boxes, target_boxes)
    box_losses = assignment.quality * (1 - giou)
    total = tf.maximum(tf.reduce_sum(assignment.quality, axis=1), 1.0)
    return (tf.reduce_sum(score_losses, axis=(1, 2)) + BOX_WEIGHT * tf.reduce_sum(box_losses, axis=1)) / total
