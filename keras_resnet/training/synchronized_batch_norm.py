"""Batch normalization with the statistics of all replicas, which meet once for it forward and once backward.

Keras' own, `synchronized=True`, sums sums, squares and counts one after another, and two gradients: five all-reduces
of a few hundred bytes each, which cost nothing but latency. The results are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from keras_resnet.training.fused_batch_norm import update_moving

if TYPE_CHECKING:
    import tensorflow as tf


class SynchronizedBatchNormalization(keras.layers.BatchNormalization):
    """For images (B, H, W, C), channels last, of which all replicas have equally many."""

    # What `quantize` may take it for.
    computes_as = keras.layers.BatchNormalization

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Return normalized (B, H, W, C) in the layer's compute dtype. Training updates the moving statistics."""
        import tensorflow as tf

        replica = tf.distribute.get_replica_context()
        if not (training and self.trainable) or replica is None:
            return super().call(inputs, training=training, mask=mask)
        images = tf.cast(inputs, tf.float32)
        sums = tf.stack([tf.reduce_sum(images, [0, 1, 2]), tf.reduce_sum(tf.square(images), [0, 1, 2])])
        sums = replica.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        count = tf.cast(tf.size(images) // tf.shape(images)[-1] * replica.num_replicas_in_sync, tf.float32)
        mean, squares = tf.unstack(sums / count)
        variance = tf.maximum(squares - tf.square(mean), 0.0)
        update_moving(self.moving_mean, mean, self.momentum)
        update_moving(self.moving_variance, variance, self.momentum)
        gamma, beta = tf.cast(self.gamma, tf.float32), tf.cast(self.beta, tf.float32)
        outputs = tf.nn.batch_normalization(images, mean, variance, beta, gamma, self.epsilon)
        return tf.cast(outputs, self.compute_dtype)
