"""One step of training and one of validation, over however many replicas there are.

Written out rather than left to `model.fit`, because Keras 3 asks one replica alone whether gradients are finite, clips
before it sums, counts accumulated batches as steps, and cannot fit over several workers at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_resnet.training.distribute import Devices

# (targets (B, …), outputs (B, …)) → losses (B,) float32
Loss = Callable[[Any, Any], Any]
# The same arguments → {"accuracy": (B,) float32, …}: what is followed besides the loss.
Follow = Callable[[Any, Any], dict[str, Any]]
SUM = tf.distribute.ReduceOp.SUM


@dataclass(frozen=True)
class TrainState:
    """What a step needs. optimizer: one that takes summed gradients (see `optimizer_of`).

    follow: names and values of what is followed; names: in their order.
    before: called with the number of the step, from 0, before each.
    judge: what counts, by name, of the present weights, where nothing that is followed is that; what it is given is
        called now and then.
    teacher: None, or a model of the same images whose answers `soften` the loss: (answers, outputs) → (B,).
    """

    model: Any
    optimizer: Any
    loss: Loss
    follow: Follow
    names: tuple[str, ...]
    devices: Devices
    accumulate_steps: int = 1
    clip_grad_norm: float | None = None
    average: ExponentialMovingAverage | None = None
    teacher: Any = None
    soften: Loss | None = None
    teacher_weight: float = 0.0
    before: Callable[[Any], None] | None = None
    judge: Callable[[Callable[[], None]], dict[str, float]] | None = None

    def state(self) -> list[Any]:
        """Every variable that a step changes, in an order that does not: weights, statistics, seeds, slots, loss
        scale, averages."""
        return [*self.model.variables, *self.optimizer.variables, *(self.average.values if self.average else ())]


class ExponentialMovingAverage:
    """Moving averages of all weights and statistics: `decay` of the old and the rest of the new after each step,
    and less of the old in the first (1 + t) / (10 + t), as TensorFlow's ExponentialMovingAverage has it."""

    def __init__(self, model: Any, decay: float) -> None:
        self.weights, self.decay = model.weights, decay
        self.values = [
            keras.Variable(weight, dtype=weight.dtype, trainable=False, name=f"average_{index}")
            for index, weight in enumerate(self.weights)
        ]

    def begin(self) -> None:
        """Start from the present weights, which may have come from elsewhere after the model was made."""
        for value, weight in zip(self.values, self.weights, strict=True):
            value.assign(weight.numpy())

    def follow(self, devices: Devices, step: Any) -> None:
        """Move towards the present weights; across replicas, in a graph."""
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(self.decay, (1 + step) / (10 + step))
        for value, weight in zip(self.values, self.weights, strict=True):
            devices.strategy.extended.update(
                value.value, lambda a, w: a.assign(decay * a + (1 - decay) * w), args=(weight.value,), group=False
            )

    def swap(self) -> None:
        """Exchange weights and averages; a second time puts them back."""
        for value, weight in zip(self.values, self.weights, strict=True):
            average, present = value.numpy(), weight.numpy()
            value.assign(present)
            weight.assign(average)


def training_step(job: TrainState) -> Any:
    """A tf.function (images, targets, stop) → float32 (2 + names,): the mean loss, whether any process wants to `stop`,
    and the means of what is followed. images and targets are of each replica; the means are over all."""

    def step(images: Any, targets: Any, stop: Any) -> Any:
        if job.before:
            job.before(job.optimizer.iterations.value)
        found = job.devices.strategy.run(lambda x, y: _learn(job, x, y, stop), (images, targets))
        if job.average:
            job.average.follow(job.devices, job.optimizer.iterations.value)
        return job.devices.strategy.reduce(SUM, found, axis=None)

    return tf.function(step)


def validation_step(job: TrainState) -> Any:
    """A tf.function (images, targets, counted) → float32 (2 + names,): sums over all replicas of the losses, of
    `counted` (B,), which is 0 for samples that only fill a batch, and of what is followed."""

    def judge(images: Any, targets: Any, counted: Any) -> Any:
        outputs = job.model(images, training=False)
        followed = job.follow(targets, outputs)
        columns = [job.loss(targets, outputs), tf.ones_like(counted), *(followed[name] for name in job.names)]
        return tf.stack([tf.reduce_sum(tf.cast(column, tf.float32) * counted) for column in columns])

    def step(images: Any, targets: Any, counted: Any) -> Any:
        return job.devices.strategy.reduce(SUM, job.devices.strategy.run(judge, (images, targets, counted)), axis=None)

    return tf.function(step)


def _learn(job: TrainState, images: Any, targets: Any, stop: Any) -> Any:
    """On one replica: gradients of all parts of its share, summed over replicas, clipped, applied."""
    replica = tf.distribute.get_replica_context()
    variables = job.model.trainable_variables
    share = 1.0 / replica.num_replicas_in_sync
    if job.accumulate_steps == 1:
        gradients, found = _gradients(job, variables, images, targets, share)
    else:
        gradients, found = _accumulated(job, variables, images, targets, share / job.accumulate_steps)
    gradients = replica.all_reduce(SUM, gradients)
    if job.clip_grad_norm is not None:
        gradients = _clipped(gradients, job.clip_grad_norm * _scale(job.optimizer))
    job.optimizer.apply(gradients, variables)
    return tf.concat([found[:1], [stop], found[1:]], axis=0)


def _gradients(job: TrainState, variables: list[Any], images: Any, targets: Any, share: float) -> tuple[list[Any], Any]:
    """Gradients of `share` of the mean loss, and `share` of the mean loss and of what is followed, (1 + names,)."""
    with tf.GradientTape() as tape:
        outputs = job.model(images, training=True)
        losses = tf.cast(job.loss(targets, outputs), tf.float32)
        if job.teacher is not None:
            assert job.soften is not None
            answers = tf.stop_gradient(job.teacher(images, training=False))
            losses = (1 - job.teacher_weight) * losses + job.teacher_weight * job.soften(answers, outputs)
        loss = share * (tf.reduce_mean(losses) + tf.add_n(job.model.losses or [0.0]))
        scaled = loss * _scale(job.optimizer)
    # tfmot's clustered kernels are no part of the graph: what they are made of is trained.
    gradients = tape.gradient(scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    followed = job.follow(targets, outputs)
    means = [share * tf.reduce_mean(tf.cast(followed[name], tf.float32)) for name in job.names]
    return gradients, tf.stack([loss, *means])


def _accumulated(
    job: TrainState, variables: list[Any], images: Any, targets: Any, share: float
) -> tuple[list[Any], Any]:
    """The same over `accumulate` parts of the batch, one after another: exactly the big batch, but for batch norm,
    whose statistics are those of each part."""
    parts = tf.nest.map_structure(lambda x: tf.reshape(x, (job.accumulate_steps, -1, *x.shape[1:])), (images, targets))
    total = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
    found = tf.zeros(1 + len(job.names))

    def add(part: Any, total: list[Any], found: Any) -> tuple[Any, list[Any], Any]:
        images_now, targets_now = tf.nest.map_structure(lambda x: x[part], parts)
        gradients, more = _gradients(job, variables, images_now, targets_now, share)
        return part + 1, [a + b for a, b in zip(total, gradients, strict=True)], found + more

    if job.devices.replicas == 1:
        _, total, found = tf.while_loop(
            lambda part, *_: part < job.accumulate_steps, add, (0, total, found), parallel_iterations=1
        )
        return total, found
    # Synchronized batch norm meets the other replicas, which TensorFlow forbids within a loop of the graph.
    for part in range(job.accumulate_steps):
        with tf.control_dependencies([found]):  # one after another, or their memory would add up
            _, total, found = add(part, total, found)
    return total, found


def _scale(optimizer: Any) -> Any:
    """What float16 losses are multiplied by, so that small gradients do not vanish; 1 for other precisions."""
    return optimizer.dynamic_scale.value if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else 1.0


def _clipped(gradients: list[Any], norm: Any) -> list[Any]:
    """Scaled down to a global norm of at most `norm` (Pascanu et al. 2013); what is not finite stays so."""
    length = tf.linalg.global_norm(gradients)
    factor = tf.where(length > norm, norm / length, 1.0)
    return [gradient * tf.cast(factor, gradient.dtype) for gradient in gradients]
