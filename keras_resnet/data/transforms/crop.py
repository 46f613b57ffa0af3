"""How training images are cut and mirrored: one at a time by Pillow, or a batch at a time by TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PIL import Image, ImageOps

from keras_resnet.config.data import AugmentSpec, Fit
from keras_resnet.config.image_size import ImageSize, height_and_width
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

    def __call__(
        self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: ImageSize
    ) -> Image.Image:
        """Return `size` pixels of `image`."""
        height, width = height_and_width(size)
        beside, above = _margin(image.width, width), _margin(image.height, height)
        left = int(rng.integers(image.width + 2 * beside - width + 1)) - beside
        top = int(rng.integers(image.height + 2 * above - height + 1)) - above
        return image.crop((left, top, left + width, top + height))


class RandomResizedCrop:
    """A part of `min_crop_area` to all of the area, at 3:4 to 4:3 of the proportions of the input, resized (Szegedy et
    al. 2015, section 6).

    fit: of `config.data.FITS`. Of an image that is padded, parts are taken with the black beside it; of one that is
    stretched, they have the proportions of the image.
    """

    is_batched: ClassVar[bool] = False

    def __init__(self, fit: Fit = "crop") -> None:
        self.fit = fit

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether it is how images are cut."""
        return settings.crop == "resized"

    def __call__(
        self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: ImageSize
    ) -> Image.Image:
        """Return a part of `image`, resized to `size` pixels."""
        target = height_and_width(size)[::-1]
        if self.fit == "pad":
            image = _pad_to_proportions(image, *target)
        shape = image.size if self.fit == "stretch" else target
        for _ in range(MAX_TRIES):
            area = rng.uniform(settings.min_crop_area, 1) * image.width * image.height
            aspect = math.exp(rng.uniform(math.log(ASPECT_RATIOS[0]), math.log(ASPECT_RATIOS[1])))
            aspect *= shape[0] / shape[1]
            width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < width <= image.width and 0 < height <= image.height:
                left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
                box = (left, top, left + width, top + height)
                return image.resize(target, Image.Resampling.BILINEAR, box=box)
        if self.fit == "stretch":
            return image.resize(target, Image.Resampling.BILINEAR)
        return ImageOps.fit(image, target, Image.Resampling.BILINEAR)


def _pad_to_proportions(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return `image` at the top left of a canvas with the proportions of `width` × `height`, the rest black, as
    `preprocess.letterbox` places it."""
    scale = max(image.width / width, image.height / height)
    canvas = Image.new(image.mode, (max(image.width, round(width * scale)), max(image.height, round(height * scale))))
    canvas.paste(image)
    return canvas


class HorizontalFlip:
    """Mirrors every second image."""

    is_batched: ClassVar[bool] = True

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether images are mirrored; not where nobody has decided it."""
        return settings.flip is True

    def __call__(
        self, image: Image.Image, rng: np.random.Generator, settings: AugmentSpec, size: ImageSize
    ) -> Image.Image:
        """Return `image` or its mirror image."""
        return ImageOps.mirror(image) if rng.random() < 0.5 else image


def crop_and_flip_batch(images: tf.Tensor, draw: BatchDraw, size: ImageSize, flips: bool) -> tf.Tensor:
    """Cut and mirror as `PaddedCrop` and `HorizontalFlip` do: uint8 (B, H, W, C) → uint8 (B, height, width, C)."""
    import tensorflow as tf

    draw_integers = partial(tf.random.stateless_uniform, dtype=tf.int32)
    wanted, key = height_and_width(size), draw.key
    rooms = [side + 2 * _margin(side, cut) - cut for side, cut in zip(images.shape[1:3], wanted, strict=True)]
    shape = (2, draw.batch_size)
    offsets = [draw_integers(shape, key, maxval=room + 1)[axis, draw.part] for axis, room in enumerate(rooms)]
    mirrored = draw_integers((draw.batch_size, 1), key + 1, maxval=2)[draw.part] == 1 if flips else None
    return _crop(images, wanted, offsets, mirrored)


def _crop(
    images: tf.Tensor, wanted: tuple[int, int], offsets: Sequence[tf.Tensor], mirrored: tf.Tensor | None
) -> tf.Tensor:
    """Return a cut of the (height, width) `wanted` of each image (B, H, W, C), after a margin of zeros where a side is
    no longer, at `offsets` (B,) of rows and of columns, mirrored where (B, 1) says so."""
    import tensorflow as tf

    above, beside = (_margin(side, cut) for side, cut in zip(images.shape[1:3], wanted, strict=True))
    if above or beside:
        images = tf.pad(images, [[0, 0], [above, above], [beside, beside], [0, 0]])
    images = tf.gather(images, offsets[0][:, None] + tf.range(wanted[0]), axis=1, batch_dims=1)
    columns = offsets[1][:, None] + tf.range(wanted[1])
    if mirrored is not None:
        columns = tf.where(mirrored, columns[:, ::-1], columns)
    return tf.gather(images, columns, axis=2, batch_dims=1)


def _margin(side: int, size: int) -> int:
    """Return the pixels that are added at each edge: 4 around 32 (He et al. 2015, section 4.2)."""
    return max(1, size // 8) if side == size else 0
