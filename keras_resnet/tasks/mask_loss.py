"""What masks cost while they are learned: Dice loss (Milletari et al. 2016), as CondInst and SOLO have it. In float32,
for each image alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_resnet.runtime.postprocess import CONDINST_LAYERS, COORDINATE_SCALE, anchor_points
from keras_resnet.tasks.assigner import Assignment

# Locations of an image whose masks are compared: those that answer best for their object.
COMPARED = 48


def mask_losses(outputs: dict[str, Any], ids: Any, found: Assignment, cells: Sequence[int]) -> tuple[Any, Any]:
    """(losses, mean IoU of masks), (B,) float32 each. ids: integers (B, S, S), n + 1 where the n-th object is."""
    prototypes = tf.cast(outputs["prototypes"], tf.float32)
    best = tf.math.top_k(found.rank, min(COMPARED, found.rank.shape[1]))
    places = best.indices  # (B, T)
    counted = tf.cast(best.values > 0, tf.float32)
    own = tf.gather(tf.cast(outputs["coefficients"], tf.float32), places, axis=1, batch_dims=1)
    middles = tf.gather(tf.constant(anchor_points(cells)[0]), places)
    logits = _finer(mask_logits(own, prototypes, middles), ids.shape[1])
    wanted = _covered(ids, tf.gather(found.objects, places, axis=1, batch_dims=1), logits.shape[2])
    shares = tf.sigmoid(logits)

    def over(values: Any) -> Any:
        return tf.reduce_sum(values, axis=(2, 3))

    dice = 1 - (2 * over(shares * wanted) + 1) / (over(shares**2) + over(wanted) + 1)
    guessed, wanted = tf.cast(logits > 0, tf.float32), tf.round(wanted)
    overlap = tf.math.divide_no_nan(over(guessed * wanted), over(tf.maximum(guessed, wanted)))
    total = tf.maximum(tf.reduce_sum(counted, axis=1), 1.0)
    return tuple(tf.reduce_sum(each * counted, axis=1) / total for each in (dice, overlap))


def _finer(logits: Any, side: int) -> Any:
    """(B, T, h, w) → (B, T, 2 h, 2 w), interpolated as devices do it, unless an image has fewer pixels."""
    size = 2 * logits.shape[2], 2 * logits.shape[3]
    if max(size) > side:
        return logits
    return tf.transpose(tf.image.resize(tf.transpose(logits, (0, 2, 3, 1)), size), (0, 3, 1, 2))


def _covered(ids: Any, objects: Any, size: int) -> Any:
    """The share of each cell that is the object's: ids (B, S, S), objects (B, T) → (B, T, size, size)."""
    parts = max(1, round(ids.shape[1] / size))
    if ids.shape[1] != parts * size:
        ids = tf.image.resize(ids[..., None], (parts * size, parts * size), "nearest")[..., 0]
    # Ids are compared as wide numbers: the 256th object's would be the ground's in a byte.
    wanted, total = objects[:, :, None, None] + 1, 0.0
    for row in range(parts):
        for column in range(parts):
            seen = tf.cast(ids[:, None, row::parts, column::parts], tf.int32)
            total += tf.cast(seen == wanted, tf.float32)
    return total / parts**2


def mask_logits(own: Any, prototypes: Any, middles: Any) -> Any:
    """As `detections.masks_of`: own (B, T, C), prototypes (B, h, w, P), middles (B, T, 2) → (B, T, h, w)."""
    height, width, kinds = prototypes.shape[1:]
    if own.shape[-1] == kinds:
        return tf.einsum("bhwp,btp->bthw", prototypes, own)
    ys, xs = (tf.range(height, dtype=tf.float32) + 0.5) / height, (tf.range(width, dtype=tf.float32) + 0.5) / width
    start, count = 0, own.shape[1]
    kernels, biases = [], []
    for inputs, outputs in CONDINST_LAYERS:
        kernels.append(tf.reshape(own[..., start : start + inputs * outputs], (-1, count, inputs, outputs)))
        start += inputs * outputs
        biases.append(own[:, :, None, start : start + outputs])
        start += outputs
    flat = tf.reshape(prototypes, (-1, 1, height * width, kinds))
    # The first layer in parts: what all objects share is not copied for each.
    x = tf.matmul(flat, kernels[0][:, :, 2:]) + biases[0]
    for axis, (values, repeats) in enumerate(((xs, (height, 1)), (ys, (1, width)))):
        line = (values[None, None] - middles[..., axis, None]) / COORDINATE_SCALE
        grid_of = tf.tile(line[:, :, None] if axis == 0 else line[..., None], (1, 1, *repeats))
        x += tf.reshape(grid_of, (-1, count, height * width, 1)) * kernels[0][:, :, axis : axis + 1]
    for kernel, bias in zip(kernels[1:], biases[1:], strict=True):
        x = tf.matmul(tf.nn.relu(x), kernel) + bias
    return tf.reshape(x, (-1, count, height, width))
