"""Keras' batch normalization by TensorFlow's fused kernel, for training.

Keras 3 computes the layer from elementary operations in float32, which costs more than the convolutions it stands
between once those run in bfloat16. The variables, their names and the results are those of Keras' own layer, so
weights move between the two freely; no saved or exported model contains this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """For images (B, H, W, C), channels last, on one replica: statistics are those of its own batch."""

    # What `quantize` may take it for.
    computes_as = keras.layers.BatchNormalization

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Return normalized (B, H, W, C) in the layer's compute dtype. Training updates the moving statistics."""
        import tensorflow as tf
        from tensorflow.python.framework.config import is_op_determinism_enabled

        is_training = bool(training and self.trainable)
        if training and not is_training and is_op_determinism_enabled():
            # The kernel of this gradient, with statistics that are kept, refuses to be deterministic on a GPU.
            return super().call(inputs, training=training, mask=mask)
        statistics = [[], []] if is_training else [self.moving_mean, self.moving_variance]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=statistics[0],
            variance=statistics[1],
            epsilon=self.epsilon,
            exponential_avg_factor=1.0,
            is_training=is_training,
        )
        if is_training:
            # The kernel gives the unbiased variance for the moving one (Bessel); Keras keeps the biased.
            count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], tf.float32)
            update_moving(self.moving_mean, mean, self.momentum)
            update_moving(self.moving_variance, variance * (count - 1) / count, self.momentum)
        return outputs


def update_moving(moving: keras.Variable, value: tf.Tensor, momentum: float) -> None:
    """Move a statistic (C,) toward that of a batch, as Keras' own layer does."""
    moving.assign(moving * momentum + value * (1 - momentum))
