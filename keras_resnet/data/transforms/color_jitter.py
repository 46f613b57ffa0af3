"""Random changes of brightness, contrast and saturation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.config.data import AugmentSpec
from keras_resnet.data.transforms.transform import BatchDraw, Truth

if TYPE_CHECKING:
    import tensorflow as tf


class ColorJitter:
    """Changes the colors of images with objects by up to `color_jitter`; of other than three channels brightness and
    contrast."""

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether colors change at all."""
        return settings.color_jitter > 0

    def __call__(
        self, images: tf.Tensor, truth: Truth, draw: BatchDraw, settings: AugmentSpec
    ) -> tuple[tf.Tensor, Truth]:
        """See `color_jitter`."""
        return color_jitter(images, draw.key, draw.batch_size, draw.part, settings.color_jitter), truth


def color_jitter(images: tf.Tensor, key: tf.Tensor, batch: int, part: slice, strength: float) -> tf.Tensor:
    """Change brightness, contrast and, of three channels, saturation of uint8 (B, H, W, C) by a factor of 1 ±
    `strength` each, drawn for all `batch` images of which these are `part`."""
    import tensorflow as tf

    factors = 1 + strength * (2 * tf.random.stateless_uniform((3, batch, 1, 1, 1), key + 4) - 1)
    brightness, contrast, saturation = tf.unstack(factors[:, part])
    x = tf.cast(images, tf.float32) * brightness
    mean = tf.reduce_mean(x, axis=(1, 2, 3), keepdims=True)
    x = mean + contrast * (x - mean)
    if images.shape[-1] == 3:
        gray = tf.image.rgb_to_grayscale(x)
        x = gray + saturation * (x - gray)
    return tf.cast(tf.round(tf.clip_by_value(x, 0, 255)), tf.uint8)
