"""tf.data pipelines. Images stay uint8; order and augmentation are functions of (seed, step, place in the batch)
alone, so that a training resumed at any step sees the batches it would have seen, and each of several workers makes
only its own part of a batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.config.data import AugmentSpec, Fit
from keras_resnet.config.image_size import ImageSize, height_and_width
from keras_resnet.data.augmented_images import AugmentedImages
from keras_resnet.data.class_sampling import SHUFFLE_ROUNDS, ClassSampler
from keras_resnet.data.dataset import Split, gather_rows
from keras_resnet.data.training_reader import TrainingReader
from keras_resnet.data.transforms.crop import crop_and_flip_batch
from keras_resnet.data.transforms.registry import ON_BATCHES, ON_TARGETS, needs_pillow
from keras_resnet.data.transforms.transform import BatchDraw, BatchTransform, Truth
from keras_resnet.data.without_autograph import without_autograph
from keras_resnet.errors import UsageError
from keras_resnet.runtime.image import center_crop
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_resnet.data.transforms.mosaic import ObjectMixer


@dataclass(frozen=True)
class TrainPipeline:
    """The images of a training, step by step. batch_size is global; of it rank `rank` of `ranks` makes its part.

    encode_targets: truth (B, …), which is labels (B,) or a dict (see `Split.ground_truth`) → targets, of which mixed
    images take the weighted sum. fit: of `config.data.FITS`. service: the address of a data service that reads the
    images, see `data.service`. sampler: how often each class is shown; None shows each image once an epoch.
    """

    split: Split
    image_size: ImageSize
    batch_size: int
    seed: int
    encode_targets: Callable[[Truth], tf.Tensor]
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    rank: int = 0
    ranks: int = 1
    fit: Fit = "crop"
    service: str | None = None
    sampler: ClassSampler | None = None

    @property
    def steps(self) -> int:
        """Return whole batches in an epoch. Raises UsageError if there is not one."""
        return steps_per_epoch(self.split, self.batch_size)

    @property
    def part(self) -> int:
        """Return images of a batch that this rank makes."""
        return self.batch_size // self.ranks

    @without_autograph
    def batches(self, first_step: int, last_step: int, size: ImageSize | None = None) -> tf.data.Dataset:
        """Return steps `first_step` … `last_step` - 1, counted from 0 over all epochs: (uint8 (part, height, width, C),
        encode_targets(labels)). Each epoch has an order of its own; what does not fill a batch is left out."""
        import tensorflow as tf

        size = size or self.image_size
        by_image = needs_pillow(self.augment)
        if self.service:
            numbered = self._by_service(first_step, last_step, size)
        else:
            make = partial(self._by_image, size=size) if by_image else self._whole
            numbered = tf.data.Dataset.zip((tf.data.Dataset.range(first_step, last_step), make(first_step, last_step)))
        if not by_image:
            numbered = numbered.map(self._crop, tf.data.AUTOTUNE)
        return _prefetch(numbered.map(partial(self._finish, size=size), tf.data.AUTOTUNE))

    def _rows(self, step: tf.Tensor) -> tf.Tensor:
        """Return which images the batch of `step` shows in this rank's part: int64 (part,)."""
        import tensorflow as tf

        fresh = -(-self.batch_size // self.augment.repeats)
        places = tf.range(self.part, dtype=tf.int64) + self.rank * self.part
        numbers = (step % self.steps) * fresh + places % fresh
        seed = tf.concat([self._key(step // self.steps), tf.zeros(1, tf.int64)], 0)
        last = tf.constant(self.split.count - 1, tf.int64)
        # tf.random.experimental.index_shuffle has 4 rounds, which leave most of a small dataset in its order.
        rows = tf.raw_ops.RandomIndexShuffle(index=numbers, seed=seed, max_index=last, rounds=SHUFFLE_ROUNDS)
        return self.sampler.choose(rows, step // self.steps, self.seed) if self.sampler else rows

    def _whole(self, first_step: int, last_step: int) -> tf.data.Dataset:
        """Return batches as they are kept: (uint8 (part, height, width, C), truth (part, …))."""
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

        side = height_and_width(self.image_size)[0]
        return ObjectMixer(self.augment, self.batch_size, side, self._mirrors, self._mine)

    def _shown(self, step: tf.Tensor) -> tf.Tensor:
        """Return which images are read for the batch of `step`, also those that are only mixed into others."""
        return self._mixer.rows(self._key(step), self._rows(step), self.split.count)

    @property
    def _mirrors(self) -> bool:
        """Not where nobody has decided it."""
        return self.augment.flip is True

    def _by_image(self, first_step: int, last_step: int, size: ImageSize) -> tf.data.Dataset:
        """Return batches whose images are made one by one: (uint8 (part, height, width, C), truth (part, …))."""
        import tensorflow as tf

        images = AugmentedImages(self.split, self._reader(size))
        places = tf.data.Dataset.range(first_step, last_step).map(
            lambda step: (self._rows(step), self._positions(step))
        )
        return images.batches(places, self.part)

    def _by_service(self, first_step: int, last_step: int, size: ImageSize) -> tf.data.Dataset:
        """Return (step, (images, truth)) as `_by_image` or `_whole` makes them, read by a data service."""
        import tensorflow as tf

        from keras_resnet.data.service import RemoteBatches

        assert self.service is not None
        split = self.split
        with tf.init_scope():
            # A service may have been started in another folder.
            files = tf.constant([os.fsencode(os.path.abspath(file)) for file in split.files])

        def place(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.gather(files, self._rows(step)), self._positions(step)

        remote = RemoteBatches(self.service, self._reader(size), self.part, place)
        truth = split.ground_truth_tensors()
        batches = remote.batches(first_step, last_step)
        return batches.map(lambda step, images: (step, (images, gather_rows(truth, self._rows(step)))))

    def _reader(self, size: ImageSize) -> TrainingReader:
        """Return what makes images one by one, for a training on images of `size`."""
        split, cut = self.split, size if self.augment.crop == "resized" else self.image_size
        levels = tuple(getattr(split.images, "levels", ()))
        return TrainingReader(
            self.augment, levels, split.resize, self.image_size, cut, self.seed, self.fit, split.channels
        )

    def _positions(self, step: tf.Tensor) -> tf.Tensor:
        """Return the positions in the training, by which chance is drawn, of this rank's part: int64 (part,)."""
        import tensorflow as tf

        return step * self.batch_size + self.rank * self.part + tf.range(self.part, dtype=tf.int64)

    def _finish(self, step: tf.Tensor, batch: tuple[tf.Tensor, Truth], size: ImageSize) -> tuple[tf.Tensor, Truth]:
        """Change a batch, resize it where the training wants smaller images, encode its targets and mix it."""
        import tensorflow as tf

        draw = self._draw(step)
        images, truth = _apply(ON_BATCHES, *batch, draw, self.augment)
        if tuple(images.shape[1:3]) != height_and_width(size):
            smaller = tf.image.resize(images, height_and_width(size), antialias=True)
            images = tf.cast(tf.round(tf.clip_by_value(smaller, 0, 255)), tf.uint8)
        return _apply(ON_TARGETS, images, self.encode_targets(truth), draw, self.augment)


def _apply(
    transforms: Sequence[BatchTransform], images: tf.Tensor, truth: Truth, draw: BatchDraw, settings: AugmentSpec
) -> tuple[tf.Tensor, Truth]:
    for transform in transforms:
        if transform.is_enabled(settings):
            images, truth = transform(images, truth, draw, settings)
    return images, truth


def _prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Return `batches`, made while earlier ones are used, by as many threads as there are cores, up to 16.

    tf.data's autotuner is off: when an iterator ends, its thread is woken before the iterator counts as cancelled
    (`CancellationManager::StartCancel`), so it can go back to sleep, for as long as the iterator has lived, and the
    program waits for it.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Return whole batches in an epoch. Raises UsageError if there is not one."""
    if batch_size > split.count:
        raise UsageError(
            f"--batch-size must be at most the {counted(split.count, 'training image')}. Received: {batch_size}"
        )
    return split.count // batch_size


@without_autograph
def evaluation_batches(split: Split, image_size: ImageSize, batch_size: int) -> tf.data.Dataset:
    """Return all images in order, as devices see them: (uint8 (B, height, width, C), truth (B, …))."""
    import tensorflow as tf

    batches = split.to_tf_dataset(tf.data.Dataset.range(split.count)).batch(batch_size)
    return _prefetch(batches.map(lambda images, truth: (center_crop(images, image_size), truth)))


@without_autograph
def validation_batches(
    split: Split,
    image_size: ImageSize,
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

    return _prefetch(batches.map(prepare, tf.data.AUTOTUNE))


def sample_balanced_images(
    split: Split, *, image_size: ImageSize, per_class: int, classes: int, seed: int
) -> np.ndarray:
    """Return up to `per_class` images of each class under the evaluation transform: uint8 (N, height, width, C)."""
    chosen = sample_balanced_rows(split, per_class=per_class, classes=classes, seed=seed)
    if split.pixels is not None:
        return center_crop(split.pixels[chosen], image_size)
    return center_crop(np.stack([split.read_pixels(row) for row in chosen]), image_size)


def sample_balanced_rows(split: Split, *, per_class: int, classes: int, seed: int) -> np.ndarray:
    """Return where up to `per_class` images of each class stand, drawn at random: int64 (N,), in order, each once."""
    order = np.random.default_rng(seed).permutation(split.count)
    if split.label_sets is not None:
        has_label = split.label_sets[order] > 0
        return np.unique(np.concatenate([order[has_label[:, label]][:per_class] for label in range(classes)]))
    labels = split.labels[order]
    by_class = np.argsort(labels, kind="stable")
    places = np.arange(len(order)) - np.searchsorted(labels[by_class], labels[by_class])
    return np.sort(order[by_class[(places < per_class) & (labels[by_class] >= 0)]])
