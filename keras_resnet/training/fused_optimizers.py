"""SGD and Adam of Keras whose update of a variable is one kernel of TensorFlow, in place of a dozen operations.

The mathematics is the same. A step reads and writes less memory, and its graph is made in less time, which counts at
the start of a training.
"""

from __future__ import annotations

import keras
import tensorflow as tf


class FusedSGD(keras.optimizers.SGD):
    """SGD with momentum."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update `variable` and its momentum."""
        if not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        kind = variable.dtype
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=tf.cast(learning_rate, kind),
            grad=tf.cast(gradient, kind),
            momentum=tf.constant(self.momentum, kind),
            use_nesterov=self.nesterov,
        )


class FusedAdam(keras.optimizers.Adam):
    """Adam, without its variant AMSGrad; with `weight_decay` it is AdamW."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update `variable` and its two moments."""
        kind, index = variable.dtype, self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, kind)
        beta_1, beta_2 = tf.constant(self.beta_1, kind), tf.constant(self.beta_2, kind)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=tf.cast(learning_rate, kind),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.constant(self.epsilon, kind),
            grad=tf.cast(gradient, kind),
        )
