"""Which locations of a detector answer for which object, and what a detection costs: TOOD (Feng et al. 2021) with
quality focal loss (Li et al. 2020) and generalized IoU. In float32 and for each image alone, so that shares of a batch
on several replicas sum up to the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resnet.metrics.iou import generalized_iou, overlaps
from keras_resnet.runtime.postprocess import anchor_points

# Feng et al. 2021, section 4.1: alignment is score^1 × IoU^6, and the best 13 locations answer for an object.
SCORE_POWER, IOU_POWER, BEST = 1.0, 6.0, 13
# Li et al. 2020, equation 6.
FOCUS = 2.0
# Feng et al. weigh the boxes' loss by 2.
BOX_WEIGHT = 2.0


@dataclass(frozen=True)
class Assignment:
    """Of N locations of B images. objects: int32 (B, N), the row of the object that a location answers for, -1 for
    none. quality: float32 (B, N), the score that it should have for that object's class. ignored: bool (B, N), within a
    crowd and of no object. rank: float32 (B, N), how well it is aligned, 1 for the best of its object. overlap:
    float32 (B, N), IoU of its box with that object's."""

    objects: Any
    quality: Any
    ignored: Any
    rank: Any
    overlap: Any


def boxes_at(distances: Any, cells: Sequence[int]) -> Any:
    """As `detections.boxes_of`, of tensors (B, N, 4)."""
    middles, widths = anchor_points(cells)
    reach = widths * np.array([-1, -1, 1, 1], np.float32)
    return np.concatenate([middles, middles], axis=1) + tf.cast(distances, tf.float32) * reach


def assign(scores: Any, boxes: Any, truth: dict[str, Any], cells: Sequence[int]) -> Assignment:
    """scores: logits (B, N, classes); boxes: (B, N, 4); truth: "boxes" (B, M, 4), "labels" (B, M), -1 where there is no
    object, "crowd" (B, M) → what each location answers for."""
    scores, boxes = tf.stop_gradient(tf.cast(scores, tf.float32)), tf.stop_gradient(boxes)
    real = (truth["labels"] >= 0) & ~truth["crowd"]
    overlap = overlaps(boxes[:, None], truth["boxes"][:, :, None])  # (B, M, N)
    own = tf.gather(tf.sigmoid(scores), tf.maximum(truth["labels"], 0), axis=2, batch_dims=1)  # (B, N, M)
    within = _within(truth["boxes"], cells)
    aligned = tf.transpose(own, (0, 2, 1)) ** SCORE_POWER * tf.maximum(overlap, 1e-3) ** IOU_POWER
    aligned = tf.where(within & real[:, :, None], aligned, 0.0)
    least = tf.math.top_k(aligned, min(BEST, aligned.shape[-1])).values[..., -1:]
    chosen = (aligned > 0) & (aligned >= least)
    # A location that several objects want goes to the one that its box overlaps most.
    objects = tf.argmax(tf.where(chosen, overlap + 1.0, 0.0), axis=1, output_type=tf.int32)  # (B, N)
    chosen &= tf.range(tf.shape(aligned)[1])[None, :, None] == objects[:, None]
    aligned = tf.where(chosen, aligned, 0.0)
    best = tf.reduce_max(tf.where(chosen, overlap, 0.0), axis=2, keepdims=True)
    rank = tf.math.divide_no_nan(aligned, tf.reduce_max(aligned, axis=2, keepdims=True))
    answers = tf.reduce_any(chosen, axis=1)
    crowded = tf.reduce_any(within & (truth["crowd"] & (truth["labels"] >= 0))[:, :, None], axis=1)
    return Assignment(
        objects=tf.where(answers, objects, -1),
        quality=tf.reduce_sum(rank * best, axis=1),
        ignored=crowded & ~answers,
        rank=tf.reduce_sum(rank, axis=1),
        overlap=tf.reduce_sum(tf.where(chosen, overlap, 0.0), axis=1),
    )


def _within(boxes: Any, cells: Sequence[int]) -> Any:
    """Whether the middle of a location is in a box: (B, M, 4) → bool (B, M, N). Boxes smaller than a finest cell are
    taken as large as one, or none would answer for them."""
    middles, widths = anchor_points(cells)
    middle, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    half = tf.maximum(half, float(widths.min()) / 2)
    return tf.reduce_all(tf.abs(middles - middle[:, :, None]) <= half[:, :, None], axis=-1)


def detection_losses(scores: Any, boxes: Any, truth: dict[str, Any], found: Assignment) -> Any:
    """(B,) float32: quality focal loss of the scores and GIoU loss of the boxes, over the sum of all qualities."""
    scores = tf.cast(scores, tf.float32)
    labels = tf.gather(truth["labels"], tf.maximum(found.objects, 0), axis=1, batch_dims=1)
    wanted = found.quality[..., None] * tf.one_hot(labels, scores.shape[-1])
    focus = tf.abs(wanted - tf.sigmoid(scores)) ** FOCUS
    of_scores = focus * tf.nn.sigmoid_cross_entropy_with_logits(wanted, scores)
    of_scores = tf.where(found.ignored[..., None], 0.0, of_scores)
    theirs = tf.gather(truth["boxes"], tf.maximum(found.objects, 0), axis=1, batch_dims=1)
    _, generalized = generalized_iou(boxes, theirs)
    of_boxes = found.quality * (1 - generalized)
    total = tf.maximum(tf.reduce_sum(found.quality, axis=1), 1.0)
    return (tf.reduce_sum(of_scores, axis=(1, 2)) + BOX_WEIGHT * tf.reduce_sum(of_boxes, axis=1)) / total
