"""What a transform of training images is: a function of an image or a batch, and of a seed and a position, so that a
resumed training sees what it would have seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import numpy as np
from PIL import Image

from keras_resnet.config.data import AugmentSpec
from keras_resnet.config.image_size import ImageSize

if TYPE_CHECKING:
    import tensorflow as tf

# What is known of a batch: labels (B,), targets (B, …), or a dict of arrays of objects (see `Split.ground_truth`).
Truth: TypeAlias = "tf.Tensor | dict[str, tf.Tensor]"


class ImageTransform(Protocol):
    """Changes one image at a time, by Pillow. `registry` lists all of them in the order in which they are applied.

    is_batched: whether TensorFlow does the same to a whole batch where nothing else needs Pillow.
    """

    is_batched: ClassVar[bool]

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether the settings ask for it."""

    def __call__(
        self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: ImageSize
    ) -> Image.Image:
        """Return the `image`, RGB or gray, changed. All chance comes from `rng`, which is made of the seed and of the
        image's position in the training, and is the same for each channel of an image of many; size: that of the
        training images in pixels."""


@dataclass(frozen=True)
class BatchDraw:
    """By what a batch is drawn: `seed` and `step`; all is drawn for the `batch_size` images of all workers, of which
    this one takes its `part`."""

    seed: int
    step: tf.Tensor
    batch_size: int
    part: slice

    @property
    def key(self) -> tf.Tensor:
        """Return int64 (2,), as `tf.random.stateless_uniform` takes it."""
        import tensorflow as tf

        return tf.stack([tf.constant(self.seed, tf.int64), self.step])


class BatchTransform(Protocol):
    """Changes a whole batch, by TensorFlow. `registry` lists all of them in the order in which they are applied."""

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether the settings ask for it."""

    def __call__(
        self, images: tf.Tensor, truth: Truth, draw: BatchDraw, settings: AugmentSpec
    ) -> tuple[tf.Tensor, Truth]:
        """Return the images, uint8 (B, H, W, channels), and what is known of them, both changed."""
