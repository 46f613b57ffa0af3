"""tf.data pipelines. Images stay uint8; order and augmentation are functions of (seed, step, place in the batch)
alone, so that a training resumed at any step sees the batches it would have seen, and each of several workers makes
only its own part of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.config.training import AugmentSpec
from keras_resnet.data.dataset import Split, gathered
from keras_resnet.data.read_errors import reading
from keras_resnet.data.transforms.auto_augment import augmented, needs_pillow
from keras_resnet.errors import UsageError
from keras_resnet.runtime.image import center_crop, resize_and_crop
from keras_resnet.runtime.plurals import counted

# Seeds of what is drawn for a whole batch, kept apart from those of its images.
MIXING = 0x6D6978


@dataclass(frozen=True)
class TrainPipeline:
    """The images of a training, step by step. batch_size is global; of it rank `rank` of `ranks` makes its part.

    encode: truth (B, …), which is labels (B,) or a dict (see `Split.truth`) → targets, of which mixed images take the
    weighted sum.
    """

    split: Split
    image_size: int
    batch_size: int
    seed: int
    encode: Callable[[Any], Any]
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    rank: int = 0
    ranks: int = 1

    @property
    def steps(self) -> int:
        """Whole batches in an epoch. Raises UsageError if there is not one."""
        return steps_per_epoch(self.split, self.batch_size)

    @property
    def part(self) -> int:
        """Images of a batch that this rank makes."""
        return self.batch_size // self.ranks

    def batches(self, first_step: int, last_step: int, size: int | None = None) -> Any:
        """Steps `first_step` … `last_step` - 1, counted from 0 over all epochs: (uint8 (part, size, size, 3),
        encode(labels)). Each epoch has an order of its own; what does not fill a batch is left out."""
        import tensorflow as tf

        size = size or self.image_size
        shown = self._by_image(first_step, last_step, size) if needs_pillow(self.augment) else None
        batches = shown or self._whole(first_step, last_step)
        numbered = tf.data.Dataset.zip((tf.data.Dataset.range(first_step, last_step), batches))
        if not shown:
            numbered = numbered.map(self._cut, tf.data.AUTOTUNE)
        return numbered.map(partial(self._finish, size=size), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _rows(self, step: Any) -> Any:
        """Which images the batch of `step` shows in this rank's part: int64 (part,)."""
        import tensorflow as tf

        fresh = -(-self.batch_size // self.augment.repeats)
        places = tf.range(self.part, dtype=tf.int64) + self.rank * self.part
        numbers = (step % self.steps) * fresh + places % fresh
        key = self._key(step // self.steps)
        return tf.random.experimental.index_shuffle(numbers, key, self.split.count - 1)

    def _whole(self, first_step: int, last_step: int) -> Any:
        """Batches as they are kept: (uint8 (part, resize, resize, 3), truth (part, …))."""
        import tensorflow as tf

        steps = tf.data.Dataset.range(first_step, last_step)
        if self.split.pixels is None:
            rows = steps.flat_map(lambda step: tf.data.Dataset.from_tensor_slices(self._shown(step)))
            part = self.part * (1 + self._mixer.partners)
            return self.split.rows(rows, ids=True).batch(part, drop_remainder=True)
        pixels, truth = self.split.constants(ids=True)

        def gather(step: Any) -> tuple[Any, Any]:
            rows = self._shown(step)
            return tf.gather(pixels, rows), gathered(truth, rows)

        return steps.map(gather, tf.data.AUTOTUNE)

    def _cut(self, step: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        """Cut and mirrored, all at once, as draws for the whole batch say of this rank's part."""
        import tensorflow as tf

        images, truth = batch
        key = self._key(step)
        if self.split.objects:
            return step, self._seen(key, images, truth)
        draw = partial(tf.random.stateless_uniform, dtype=tf.int32)
        mine = self._mine
        room = images.shape[1] + 2 * _margin(images.shape[1], self.image_size) - self.image_size
        offsets = draw((2, self.batch_size), key, maxval=room + 1)[:, mine]
        mirrored = draw((self.batch_size, 1), key + 1, maxval=2)[mine] == 1 if self._mirrors else None
        return step, (_cut(images, self.image_size, offsets, mirrored), truth)

    def _seen(self, key: Any, images: Any, truth: dict[str, Any]) -> tuple[Any, Any]:
        """Images and what stands in them, through windows drawn for the whole batch, mixed, and in other colours."""
        from keras_resnet.data.transforms import geometric

        images, truth = self._mixer.mixed(key, images, truth)
        if self.augment.colour:
            images = geometric.color_jitter(images, key, self.batch_size, self._mine, self.augment.colour)
        return images, truth

    def _key(self, number: Any) -> Any:
        """What is drawn for an epoch or a step is drawn by this."""
        import tensorflow as tf

        return tf.stack([tf.constant(self.seed, tf.int64), number])

    @property
    def _mine(self) -> slice:
        """This rank's part of a batch."""
        return slice(self.rank * self.part, (self.rank + 1) * self.part)

    @property
    def _mixer(self) -> Any:
        from keras_resnet.data.transforms.mosaic import Mixer

        return Mixer(self.augment, self.batch_size, self.image_size, self._mirrors, self._mine)

    def _shown(self, step: Any) -> Any:
        """Which images are read for the batch of `step`, also those that are only mixed into others."""
        return self._mixer.rows(self._key(step), self._rows(step), self.split.count)

    @property
    def _mirrors(self) -> bool:
        """Not where nobody has decided it."""
        return self.augment.flip is True

    def _by_image(self, first_step: int, last_step: int, size: int) -> Any:
        """One by one, by Pillow: from memory, or read when they are needed."""
        import tensorflow as tf

        split = self.split
        vary = partial(augmented, flips=self._mirrors, seed=self.seed, augment=self.augment)
        side = size if self.augment.crop == "resized" else self.image_size
        labels = split.constant_truth()

        def show(row: Any, position: Any) -> Any:
            image = split.image(int(row))
            if self.augment.crop == "pad" and split.pixels is None:
                image = Image.fromarray(resize_and_crop(image, split.resize))
            return vary(image, int(position), size=side)

        def read(row: Any, position: Any) -> tuple[Any, Any]:
            pixels = reading(show, [row, position], tf.uint8)
            return tf.ensure_shape(pixels, (side, side, 3)), tf.gather(labels, row)

        def places(step: Any) -> Any:
            first = step * self.batch_size + self.rank * self.part
            return tf.data.Dataset.from_tensor_slices((self._rows(step), first + tf.range(self.part, dtype=tf.int64)))

        images = tf.data.Dataset.range(first_step, last_step).flat_map(places).map(read, tf.data.AUTOTUNE)
        return images.batch(self.part, drop_remainder=True)

    def _finish(self, step: Any, batch: tuple[Any, Any], size: int) -> tuple[Any, Any]:
        """Resized where the training wants smaller images, encoded, mixed."""
        import tensorflow as tf

        images, truth = batch
        if images.shape[1] != size:
            smaller = tf.image.resize(images, (size, size), antialias=True)
            images = tf.cast(tf.round(tf.clip_by_value(smaller, 0, 255)), tf.uint8)
        targets = self.encode(truth)
        if self.augment.mixup or self.augment.cutmix:
            images, targets = mixed(images, targets, self.augment, self.seed, step)
        return images, targets


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Whole batches in an epoch. Raises UsageError if there is not one."""
    if batch_size > split.count:
        raise UsageError(
            f"--batch-size must be at most the {counted(split.count, 'training image')}. Received: {batch_size}"
        )
    return split.count // batch_size


def mixed(images: Any, targets: Any, augment: AugmentSpec, seed: int, step: Any) -> tuple[Any, Any]:
    """Each two neighbours of a batch mixed with each other: summed (MixUp) or one pasted into the other (CutMix), by a
    share drawn for the whole batch. uint8 (B, H, W, 3), float32 (B, …) → the same. The last of an odd B stays."""
    import tensorflow as tf

    count, height, width = images.shape[0], images.shape[1], images.shape[2]
    partner = tf.constant([i ^ 1 if i ^ 1 < count else i for i in range(count)])
    key = tf.stack([tf.constant(seed ^ MIXING, tf.int64), step])
    choice, top, left = tf.unstack(tf.random.stateless_uniform((3,), key))
    pastes = augment.cutmix > 0 and (augment.mixup == 0 or choice < 0.5)
    share = tf.where(pastes, _beta(augment.cutmix, key + 1), _beta(augment.mixup, key + 2))
    # A box of 1 - share of the area, around any point, cut off at the edges (Yun et al. 2019, section 3.1).
    half = tf.sqrt(1 - share) / 2
    rows, columns = tf.range(height, dtype=tf.float32) / height, tf.range(width, dtype=tf.float32) / width
    inside = (tf.abs(rows - top) < half)[:, None] & (tf.abs(columns - left) < half)[None]
    pasted = pastes & inside[None, :, :, None]
    share = tf.where(pastes, 1 - tf.reduce_mean(tf.cast(inside, tf.float32)), share)
    ours, theirs = tf.cast(images, tf.float32), tf.cast(tf.gather(images, partner), tf.float32)
    blended = tf.where(pasted, theirs, tf.where(pastes, ours, share * ours + (1 - share) * theirs))
    soft = share * targets + (1 - share) * tf.gather(targets, partner)
    return tf.cast(tf.round(blended), tf.uint8), soft


def _beta(alpha: float, key: Any) -> Any:
    """A draw from Beta(alpha, alpha), from two of the gamma distribution; 1 for alpha 0."""
    import tensorflow as tf

    if not alpha:
        return tf.constant(1.0)
    draws = tf.random.stateless_gamma((2,), key, alpha)
    return draws[0] / (draws[0] + draws[1])


def evaluation(split: Split, image_size: int, batch_size: int) -> Any:
    """All images in order, their centres: (uint8 (B, image_size, image_size, 3), truth (B, …))."""
    import tensorflow as tf

    batches = split.rows(tf.data.Dataset.range(split.count)).batch(batch_size)
    return batches.map(lambda images, truth: (center_crop(images, image_size), truth)).prefetch(tf.data.AUTOTUNE)


def validation(split: Split, image_size: int, batch_size: int, encode: Any, rank: int = 0, ranks: int = 1) -> Any:
    """This rank's part of batches of `batch_size`, the last one filled up: (images, encode(labels), counted), where
    counted is float32 (B,), 0 for what only fills."""
    import tensorflow as tf

    part = batch_size // ranks
    steps = -(-split.count // batch_size)

    def places(step: Any) -> Any:
        return tf.data.Dataset.from_tensor_slices(step * batch_size + rank * part + tf.range(part, dtype=tf.int64))

    numbers = tf.data.Dataset.range(steps).flat_map(places)
    rows = split.rows(numbers.map(lambda number: tf.minimum(number, split.count - 1)), ids=True)
    counted = numbers.map(lambda number: tf.cast(number < split.count, tf.float32))
    batches = tf.data.Dataset.zip((rows, counted)).batch(part, drop_remainder=True)

    def prepare(image: tuple[Any, Any], counts: Any) -> tuple[Any, Any, Any]:
        return center_crop(image[0], image_size), encode(image[1]), counts

    return batches.map(prepare, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def balanced_sample(split: Split, *, image_size: int, per_class: int, classes: int, seed: int) -> np.ndarray:
    """Up to `per_class` images of each class under the evaluation transform: uint8 (N, image_size, image_size, 3)."""
    chosen = balanced_rows(split, per_class=per_class, classes=classes, seed=seed)
    if split.pixels is not None:
        return center_crop(split.pixels[chosen], image_size)
    return center_crop(np.stack([split.pixels_at(row) for row in chosen]), image_size)


def balanced_rows(split: Split, *, per_class: int, classes: int, seed: int) -> np.ndarray:
    """Where up to `per_class` images of each class stand, drawn at random: int64 (N,), in order."""
    order = np.random.default_rng(seed).permutation(split.count)
    return np.sort(np.concatenate([order[split.labels[order] == label][:per_class] for label in range(classes)]))


def _margin(side: int, size: int) -> int:
    return max(1, size // 8) if side == size else 0


def _cut(images: Any, size: int, offsets: Any, mirrored: Any) -> Any:
    """A `size` × `size` cut of each image (B, H, W, 3), after a margin of zeros where H is `size` (He et al. 2015,
    section 4.2: 4 pixels around 32), at `offsets` (2, B) of rows and columns, mirrored where (B, 1) says so."""
    import tensorflow as tf

    if margin := _margin(images.shape[1], size):
        images = tf.pad(images, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
    span = tf.range(size)
    images = tf.gather(images, offsets[0][:, None] + span, axis=1, batch_dims=1)
    columns = offsets[1][:, None] + span
    if mirrored is not None:
        columns = tf.where(mirrored, columns[:, ::-1], columns)
    return tf.gather(images, columns, axis=2, batch_dims=1)
