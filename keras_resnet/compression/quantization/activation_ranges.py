"""The ranges of tensors inside a network on given images."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.progress import track

# What a batch may hold: the pixels of 16 images of 64 × 64, or 16 larger images.
BATCH_SIZE, BATCH_PIXELS = 16, 16 * 64 * 64


def split_into_batches(images: np.ndarray) -> list[np.ndarray]:
    """Return `images` (N, H, W, C) in batches: many small ones, of which each call of a model costs more time than each
    image, and few large ones, whose activations take memory."""
    size = max(BATCH_SIZE, BATCH_PIXELS // (images.shape[1] * images.shape[2]))
    return [images[start : start + size] for start in range(0, len(images), size)]


def channel_min_max(model: keras.Model, tensors: list[keras.KerasTensor], images: np.ndarray) -> list[np.ndarray]:
    """Return of each of `tensors` in the functional `model`, (B, …, C), the smallest and the largest value of each
    channel in each of `images` (N, H, W, C): float32 (N, 2, C)."""
    ops, extremes = keras.ops, []
    for tensor in tensors:
        axes = tuple(range(1, len(tensor.shape) - 1))
        extremes.append(
            ops.stack([ops.min(tensor, axes), ops.max(tensor, axes)], axis=1) if axes else _duplicate(tensor)
        )
    probe = keras.Model(model.input, extremes)
    # As a graph, which frees an activation once its extremes are known. Not by `predict`, which would keep the graph of
    # what was switched on first.
    pixels = tf.TensorSpec((None, *images.shape[1:]), tf.float32)
    compute = tf.function(lambda batch: probe(batch, training=False), input_signature=[pixels], autograph=False)
    with track(split_into_batches(images), "ranges of layers", "batches") as batches:
        parts = [[np.asarray(each) for each in compute(batch.astype("float32"))] for batch in batches]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def _duplicate(vector: keras.KerasTensor) -> keras.KerasTensor:
    """Map (B, C), where every value is minimum and maximum of its channel, to (B, 2, C)."""
    return keras.ops.stack([vector, vector], axis=1)
