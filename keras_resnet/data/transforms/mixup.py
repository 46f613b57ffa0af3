"""Images mixed in pairs with their targets: MixUp (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization") and
CutMix (Yun et al. 2019, "CutMix")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.config.data import AugmentSpec
from keras_resnet.data.transforms.transform import BatchDraw, Truth

if TYPE_CHECKING:
    import tensorflow as tf

# Sets the draws of a batch apart from those of its images.
MIXING_SEED = 0x6D6978


class MixUpCutMix:
    """Mixes each two neighbors of a batch with each other."""

    def is_enabled(self, settings: AugmentSpec) -> bool:
        """Return whether one of both is asked for."""
        return bool(settings.mixup or settings.cutmix)

    def __call__(
        self, images: tf.Tensor, truth: Truth, draw: BatchDraw, settings: AugmentSpec
    ) -> tuple[tf.Tensor, Truth]:
        """See `mix_pairs`."""
        return mix_pairs(images, truth, settings, draw.seed, draw.step)


def mix_pairs(
    images: tf.Tensor, targets: tf.Tensor, settings: AugmentSpec, seed: int, step: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum each two neighbors of a batch (MixUp) or paste one into the other (CutMix), by a weight drawn for the whole
    batch. uint8 (B, H, W, C), float32 (B, …) → the same. The last of an odd B stays."""
    import tensorflow as tf

    count, height, width = images.shape[0], images.shape[1], images.shape[2]
    partner = tf.constant([i ^ 1 if i ^ 1 < count else i for i in range(count)])
    key = tf.stack([tf.constant(seed ^ MIXING_SEED, tf.int64), step])
    choice, top, left = tf.unstack(tf.random.stateless_uniform((3,), key))
    pastes = settings.cutmix > 0 and (settings.mixup == 0 or choice < 0.5)
    weight = tf.where(pastes, _draw_beta(settings.cutmix, key + 1), _draw_beta(settings.mixup, key + 2))
    # A box of 1 - weight of the area, around any point, cut off at the edges (Yun et al. 2019, section 3.1).
    half = tf.sqrt(1 - weight) / 2
    rows, columns = tf.range(height, dtype=tf.float32) / height, tf.range(width, dtype=tf.float32) / width
    inside = (tf.abs(rows - top) < half)[:, None] & (tf.abs(columns - left) < half)[None]
    pasted = pastes & inside[None, :, :, None]
    weight = tf.where(pastes, 1 - tf.reduce_mean(tf.cast(inside, tf.float32)), weight)
    ours, theirs = tf.cast(images, tf.float32), tf.cast(tf.gather(images, partner), tf.float32)
    blended = tf.where(pasted, theirs, tf.where(pastes, ours, weight * ours + (1 - weight) * theirs))
    soft = weight * targets + (1 - weight) * tf.gather(targets, partner)
    return tf.cast(tf.round(blended), tf.uint8), soft


def _draw_beta(alpha: float, key: tf.Tensor) -> tf.Tensor:
    """Draw from Beta(alpha, alpha), by two draws of the gamma distribution; 1 for alpha 0."""
    import tensorflow as tf

    if not alpha:
        return tf.constant(1.0)
    draws = tf.random.stateless_gamma((2,), key, alpha)
    return draws[0] / (draws[0] + draws[1])
