"""How training images are cut and mirrored: one at a time by Pillow, or a batch at a time by TensorFlow."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PIL import Image, ImageOps

from keras_resnet.config.data import AugmentSpec
from keras_resnet.data.transforms.transform import BatchDraw

if TYPE_CHECKING:
    import tensorflow as tf

ASPECT_RATIOS = (3 / 4, 4 / 3)
MAX_TRIES = 10


class PaddedCrop:
    """A random cut, after a margin of zeros where the image is no larger (He et al. 2015, section 4.2)."""

    is_batched: ClassVar[bool] = True

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether it is how images are cut."""
        return settings.crop == "pad"

    def __call__(self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: int) -> Image.Image:
        """Return `size` × `size` pixels of `image`."""
        margin = _margin(min(image.size), size)
        left = int(rng.integers(image.width + 2 * margin - size + 1)) - margin
        top = int(rng.integers(image.height + 2 * margin - size + 1)) - margin
        return image.crop((left, top, left + size, top + size))


class RandomResizedCrop:
    """A part of `min_crop_area` to all of the area, at 3:4 to 4:3, resized (Szegedy et al. 2015, section 6)."""

    is_batched: ClassVar[bool] = False

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether it is how images are cut."""
        return settings.crop == "resized"

    def __call__(self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: int) -> Image.Image:
        """Return a part of `image`, resized to `size` × `size` pixels."""
        for _ in range(MAX_TRIES):
            area = rng.uniform(settings.min_crop_area, 1) * image.width * image.height
            aspect = math.exp(rng.uniform(math.log(ASPECT_RATIOS[0]), math.log(ASPECT_RATIOS[1])))
            width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < width <= image.width and 0 < height <= image.height:
                left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
                box = (left, top, left + width, top + height)
                return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
        return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


class HorizontalFlip:
    """Mirrors every second image."""

    is_batched: ClassVar[bool] = True

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether images are mirrored; not where nobody has decided it."""
        return settings.flip is True

    def __call__(self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: int) -> Image.Image:
        """Return `image` or its mirror image."""
        return ImageOps.mirror(image) if rng.random() < 0.5 else image


def crop_and_flip_batch(images: tf.Tensor, draw: BatchDraw, size: int, flips: bool) -> tf.Tensor:
    """Cut and mirror as `PaddedCrop` and `HorizontalFlip` do: uint8 (B, H, H, 3) → uint8 (B, size, size, 3)."""
    import tensorflow as tf

    draw_integers = partial(tf.random.stateless_uniform, dtype=tf.int32)
    side, key = images.shape[1], draw.key
    room = side + 2 * _margin(side, size) - size
    offsets = draw_integers((2, draw.batch_size), key, maxval=room + 1)[:, draw.part]
    mirrored = draw_integers((draw.batch_size, 1), key + 1, maxval=2)[draw.part] == 1 if flips else None
    return _crop(images, size, offsets, mirrored)


def _crop(images: tf.Tensor, size: int, offsets: tf.Tensor, mirrored: tf.Tensor | None) -> tf.Tensor:
    """Return a `size` × `size` cut of each image (B, H, W, 3), after a margin of zeros where H is `size`, at `offsets`
    (2, B) of rows and columns, mirrored where (B, 1) says so."""
    import tensorflow as tf

    if margin := _margin(images.shape[1], size):
        images = tf.pad(images, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
    span = tf.range(size)
    images = tf.gather(images, offsets[0][:, None] + span, axis=1, batch_dims=1)
    columns = offsets[1][:, None] + span
    if mirrored is not None:
        columns = tf.where(mirrored, columns[:, ::-1], columns)
    return tf.gather(images, columns, axis=2, batch_dims=1)


def _margin(side: int, size: int) -> int:
    """Return the pixels that are added at each edge: 4 around 32 (He et al. 2015, section 4.2)."""
    return max(1, size // 8) if side == size else 0
