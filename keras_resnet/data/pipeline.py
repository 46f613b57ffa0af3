"""tf.data pipelines. Images stay uint8; order and augmentation are functions of (seed, step, place in the batch)
alone, so that a training resumed at any step sees the batches it would have seen, and each of several workers makes
only its own part of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from keras_resnet.config.data import AugmentSpec
from keras_resnet.data.dataset import Split, gather_rows
from keras_resnet.data.read_errors import numpy_function
from keras_resnet.data.transforms.crop import crop_and_flip_batch
from keras_resnet.data.transforms.registry import ON_BATCHES, ON_TARGETS, augment_image, needs_pillow
from keras_resnet.data.transforms.transform import BatchDraw, BatchTransform, Truth
from keras_resnet.errors import UsageError
from keras_resnet.runtime.image import center_crop, resize_and_crop
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_resnet.data.transforms.mosaic import ObjectMixer

# Rounds of the cipher behind the shuffle. From 8 on, orders were as random as NumPy's permutations; 16 leave a margin.
SHUFFLE_ROUNDS = 16


@dataclass(frozen=True)
class TrainPipeline:
    """The images of a training, step by step. batch_size is global; of it rank `rank` of `ranks` makes its part.

    encode_targets: truth (B, …), which is labels (B,) or a dict (see `Split.ground_truth`) → targets, of which mixed
    images take the weighted sum.
    """

    split: Split
    image_size: int
    batch_size: int
    seed: int
    encode_targets: Callable[[Truth], tf.Tensor]
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    rank: int = 0
    ranks: int = 1

    @property
    def steps(self) -> int:
        """Return whole batches in an epoch. Raises UsageError if there is not one."""
        return steps_per_epoch(self.split, self.batch_size)

    @property
    def part(self) -> int:
        """Return images of a batch that this rank makes."""
        return self.batch_size // self.ranks

    def batches(self, first_step: int, last_step: int, size: int | None = None) -> tf.data.Dataset:
        """Return steps `first_step` … `last_step` - 1, counted from 0 over all epochs: (uint8 (part, size, size, 3),
        encode_targets(labels)). Each epoch has an order of its own; what does not fill a batch is left out."""
        import tensorflow as tf

        size = size or self.image_size
        shown = self._by_image(first_step, last_step, size) if needs_pillow(self.augment) else None
        batches = shown or self._whole(first_step, last_step)
        numbered = tf.data.Dataset.zip((tf.data.Dataset.range(first_step, last_step), batches))
        if not shown:
            numbered = numbered.map(self._crop, tf.data.AUTOTUNE)
        return numbered.map(partial(self._finish, size=size), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _rows(self, step: tf.Tensor) -> tf.Tensor:
        """Return which images the batch of `step` shows in this rank's part: int64 (part,)."""
        import tensorflow as tf

        fresh = -(-self.batch_size // self.augment.repeats)
        places = tf.range(self.part, dtype=tf.int64) + self.rank * self.part
        numbers = (step % self.steps) * fresh + places % fresh
        seed = tf.concat([self._key(step // self.steps), tf.zeros(1, tf.int64)], 0)
        last = tf.constant(self.split.count - 1, tf.int64)
        # tf.random.experimental.index_shuffle has 4 rounds, which leave most of a small data set in its order.
        return tf.raw_ops.RandomIndexShuffle(index=numbers, seed=seed, max_index=last, rounds=SHUFFLE_ROUNDS)

    def _whole(self, first_step: int, last_step: int) -> tf.data.Dataset:
        """Return batches as they are kept: (uint8 (part, resize, resize, 3), truth (part, …))."""
        import tensorflow as tf

        steps = tf.data.Dataset.range(first_step, last_step)
        if self.split.pixels is None:
            rows = steps.flat_map(lambda step: tf.data.Dataset.from_tensor_slices(self._shown(step)))
            part = self.part * (1 + self._mixer.partners)
            return self.split.to_tf_dataset(rows, ids=True).batch(part, drop_remainder=True)
        pixels, truth = self.split.to_tensors(ids=True)

        def gather(step: tf.Tensor) -> tuple[tf.Tensor, Truth]:
            rows = self._shown(step)
            return tf.gather(pixels, rows), gather_rows(truth, rows)

        return steps.map(gather, tf.data.AUTOTUNE)

    def _crop(self, step: tf.Tensor, batch: tuple[tf.Tensor, Truth]) -> tuple[tf.Tensor, tuple[tf.Tensor, Truth]]:
        """Cut and mirror all images of this rank's part at once; those with objects mixed."""
        images, truth = batch
        if self.split.objects:
            return step, self._mixer.mix(self._key(step), images, truth)
        return step, (crop_and_flip_batch(images, self._draw(step), self.image_size, self._mirrors), truth)

    def _draw(self, step: tf.Tensor) -> BatchDraw:
        return BatchDraw(self.seed, step, self.batch_size, self._mine)

    def _key(self, number: tf.Tensor) -> tf.Tensor:
        """Return the key by which everything of an epoch or a step is drawn: int64 (2,)."""
        return self._draw(number).key

    @property
    def _mine(self) -> slice:
        """Return this rank's part of a batch."""
        return slice(self.rank * self.part, (self.rank + 1) * self.part)

    @property
    def _mixer(self) -> ObjectMixer:
        from keras_resnet.data.transforms.mosaic import ObjectMixer

        return ObjectMixer(self.augment, self.batch_size, self.image_size, self._mirrors, self._mine)

    def _shown(self, step: tf.Tensor) -> tf.Tensor:
        """Return which images are read for the batch of `step`, also those that are only mixed into others."""
        return self._mixer.rows(self._key(step), self._rows(step), self.split.count)

    @property
    def _mirrors(self) -> bool:
        """Not where nobody has decided it."""
        return self.augment.flip is True

    def _by_image(self, first_step: int, last_step: int, size: int) -> tf.data.Dataset:
        """Make images one by one, by Pillow: from memory, or read when they are needed."""
        import tensorflow as tf

        split = self.split
        augment = partial(augment_image, seed=self.seed, settings=self.augment)
        side = size if self.augment.crop == "resized" else self.image_size
        labels = split.ground_truth_tensors()

        def show(row: tf.Tensor, position: tf.Tensor) -> tf.data.Dataset:
            image = split.image(int(row))
            if self.augment.crop == "pad" and split.pixels is None:
                image = Image.fromarray(resize_and_crop(image, split.resize))
            return augment(image, int(position), size=side)

        def read(row: tf.Tensor, position: tf.Tensor) -> tuple[tf.Tensor, Truth]:
            pixels = numpy_function(show, [row, position], tf.uint8)
            return tf.ensure_shape(pixels, (side, side, 3)), tf.gather(labels, row)

        def places(step: tf.Tensor) -> tf.data.Dataset:
            first = step * self.batch_size + self.rank * self.part
            return tf.data.Dataset.from_tensor_slices((self._rows(step), first + tf.range(self.part, dtype=tf.int64)))

        images = tf.data.Dataset.range(first_step, last_step).flat_map(places).map(read, tf.data.AUTOTUNE)
        return images.batch(self.part, drop_remainder=True)

    def _finish(self, step: tf.Tensor, batch: tuple[tf.Tensor, Truth], size: int) -> tuple[tf.Tensor, Truth]:
        """Change a batch, resize it where the training wants smaller images, encode its targets and mix it."""
        import tensorflow as tf

        draw = self._draw(step)
        images, truth = _apply(ON_BATCHES, *batch, draw, self.augment)
        if images.shape[1] != size:
            smaller = tf.image.resize(images, (size, size), antialias=True)
            images = tf.cast(tf.round(tf.clip_by_value(smaller, 0, 255)), tf.uint8)
        return _apply(ON_TARGETS, images, self.encode_targets(truth), draw, self.augment)


def _apply(
    transforms: Sequence[BatchTransform], images: tf.Tensor, truth: Truth, draw: BatchDraw, settings: AugmentSpec
) -> tuple[tf.Tensor, Truth]:
    for transform in transforms:
        if transform.is_enabled(settings):
            images, truth = transform(images, truth, draw, settings)
    return images, truth


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Return whole batches in an epoch. Raises UsageError if there is not one."""
    if batch_size > split.count:
        raise UsageError(
            f"--batch-size must be at most the {counted(split.count, 'training image')}. Received: {batch_size}"
        )
    return split.count // batch_size


def evaluation_batches(split: Split, image_size: int, batch_size: int) -> tf.data.Dataset:
    """Return all images in order, their centers: (uint8 (B, image_size, image_size, 3), truth (B, …))."""
    import tensorflow as tf

    batches = split.to_tf_dataset(tf.data.Dataset.range(split.count)).batch(batch_size)
    return batches.map(lambda images, truth: (center_crop(images, image_size), truth)).prefetch(tf.data.AUTOTUNE)


def validation_batches(
    split: Split,
    image_size: int,
    batch_size: int,
    encode_targets: Callable[[Truth], tf.Tensor],
    rank: int = 0,
    ranks: int = 1,
) -> tf.data.Dataset:
    """Return this rank's part of batches of `batch_size`, the last one filled up: (images, encode_targets(labels),
    counted), where counted is float32 (B,), 0 for what only fills."""
    import tensorflow as tf

    part = batch_size // ranks
    steps = -(-split.count // batch_size)

    def places(step: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(step * batch_size + rank * part + tf.range(part, dtype=tf.int64))

    numbers = tf.data.Dataset.range(steps).flat_map(places)
    rows = split.to_tf_dataset(numbers.map(lambda number: tf.minimum(number, split.count - 1)), ids=True)
    counted = numbers.map(lambda number: tf.cast(number < split.count, tf.float32))
    batches = tf.data.Dataset.zip((rows, counted)).batch(part, drop_remainder=True)

    def prepare(image: tuple[tf.Tensor, Truth], counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return center_crop(image[0], image_size), encode_targets(image[1]), counts

    return batches.map(prepare, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def sample_balanced_images(split: Split, *, image_size: int, per_class: int, classes: int, seed: int) -> np.ndarray:
    """Return up to `per_class` images of each class under the evaluation transform: uint8 (N, image_size, image_size,
    3)."""
    chosen = sample_balanced_rows(split, per_class=per_class, classes=classes, seed=seed)
    if split.pixels is not None:
        return center_crop(split.pixels[chosen], image_size)
    return center_crop(np.stack([split.read_pixels(row) for row in chosen]), image_size)


def sample_balanced_rows(split: Split, *, per_class: int, classes: int, seed: int) -> np.ndarray:
    """Return where up to `per_class` images of each class stand, drawn at random: int64 (N,), in order."""
    order = np.random.default_rng(seed).permutation(split.count)
    return np.sort(np.concatenate([order[split.labels[order] == label][:per_class] for label in range(classes)]))
