"""One step of training and one of validation, over however many replicas there are.

Written out rather than left to `model.fit`, because Keras 3 asks one replica alone whether gradients are finite, clips
before it sums, counts accumulated batches as steps, and cannot fit over several workers at all.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import tensorflow as tf

from keras_resnet.config.spec import Spec
from keras_resnet.training.recompute import Recomputation
from keras_resnet.training.train_state import Tensors, TrainState

if TYPE_CHECKING:
    from keras_resnet.tasks import Task
    from keras_resnet.training.distribute import Devices
    from keras_resnet.training.methods.base import TrainingMethod

# A value for each replica, or structures of them.
PerReplica: TypeAlias = "tf.distribute.DistributedValues | dict[str, tf.distribute.DistributedValues]"
SUM = tf.distribute.ReduceOp.SUM


class Trainer:
    """Runs the steps of one training: `task` gives loss and metrics, `method` what it adds to them."""

    def __init__(
        self, spec: Spec, task: Task, state: TrainState, devices: Devices, method: TrainingMethod[Any]
    ) -> None:
        self.task, self.state, self.devices, self.method = task, state, devices, method
        self.model, self.optimizer = state.model, state.optimizer
        self.accumulate_steps, self.clip_norm = spec.training.accumulate_steps, spec.optimizer.clip_grad_norm
        # (targets (B, …), outputs (B, …)) → losses (B,)
        self._loss = task.loss(spec)
        self._recomputation = Recomputation(self.model) if spec.training.recompute else None
        self._replica_step = (
            tf.function(self.train_step, autograph=False, jit_compile=True) if devices.jit_compile else self.train_step
        )

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of what is measured in each step besides the loss."""
        return tuple(self.task.train_metric_names)

    def make_train_function(self) -> Any:
        """Return `train_step` as a tf.function over all replicas; its results are summed over them. XLA compiles what a
        replica computes, where `devices` say so, as it does in Keras.

        Nothing in a step branches on a tensor, so AutoGraph, which takes seconds to find that out, is off.
        """
        return tf.function(self._distributed_train_step, autograph=False)

    def make_test_function(self) -> Any:
        """Return `test_step` as a tf.function over all replicas; its results are summed over them."""
        return tf.function(self._distributed_test_step, autograph=False)

    def train_step(self, images: tf.Tensor, targets: Tensors, stop: tf.Tensor) -> tf.Tensor:
        """Train on one replica's part of a batch: sum its gradients over replicas, clip them and apply them.

        Returns float32 (2 + metrics,), which summed over replicas are the mean loss, whether any process wants to
        `stop`, and the mean metrics.
        """
        replica = tf.distribute.get_replica_context()
        variables = self.model.trainable_variables
        share = 1.0 / replica.num_replicas_in_sync
        if self.accumulate_steps == 1:
            gradients, results = self.compute_gradients(images, targets, share)
        else:
            gradients, results = self.accumulate_gradients(images, targets, share / self.accumulate_steps)
        gradients = replica.all_reduce(SUM, gradients)
        if self.clip_norm is not None:
            gradients = clip_by_global_norm(gradients, self.clip_norm * self._loss_scale())
        self.optimizer.apply(gradients, variables)
        return tf.concat([results[:1], [stop], results[1:]], axis=0)

    def test_step(self, images: tf.Tensor, targets: Tensors, mask: tf.Tensor) -> tf.Tensor:
        """Return float32 (2 + metrics,): sums over a replica's images of the losses, of `mask` (B,), which is 0 for
        images that only fill a batch, and of the metrics."""
        outputs = self.model(images, training=False)
        metrics = self.compute_metrics(targets, outputs)
        columns = [self._loss(targets, outputs), tf.ones_like(mask), *metrics]
        return tf.stack([tf.reduce_sum(tf.cast(column, tf.float32) * mask) for column in columns])

    def compute_metrics(self, targets: Tensors, outputs: Tensors) -> list[tf.Tensor]:
        """Return the task's metrics of each image, (B,), in the order of `metric_names`."""
        metrics = self.task.train_metrics(targets, outputs)
        return [metrics[name] for name in self.metric_names]

    def compute_gradients(self, images: tf.Tensor, targets: Tensors, share: float) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Return the gradients of `share` of the mean loss, and of the mean metrics: (1 + metrics,)."""
        if self._recomputation:
            compute_loss = partial(self._compute_loss, images, targets, share)
            gradients, loss, outputs = self._recomputation.differentiate(images, compute_loss, self._loss_scale())
        else:
            with tf.GradientTape() as tape:
                outputs = self.model(images, training=True)
                loss = self._compute_loss(images, targets, share, outputs)
                scaled = loss * self._loss_scale()
            # tfmot's clustered kernels are no part of the graph: what they are made of is trained.
            gradients = tape.gradient(
                scaled, self.model.trainable_variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
        metrics = self.compute_metrics(targets, outputs)
        means = [share * tf.reduce_mean(tf.cast(metric, tf.float32)) for metric in metrics]
        return gradients, tf.stack([loss, *means])

    def _compute_loss(self, images: tf.Tensor, targets: Tensors, share: float, outputs: Tensors) -> tf.Tensor:
        """Return `share` of the mean loss of `outputs`, float32 ()."""
        losses = tf.cast(self._loss(targets, outputs), tf.float32)
        losses = self.method.training_loss(losses, images, outputs)
        return share * (tf.reduce_mean(losses) + tf.add_n(self.model.losses or [0.0]))

    def accumulate_gradients(
        self, images: tf.Tensor, targets: Tensors, share: float
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Return the same over `accumulate_steps` parts of the batch, one after another: exactly those of the big
        batch, but for batch norm, whose statistics are of each part."""
        parts = tf.nest.map_structure(
            lambda x: tf.reshape(x, (self.accumulate_steps, -1, *x.shape[1:])), (images, targets)
        )
        add = partial(self._add_part, parts, share)
        gradients = [tf.zeros(variable.shape, variable.dtype) for variable in self.model.trainable_variables]
        results = tf.zeros(1 + len(self.metric_names))
        if self.devices.replicas == 1:
            _, gradients, results = tf.while_loop(
                lambda part, *_: part < self.accumulate_steps,
                add,
                (0, gradients, results),
                parallel_iterations=1,
            )
            return gradients, results
        # Synchronized batch norm meets the other replicas, which TensorFlow forbids within a loop of the graph.
        for part in range(self.accumulate_steps):
            with tf.control_dependencies([results]):  # one after another, or their memory would add up
                _, gradients, results = add(part, gradients, results)
        return gradients, results

    def _add_part(
        self,
        parts: tuple[tf.Tensor, Tensors],
        share: float,
        part: tf.Tensor,
        gradients: list[tf.Tensor],
        results: tf.Tensor,
    ) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
        """Add what the batch's part of that number gives to `gradients` and `results`."""
        images, targets = tf.nest.map_structure(lambda x: x[part], parts)
        more_gradients, more_results = self.compute_gradients(images, targets, share)
        return part + 1, [a + b for a, b in zip(gradients, more_gradients, strict=True)], results + more_results

    def _distributed_train_step(self, images: PerReplica, targets: PerReplica, stop: tf.Tensor) -> tf.Tensor:
        self.method.on_train_step_begin(self.model, self.optimizer.iterations.value)
        results = self.devices.strategy.run(self._replica_step, (images, targets, stop))
        if self.state.ema:
            self.state.ema.update(self.devices, self.optimizer.iterations.value)
        return self.devices.strategy.reduce(SUM, results, axis=None)

    def _distributed_test_step(self, images: PerReplica, targets: PerReplica, mask: PerReplica) -> tf.Tensor:
        results = self.devices.strategy.run(self.test_step, (images, targets, mask))
        return self.devices.strategy.reduce(SUM, results, axis=None)

    def _loss_scale(self) -> tf.Tensor | float:
        """Return what float16 losses are multiplied by, so that small gradients do not vanish; 1 elsewhere."""
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        return self.optimizer.dynamic_scale.value if scaled else 1.0


def clip_by_global_norm(gradients: list[tf.Tensor], limit: tf.Tensor | float) -> list[tf.Tensor]:
    """Return `gradients` scaled down to a global norm of at most `limit` (Pascanu et al. 2013); what is not finite
    stays so."""
    norm = tf.linalg.global_norm(gradients)
    factor = tf.where(norm > limit, limit / norm, 1.0)
    return [gradient * tf.cast(factor, gradient.dtype) for gradient in gradients]
