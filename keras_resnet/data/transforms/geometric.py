"""Image, boxes and masks seen through the same window: scaled, moved, mirrored, and filled where nothing was.

A window is (top, left, bottom, right) in fractions of the image, beyond 0 and 1 where it looks past the edges;
mirrored, its left is to the right of its right. One window for each image of a batch."""

from __future__ import annotations

import tensorflow as tf

# An object of which less than this is left in the window is none.
MIN_VISIBLE = 0.25
# How far a window may be moved beyond where the image would still fill it, as a share of the image's side.
MARGIN = 0.125
# Left, top, right, bottom of all that a window shows.
FULL_WINDOW = (0.0, 0.0, 1.0, 1.0)


def draw_windows(key: tf.Tensor, batch: int, side: int, scales: tuple[float, ...], mirrors: bool) -> tf.Tensor:
    """Draw float32 (batch, 4), windows, by the (2,) `key` on images of `side` pixels. Objects look up to
    scales[0] … scales[1] times as large, evenly by logarithm (Ghiasi et al. 2021 call it scale jitter)."""

    def draws(number: int, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        return low + (high - low) * tf.random.stateless_uniform((batch,), key + number)

    low, high = scales or (1.0, 1.0)
    span = tf.exp(-draws(0, tf.math.log(low), tf.math.log(high)))
    room = 1 - span
    first, last = tf.minimum(room, 0.0) - MARGIN, tf.maximum(room, 0.0) + MARGIN
    # By whole pixels, so that images of their own size stay as sharp as they are in evaluation.
    top, left = (tf.round(draws(number, first, last) * side) / side for number in (1, 2))
    right = left + span
    if mirrors:
        turned = draws(3, 0.0, 1.0) < 0.5
        left, right = tf.where(turned, right, left), tf.where(turned, left, right)
    return tf.stack([top, left, top + span, right], axis=1)


def crop_images(images: tf.Tensor, windows: tf.Tensor, size: int) -> tf.Tensor:
    """Crop uint8 (B, H, W, C) → uint8 (B, size, size, C), interpolated between four pixels; black past the edges."""
    return tf.cast(tf.round(_sample(images, windows, size, "bilinear")), tf.uint8)


def crop_id_maps(ids: tf.Tensor, windows: tf.Tensor, size: int) -> tf.Tensor:
    """Crop integers (B, H, W) → (B, size, size) of the same type, each the nearest pixel's; 0 past the edges."""
    return tf.cast(_sample(ids[..., None], windows, size, "nearest")[..., 0], ids.dtype)


def crop_objects(
    truth: dict[str, tf.Tensor], windows: tf.Tensor, parts: tf.Tensor | tuple[float, ...] = FULL_WINDOW
) -> dict[str, tf.Tensor]:
    """Return `truth` with "boxes" (B, M, 4) as they stand in the window, cut at its edges or those of `parts` of it,
    float32 (B, 4) as left, top, right, bottom, and with "labels" -1 for objects of which too little is left."""
    start = tf.gather(windows, [1, 0, 1, 0], axis=1)[:, None]
    sides = tf.gather(windows, [3, 2, 3, 2], axis=1)[:, None] - start
    moved = (truth["boxes"] - start) / sides
    # In a mirror left and right change places.
    moved = tf.concat([tf.minimum(moved[..., :2], moved[..., 2:]), tf.maximum(moved[..., :2], moved[..., 2:])], axis=-1)
    edges = tf.reshape(tf.convert_to_tensor(parts, tf.float32), (-1, 1, 4))
    first, last = (tf.tile(each, (1, 1, 2)) for each in (edges[..., :2], edges[..., 2:]))
    cut = tf.minimum(tf.maximum(moved, first), last)
    stays = _area(cut) >= MIN_VISIBLE * _area(moved)
    return {**truth, "boxes": cut, "labels": tf.where(stays, truth["labels"], -1)}


def _area(boxes: tf.Tensor) -> tf.Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _sample(images: tf.Tensor, windows: tf.Tensor, size: int, method: str) -> tf.Tensor:
    """float32 (B, size, size, C). crop_and_resize counts from the middle of the first pixel to that of the last;
    windows from edge to edge."""
    height, width = images.shape[1], images.shape[2]
    sides = tf.constant([height, width, height, width], tf.float32)
    start, end = tf.gather(windows, [0, 1, 0, 1], axis=1), tf.gather(windows, [2, 3, 2, 3], axis=1)
    first = tf.constant([0.5, 0.5, size - 0.5, size - 0.5]) / size
    middles = (start + first * (end - start)) * sides - 0.5
    rows = tf.range(tf.shape(images)[0])
    return tf.image.crop_and_resize(tf.cast(images, tf.float32), middles / (sides - 1), rows, (size, size), method)
