"""What tensors inside a network reach on images."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_resnet.progress import track

BATCH = 16


def channel_min_max(model: Any, tensors: list[Any], images: np.ndarray) -> list[np.ndarray]:
    """Of each of `tensors` in the functional `model`, (B, …, C), the smallest and the largest value of each channel in
    each of `images` (N, H, W, 3): float32 (N, 2, C)."""
    ops, ends = keras.ops, []
    for tensor in tensors:
        axes = tuple(range(1, len(tensor.shape) - 1))
        ends.append(ops.stack([ops.min(tensor, axes), ops.max(tensor, axes)], axis=1) if axes else _twice(tensor))
    probe = keras.Model(model.input, ends)
    # Not by `predict`, which would keep the graph of what was switched on first.
    with track(range(0, len(images), BATCH), "ranges of layers", "batches") as starts:
        batches = (images[start : start + BATCH].astype("float32") for start in starts)
        parts = [[np.asarray(each) for each in probe(batch, training=False)] for batch in batches]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def _twice(vector: Any) -> Any:
    """Of (B, C), where every value is both ends of its channel: (B, 2, C)."""
    return keras.ops.stack([vector, vector], axis=1)
