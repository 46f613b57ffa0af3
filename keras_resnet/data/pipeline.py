"""tf.data pipelines. Images stay uint8; order and augmentation are functions of (seed, epoch, step) alone,
so that a training resumed at an epoch sees the batches it would have seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_resnet.data.images import center_crop
from keras_resnet.data.split import Addressed, Split
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
    in_turn = _by_row if split.pixels is not None or isinstance(split.stream, Addressed) else _by_buffer
    batches = in_turn(split, steps * batch_size, seed, first_epoch, epochs).batch(batch_size, drop_remainder=True)

    def prepare(step: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        images, labels = batch
        return _augment(images, image_size, flips, tf.stack([tf.cast(seed, tf.int64), step])), encode(labels)

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
    if isinstance(split.stream, Addressed):
        import tensorflow as tf

        rows = tf.data.Dataset.from_tensor_slices(np.sort(chosen)).map(split.stream.reader(), tf.data.AUTOTUNE)
        return center_crop(np.stack([image for image, _ in rows.as_numpy_iterator()]), image_size)
    wanted = set(chosen.tolist())
    picked = [image for index, (image, _) in enumerate(split.stream().as_numpy_iterator()) if index in wanted]
    return center_crop(np.stack(picked), image_size)


def _by_row(split: Split, used: int, seed: int, first_epoch: int, epochs: int) -> Any:
    """`used` images of each epoch, every one at a row that follows from its epoch and position."""
    import tensorflow as tf

    read = _reader(split)

    def at(number: Any) -> tuple[Any, Any]:
        key = tf.stack([tf.constant(seed, tf.int64), number // used])
        return read(tf.random.experimental.index_shuffle(number % used, key, split.count - 1))

    return tf.data.Dataset.range(first_epoch * used, epochs * used).map(at, tf.data.AUTOTUNE)


def _reader(split: Split) -> Callable[[Any], tuple[Any, Any]]:
    """A TensorFlow function: row → (image, label)."""
    import tensorflow as tf

    if isinstance(split.stream, Addressed):
        return split.stream.reader()
    with tf.device("CPU"):  # made here, once: inside the graph they would become constants of it
        pixels, labels = tf.constant(split.pixels), tf.constant(split.labels)
    return lambda row: (tf.gather(pixels, row), tf.gather(labels, row))


def _by_buffer(split: Split, used: int, seed: int, first_epoch: int, epochs: int) -> Any:
    """`used` images of each epoch, out of a buffer: for streams that can only be read in their order."""

    assert split.stream is not None
    stream = split.stream()
    if first_epoch >= epochs:
        return stream.take(0)
    # Python numbers: TensorFlow's shuffle takes no seed from a graph once a global seed is set.
    parts = [
        stream.shuffle(STREAM_SHUFFLE, seed=seed * 1_000_003 + epoch, reshuffle_each_iteration=False).take(used)
        for epoch in range(first_epoch, epochs)
    ]
    while len(parts) > 1:  # by halves: a chain would pass each image through as many iterators as epochs
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [a.concatenate(b) for a, b in pairs] + parts[len(parts) & ~1 :]
    return parts[0]


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
