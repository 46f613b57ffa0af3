"""Training images that are made one by one, as tf.data: from memory, from the cache, or read when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.data.dataset import Split, gather_rows
from keras_resnet.data.read_errors import numpy_function
from keras_resnet.data.training_reader import TrainingReader
from keras_resnet.data.transforms.transform import Truth

if TYPE_CHECKING:
    import tensorflow as tf

# Images that TensorFlow asks Python for at once: a call for each, with a copy of what it returns, took 0.1 ms longer.
MAX_TOGETHER = 16


@dataclass(frozen=True)
class AugmentedImages:
    """The images of a training `split`, as `reader` makes them."""

    split: Split
    reader: TrainingReader

    def make(self, row: int, position: int) -> np.ndarray:
        """Return the image at `row` as it is shown at `position` of the training: uint8 of the reader's `shape`."""
        return self.reader.show(
            lambda at_least: self.split.image_to_crop(row, at_least), lambda: self.split.read_pixels(row), position
        )

    def make_some(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the images at `rows` (count,) as they are shown at `positions` (count,): uint8 (count, …)."""
        images = np.empty((len(rows), *self.reader.shape), np.uint8)
        for place, (row, position) in enumerate(zip(rows, positions, strict=True)):
            images[place] = self.make(int(row), int(position))
        return images

    def batches(self, places: tf.data.Dataset, part: int) -> tf.data.Dataset:
        """tf.data of rows and positions, int64 (part,) each → of (uint8 (part, …), truth (part, …))."""
        import tensorflow as tf

        truth = self.split.ground_truth_tensors()
        together = max(count for count in range(1, MAX_TOGETHER + 1) if part % count == 0)

        def divide(*both: tf.Tensor) -> tf.data.Dataset:
            return tf.data.Dataset.from_tensor_slices(tuple(tf.reshape(each, (-1, together)) for each in both))

        def make(rows: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, Truth]:
            images = numpy_function(self.make_some, [rows, positions], tf.uint8)
            return tf.ensure_shape(images, (together, *self.reader.shape)), gather_rows(truth, rows)

        def join(*both: tf.Tensor) -> tuple[tf.Tensor, Truth]:
            images, shown = tf.nest.map_structure(lambda each: tf.reshape(each, (part, *each.shape[2:])), both)
            return images, shown

        some = places.flat_map(divide).map(make, tf.data.AUTOTUNE)
        return some.batch(part // together, drop_remainder=True).map(join)
