"""tf.data pipelines. Images stay uint8; order and augmentation are functions of (seed, epoch, step) alone,
so that a training resumed at an epoch sees the batches it would have seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from keras_resnet.data.images import center_crop
from keras_resnet.data.split import Split
from keras_resnet.errors import UsageError

STREAM_SHUFFLE = 4096


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Whole batches in an epoch. Raises UsageError if there is not one."""
    if batch_size > split.count:
        raise UsageError(f"--batch-size must be at most the {split.count} training images. Received: {batch_size}")
    return split.count // batch_size


def training(
    split: Split,
    *,
    image_size: int,
    flips: bool,
    batch_size: int,
    seed: int,
    first_epoch: int,
    epochs: int,
    encode: Callable[[Any], Any],
) -> Any:
    """Batches of epochs `first_epoch` … `epochs` - 1 in one dataset, each epoch in an order of its own:
    (uint8 (B, image_size, image_size, 3), encode(labels)). What does not fill a batch is left out."""
    import tensorflow as tf

    steps = steps_per_epoch(split, batch_size)

    shuffled = _shuffler(split, seed)
    in_turn = [
        shuffled(epoch).batch(batch_size, drop_remainder=True).take(steps) for epoch in range(first_epoch, epochs)
    ]

    def prepare(step: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        images, labels = batch
        return _augment(images, image_size, flips, tf.stack([tf.cast(seed, tf.int64), step])), encode(labels)

    batches = reduce(lambda before, after: before.concatenate(after), in_turn)
    numbered = batches.enumerate(start=first_epoch * steps)
    return numbered.map(prepare, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def evaluation(split: Split, image_size: int, batch_size: int) -> Any:
    """All images in order, their centres: (uint8 (B, image_size, image_size, 3), int64 (B,))."""
    import tensorflow as tf

    batches = split.batches(batch_size)
    return batches.map(lambda images, labels: (center_crop(images, image_size), labels)).prefetch(tf.data.AUTOTUNE)


def balanced_sample(split: Split, *, image_size: int, per_class: int, classes: int, seed: int) -> np.ndarray:
    """Up to `per_class` images of each class under the evaluation transform: uint8 (N, image_size, image_size, 3)."""
    order = np.random.default_rng(seed).permutation(split.count)
    chosen = np.concatenate([order[split.labels[order] == label][:per_class] for label in range(classes)])
    if split.pixels is not None:
        return center_crop(split.pixels[np.sort(chosen)], image_size)
    assert split.stream is not None
    wanted = set(chosen.tolist())
    picked = [image for index, (image, _) in enumerate(split.stream().as_numpy_iterator()) if index in wanted]
    return center_crop(np.stack(picked), image_size)


def _shuffler(split: Split, seed: int) -> Callable[[int], Any]:
    """A function from an epoch's number to the images of that epoch in its order."""
    import tensorflow as tf

    def from_stream(epoch: int) -> Any:
        assert split.stream is not None
        order = seed * 1_000_003 + epoch
        return split.stream().shuffle(STREAM_SHUFFLE, seed=order, reshuffle_each_iteration=False)

    if split.pixels is None:
        return from_stream
    with tf.device("CPU"):  # made here, once: inside the graph they would become constants of it
        pixels, labels = tf.constant(split.pixels), tf.constant(split.labels)

    def from_memory(epoch: int) -> Any:
        key = tf.constant([seed, epoch], tf.int64)

        def at(position: Any) -> tuple[Any, Any]:
            row = tf.random.experimental.index_shuffle(position, key, split.count - 1)
            return tf.gather(pixels, row), tf.gather(labels, row)

        return tf.data.Dataset.range(split.count).map(at, tf.data.AUTOTUNE)

    return from_memory


def _augment(images: Any, size: int, flips: bool, key: Any) -> Any:
    """A random `size` × `size` cut of each image (B, H, W, 3), after a margin of zeros where H is `size`
    (He et al. 2015, section 4.2: 4 pixels around 32), and a mirror image half of the time if `flips`."""
    import tensorflow as tf

    if images.shape[1] == size:
        margin = max(1, size // 8)
        images = tf.pad(images, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
    count, room = tf.shape(images)[0], images.shape[1] - size
    offsets = tf.random.stateless_uniform((2, count), key, maxval=room + 1, dtype=tf.int32)
    span = tf.range(size)
    images = tf.gather(images, offsets[0][:, None] + span, axis=1, batch_dims=1)
    columns = offsets[1][:, None] + span
    if flips:
        mirrored = tf.random.stateless_uniform((count, 1), key + 1, maxval=2, dtype=tf.int32) == 1
        columns = tf.where(mirrored, columns[:, ::-1], columns)
    return tf.gather(images, columns, axis=2, batch_dims=1)
