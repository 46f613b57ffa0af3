"""Compute what masks cost: Dice loss (Milletari et al. 2016), as CondInst and SOLO have it.

All in float32 and for each image alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_resnet.runtime.postprocess import CONDINST_LAYERS, COORDINATE_SCALE, anchor_points
from keras_resnet.tasks.assigner import Assignment

# Locations of an image whose masks are compared: those best aligned with their object.
MAX_LOCATIONS = 48


def mask_losses(
    outputs: dict[str, tf.Tensor], ids: tf.Tensor, assignment: Assignment, cells: Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute (Dice losses, mean IoU of masks), (B,) float32 each. ids: integers (B, S, S), n + 1 where the n-th object
    is."""
    prototypes = tf.cast(outputs["prototypes"], tf.float32)
    best = tf.math.top_k(assignment.alignment, min(MAX_LOCATIONS, assignment.alignment.shape[1]))
    locations = best.indices  # (B, T)
    weights = tf.cast(best.values > 0, tf.float32)
    coefficients = tf.gather(tf.cast(outputs["coefficients"], tf.float32), locations, axis=1, batch_dims=1)
    centers = tf.gather(tf.constant(anchor_points(cells)[0]), locations)
    logits = _upsample(mask_logits(coefficients, prototypes, centers), ids.shape[1])
    targets = _object_coverage(ids, tf.gather(assignment.objects, locations, axis=1, batch_dims=1), logits.shape[2])
    probabilities = tf.sigmoid(logits)
    squares = _sum_pixels(probabilities**2) + _sum_pixels(targets)
    dice = 1 - (2 * _sum_pixels(probabilities * targets) + 1) / (squares + 1)
    predicted, targets = tf.cast(logits > 0, tf.float32), tf.round(targets)
    iou = tf.math.divide_no_nan(_sum_pixels(predicted * targets), _sum_pixels(tf.maximum(predicted, targets)))
    total = tf.maximum(tf.reduce_sum(weights, axis=1), 1.0)
    return tf.reduce_sum(dice * weights, axis=1) / total, tf.reduce_sum(iou * weights, axis=1) / total


def _sum_pixels(values: tf.Tensor) -> tf.Tensor:
    """Sum (B, T, h, w) over pixels: (B, T)."""
    return tf.reduce_sum(values, axis=(2, 3))


def _upsample(logits: tf.Tensor, side: int) -> tf.Tensor:
    """Interpolate (B, T, h, w) to (B, T, 2 h, 2 w), as devices do, unless an image has fewer pixels."""
    size = 2 * logits.shape[2], 2 * logits.shape[3]
    if max(size) > side:
        return logits
    return tf.transpose(tf.image.resize(tf.transpose(logits, (0, 2, 3, 1)), size), (0, 3, 1, 2))


def _object_coverage(ids: tf.Tensor, objects: tf.Tensor, size: int) -> tf.Tensor:
    """Compute the share of each cell that is the object's: ids (B, S, S), objects (B, T) → (B, T, size, size)."""
    parts = max(1, round(ids.shape[1] / size))
    if ids.shape[1] != parts * size:
        ids = tf.image.resize(ids[..., None], (parts * size, parts * size), "nearest")[..., 0]
    # Ids are compared as wide numbers: the 256th object's would be the background's in a byte.
    own_ids, total = objects[:, :, None, None] + 1, 0.0
    for row in range(parts):
        for column in range(parts):
            cell_ids = tf.cast(ids[:, None, row::parts, column::parts], tf.int32)
            total += tf.cast(cell_ids == own_ids, tf.float32)
    return total / parts**2


def mask_logits(coefficients: tf.Tensor, prototypes: tf.Tensor, centers: tf.Tensor) -> tf.Tensor:
    """Compute masks as `postprocess.decode_masks`: coefficients (B, T, C), prototypes (B, h, w, P), centers (B, T, 2)
    → (B, T, h, w)."""
    height, width, channels = prototypes.shape[1:]
    if coefficients.shape[-1] == channels:
        return tf.einsum("bhwp,btp->bthw", prototypes, coefficients)
    ys, xs = (tf.range(height, dtype=tf.float32) + 0.5) / height, (tf.range(width, dtype=tf.float32) + 0.5) / width
    count = coefficients.shape[1]
    kernels, biases = _dynamic_weights(coefficients)
    flat = tf.reshape(prototypes, (-1, 1, height * width, channels))
    # The first layer in parts: what all objects share is not copied for each.
    x = tf.matmul(flat, kernels[0][:, :, 2:]) + biases[0]
    for axis, (values, repeats) in enumerate(((xs, (height, 1)), (ys, (1, width)))):
        line = (values[None, None] - centers[..., axis, None]) / COORDINATE_SCALE
        plane = tf.tile(line[:, :, None] if axis == 0 else line[..., None], (1, 1, *repeats))
        x += tf.reshape(plane, (-1, count, height * width, 1)) * kernels[0][:, :, axis : axis + 1]
    for kernel, bias in zip(kernels[1:], biases[1:], strict=True):
        x = tf.matmul(tf.nn.relu(x), kernel) + bias
    return tf.reshape(x, (-1, count, height, width))


def _dynamic_weights(coefficients: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Split coefficients (B, T, C) into the kernels and biases of CondInst's dynamic head."""
    start, count = 0, coefficients.shape[1]
    kernels, biases = [], []
    for inputs, outputs in CONDINST_LAYERS:
        kernel = coefficients[..., start : start + inputs * outputs]
        kernels.append(tf.reshape(kernel, (-1, count, inputs, outputs)))
        start += inputs * outputs
        biases.append(coefficients[:, :, None, start : start + outputs])
        start += outputs
    return kernels, biases
