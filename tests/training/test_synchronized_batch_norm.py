"""Batch norm over replicas: Keras' layer, with two all-reduces. test_distribute.py compares two devices with one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.training.resolve import training_layers
from keras_resnet.training.synchronized_batch_norm import SynchronizedBatchNormalization


def make(kind, policy, shape, **options):
    """Return a layer with random weights, the same each time."""
    rng = np.random.default_rng(0)
    layer = kind(momentum=0.9, epsilon=1e-5, dtype=policy, name="norm", **options)
    layer.build(shape)
    layer.set_weights([rng.uniform(0.5, 1.5, shape[-1]) for _ in range(4)])
    return layer


def step(layer, x, weights):
    """Return outputs and gradients by inputs, gamma and beta of one training step, and the statistics after it."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * weights)
    outputs = [y, *tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])]
    return [np.asarray(tf.cast(value, tf.float32)) for value in (*outputs, layer.moving_mean, layer.moving_variance)]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_step_is_that_of_keras(policy):
    rng, shape = np.random.default_rng(1), (8, 5, 6, 16)
    x = tf.constant(rng.normal(3, 2, shape), tf.float32)
    weights = rng.normal(size=shape).astype("float32")
    rounding = {"mixed_bfloat16": 2**-7, "mixed_float16": 2**-10}.get(policy, 0)
    ours, theirs = (
        step(layer, x, weights)
        for layer in (
            make(SynchronizedBatchNormalization, policy, shape),
            make(keras.layers.BatchNormalization, policy, shape, synchronized=True),
        )
    )
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=3e-5 + rounding, atol=3e-5 + rounding)


def test_replicas_meet_once_forward(monkeypatch):
    """And once backward, for TensorFlow's gradient of a sum over replicas is one."""
    context, met = type(tf.distribute.get_replica_context()), []
    original = context.all_reduce
    monkeypatch.setattr(
        context, "all_reduce", lambda *arguments: (met.append(arguments[2].shape), original(*arguments))[1]
    )
    shape = (2, 3, 3, 4)
    layer = make(SynchronizedBatchNormalization, "float32", shape)
    layer(tf.ones(shape), training=True)
    assert met == [(2, 4)]
    layer(tf.ones(shape), training=False)
    layer.trainable = False
    layer(tf.ones(shape), training=True)
    assert len(met) == 1


def test_layers_of_several_replicas_are_synchronized():
    assert training_layers("float32", 2).normalizer is SynchronizedBatchNormalization
    assert training_layers("float32").normalizer is not SynchronizedBatchNormalization
