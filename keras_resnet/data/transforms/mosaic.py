"""Several images with objects made into one: mosaic (Bochkovskiy et al. 2020, "YOLOv4", section 3.3) and copy-paste
(Ghiasi et al. 2021, "Simple Copy-Paste").

What stands in B images is a dict: "boxes" (B, M, 4) in fractions of the image, "labels" (B, M), -1 where there is no
object, "iscrowd" (B, M), and with masks "ids" (B, S, S), n + 1 where the n-th object is. All is drawn for the whole
batch, of which a worker makes `mine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import tensorflow as tf

from keras_resnet.config.data import AugmentSpec
from keras_resnet.data.annotations import mask_id_dtype
from keras_resnet.data.transforms import geometric

Objects: TypeAlias = dict[str, tf.Tensor]
# Images, and what stands in them.
Shown: TypeAlias = tuple[tf.Tensor, Objects]
# Images that a mosaic shows, and the seeds of what is drawn here beside those of a window (0 to 3) and of colors (4).
TILES = 4
ROWS, CHOSEN, SCALE, MIDDLE, TURNED, PASTED, PIECES, WINDOW = range(10, 18)
# The middle of a mosaic is at least so far from its edges.
BORDER = 0.25
# What is drawn for each object of an image is drawn for so many at least, whatever the dataset's images show.
MIN_DRAWS = 255


@dataclass(frozen=True)
class ObjectMixer:
    """How images are mixed, each with `partners` of others: `mine` of the `batch` that all is drawn for."""

    augment: AugmentSpec
    batch: int
    size: int
    mirrors: bool
    mine: slice

    @property
    def partners(self) -> int:
        """Return further images that each one needs."""
        return (TILES - 1) * (self.augment.mosaic > 0) + (self.augment.copy_paste > 0)

    def rows(self, key: tf.Tensor, rows: tf.Tensor, count: int) -> tf.Tensor:
        """Add partners: int64 (B,) → (B × (1 + partners),): each image's own row and those of others, of `count`."""
        if not self.partners:
            return rows
        others = tf.random.stateless_uniform((self.batch, self.partners), key + ROWS, maxval=count, dtype=tf.int64)
        return tf.reshape(tf.concat([rows[:, None], others[self.mine]], axis=1), (-1,))

    def mix(self, key: tf.Tensor, images: tf.Tensor, truth: Objects) -> Shown:
        """Mix images of `rows`, uint8 (B × (1 + partners), H, W, 3), and what stands in them → uint8 (B, size, size, 3)
        and what stands in those."""
        grouped = tf.nest.map_structure(
            lambda x: tf.reshape(x, (-1, 1 + self.partners, *x.shape[1:])), (images, _select_fields(truth))
        )
        plain = self._windows(key, images.shape[1])
        if self.augment.mosaic:
            shown = self._mosaic(key, plain, _take(grouped, slice(TILES)))
        else:
            shown = crop_all(_take(grouped, 0), plain, self.size)
        if not self.augment.copy_paste:
            return shown
        theirs = self._windows(key + WINDOW, images.shape[1])
        chosen = self._uniform(key + PASTED) < self.augment.copy_paste
        halves = self._uniform(key + PIECES, max(MIN_DRAWS, truth["labels"].shape[1])) < 0.5
        return paste_objects(shown, crop_all(_take(grouped, -1), theirs, self.size), chosen[:, None] & halves)

    def _uniform(self, key: tf.Tensor, *shape: int, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        return tf.random.stateless_uniform((self.batch, *shape), key, low, high)[self.mine]

    def _windows(self, key: tf.Tensor, side: int) -> tf.Tensor:
        return geometric.draw_windows(key, self.batch, side, self.augment.scales, self.mirrors)[self.mine]

    def _mosaic(self, key: tf.Tensor, plain: tf.Tensor, tiles: tf.Tensor) -> Shown:
        """(B, TILES, …) → (B, …): by chance all of an image's tiles, or the first one alone as `plain` has it."""
        chosen = (self._uniform(key + CHOSEN) < self.augment.mosaic)[:, None, None]
        low, high = self.augment.scales or (1.0, 1.0)
        side = 0.5 * tf.exp(self._uniform(key + SCALE, TILES, low=tf.math.log(low), high=tf.math.log(high)))
        middle = self._uniform(key + MIDDLE, 2, low=BORDER, high=1 - BORDER)
        middle = tf.round(middle * self.size) / self.size
        turned = (self._uniform(key + TURNED, TILES) < 0.5) & self.mirrors
        first_tile_only = tf.constant([[0.0, 0, 1, 1]] + 3 * [[0.0, 0, 0, 0]])
        parts = tf.where(chosen, _quarter_boxes(middle), first_tile_only)
        seen_through = tf.where(chosen, _tile_windows(middle, side, turned), plain[:, None])
        flat = tf.nest.map_structure(lambda x: tf.reshape(x, (-1, *x.shape[2:])), (tiles, seen_through, parts))
        return _join_tiles(crop_all(flat[0], flat[1], self.size, flat[2]), parts)


def crop_all(shown: Shown, through: tf.Tensor, size: int, parts: tf.Tensor = geometric.FULL_WINDOW) -> Shown:
    """Crop images and what stands in them, seen `through` windows (B, 4), in `parts` of those; see `geometric`."""
    images, truth = shown
    truth = geometric.crop_objects(truth, through, parts)
    if "ids" in truth:
        truth["ids"] = geometric.crop_id_maps(truth["ids"], through, size)
    return geometric.crop_images(images, through, size), truth


def paste_objects(onto: Shown, others: Shown, pieces: tf.Tensor) -> Shown:
    """Put objects of `others` in front of images, of which `pieces`, bool (B, as many or more), says which. Objects
    whose mask changes have the box of what is left of it, and are none where that is less than
    geometric.MIN_VISIBLE of it."""
    (images, truth), (more, theirs) = onto, others
    count = truth["labels"].shape[1]
    taken = pieces[:, : theirs["labels"].shape[1]] & (theirs["labels"] >= 0) & ~theirs["iscrowd"]
    front = tf.gather(tf.pad(taken, [[0, 0], [1, 0]]), tf.cast(theirs["ids"], tf.int32), batch_dims=1)
    before = tf.cast(truth["ids"], tf.int32)
    ids = tf.where(front, tf.cast(theirs["ids"], tf.int32) + count, before)
    both = {name: tf.concat([truth[name], theirs[name]], axis=1) for name in ("boxes", "labels", "iscrowd")}
    both["labels"] = tf.where(tf.pad(taken, [[0, 0], [count, 0]], constant_values=True), both["labels"], -1)
    pixels, boxes = _measure_objects(ids, both["labels"].shape[1])
    had, _ = _measure_objects(before, both["labels"].shape[1])
    kept = ~((pixels < geometric.MIN_VISIBLE * had) | tf.pad(taken, [[0, 0], [count, 0]]) & (pixels == 0))
    both["labels"] = tf.where(kept, both["labels"], -1)
    both["boxes"] = tf.where(((pixels != had) & (pixels > 0))[..., None], boxes, both["boxes"])
    return tf.where(front[..., None], more, images), compact_objects(both | {"ids": ids})


def compact_objects(truth: Objects) -> Objects:
    """Move objects to the first rows; ids, of any integer type, follow and are uint8, or uint16 where a byte cannot
    tell so many objects apart."""
    labels = truth["labels"]
    order = tf.argsort(tf.cast(labels < 0, tf.int32), axis=1, stable=True)
    merged = {name: tf.gather(truth[name], order, batch_dims=1) for name in ("boxes", "labels", "iscrowd")}
    if "ids" in truth:
        new_ids = tf.argsort(order, axis=1) + 1
        new_ids = tf.where(labels >= 0, new_ids, 0)
        ids = tf.gather(tf.pad(new_ids, [[0, 0], [1, 0]]), tf.cast(truth["ids"], tf.int32), batch_dims=1)
        merged["ids"] = tf.cast(ids, mask_id_dtype(labels.shape[1]))
    return merged


def _select_fields(truth: Objects) -> Objects:
    return {name: truth[name] for name in ("boxes", "labels", "iscrowd", "ids") if name in truth}


def _take(grouped: Shown, which: tf.Tensor) -> tf.Tensor:
    return tf.nest.map_structure(lambda x: x[:, which], grouped)


def _quarter_boxes(middle: tf.Tensor) -> tf.Tensor:
    """(B, 2) as x and y → (B, TILES, 4): left, top, right, bottom of what is around it, row by row."""
    x, y = middle[:, 0], middle[:, 1]
    none, all_ = tf.zeros_like(x), tf.ones_like(x)
    corners = [(none, none, x, y), (x, none, all_, y), (none, y, x, all_), (x, y, all_, all_)]
    return tf.stack([tf.stack(corner, axis=1) for corner in corners], axis=1)


def _tile_windows(middle: tf.Tensor, side: tf.Tensor, turned: tf.Tensor) -> tf.Tensor:
    """Windows (B, TILES, 4) through which images are squares of `side` (B, TILES) that meet in the `middle` (B, 2)."""
    corner = tf.stack([tf.constant([-1.0, 0, -1, 0]), tf.constant([-1.0, -1, 0, 0])], axis=1)
    start = -(middle[:, None] + corner * side[..., None]) / side[..., None]
    end = start + 1 / side[..., None]
    left, right = start[..., 0], end[..., 0]
    left, right = tf.where(turned, 1 - left, left), tf.where(turned, 1 - right, right)
    return tf.stack([start[..., 1], left, end[..., 1], right], axis=-1)


def _join_tiles(shown: Shown, parts: tf.Tensor) -> Shown:
    """Join tiles (B × TILES, …), each in its part (B, TILES, 4) of the image, as images (B, …)."""
    images, truth = shown
    size = images.shape[1]
    at = (tf.range(size, dtype=tf.float32) + 0.5) / size
    left, top, right, bottom = (each[..., None] for each in tf.unstack(parts, axis=-1))
    inside = ((at > top) & (at < bottom))[..., :, None] & ((at > left) & (at < right))[..., None, :]
    tiles = tf.reshape(images, (-1, TILES, *images.shape[1:]))
    shown = tf.reduce_max(tf.where(inside[..., None], tiles, tf.zeros_like(tiles)), axis=1)
    merged = {
        name: tf.reshape(truth[name], (-1, TILES * truth[name].shape[1], *truth[name].shape[2:]))
        for name in ("boxes", "labels", "iscrowd")
    }
    if "ids" in truth:
        most = truth["labels"].shape[1]
        ids = tf.reshape(tf.cast(truth["ids"], tf.int32), (-1, TILES, size, size))
        ids = tf.where(ids > 0, ids + most * tf.range(TILES)[:, None, None], 0)
        merged["ids"] = tf.reduce_max(tf.where(inside, ids, 0), axis=1)
    return shown, compact_objects(merged)


def _measure_objects(ids: tf.Tensor, count: int) -> Shown:
    """Return, of `count` objects, how many pixels of int32 (B, S, S) are theirs, float32 (B, count), and the box of
    those, in fractions of the image (B, count, 4)."""
    batch, size = ids.shape[0], ids.shape[1]
    segments = tf.reshape(ids + (count + 1) * tf.range(batch)[:, None, None], (-1,))
    at = tf.range(size)
    xs, ys = (tf.reshape(tf.broadcast_to(each, ids.shape), (-1,)) for each in (at[None], at[:, None]))

    def reduced(reduce: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        merged = tf.reshape(reduce(values, segments, batch * (count + 1)), (batch, count + 1))[:, 1:]
        return tf.cast(merged, tf.float32)

    least, most = tf.math.unsorted_segment_min, tf.math.unsorted_segment_max
    edges = [reduced(least, xs), reduced(least, ys), reduced(most, xs) + 1, reduced(most, ys) + 1]
    pixels = reduced(tf.math.unsorted_segment_sum, tf.ones_like(xs))
    return pixels, tf.stack(edges, axis=-1) / size
