"""The fused batch norm: Keras' layer in everything but speed."""

import json
import re
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from parallel_checks import SPEC
from parallel_checks import trained as trained_by

from keras_resnet.training import resolve
from keras_resnet.training.avx2_layers import FastBatchNormalization
from keras_resnet.training.distribute import Devices
from keras_resnet.training.fused_batch_norm import FusedBatchNormalization

LAYERS = (keras.layers.BatchNormalization, FusedBatchNormalization)


def layers(policy, shape, fused=FusedBatchNormalization):
    """Keras' layer and ours with the same random weights."""
    rng = np.random.default_rng(0)
    values = [rng.uniform(0.5, 1.5, shape[-1]) for _ in range(4)]
    made = []
    for kind in (LAYERS[0], fused):
        layer = kind(momentum=0.9, epsilon=1e-5, dtype=policy, name="norm")
        layer.build(shape)
        layer.set_weights(values)
        made.append(layer)
    return made


def step(layer, x, weights):
    """Outputs and gradients by inputs, gamma and beta of one training step, and the statistics after it."""

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) * weights)
        return [y, *tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])]

    outputs = tf.function(run)(x)
    return [np.asarray(tf.cast(value, tf.float32)) for value in (*outputs, layer.moving_mean, layer.moving_variance)]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("shape", [(8, 5, 6, 16), (2, 1, 1, 3)])
@pytest.mark.parametrize("kind", [FusedBatchNormalization, FastBatchNormalization])
def test_outputs_gradients_and_statistics_are_those_of_keras(policy, shape, kind):
    rng = np.random.default_rng(1)
    stock, fused = layers(policy, shape, kind)
    x = tf.constant(rng.normal(3, 2, shape), tf.float32)
    weights = rng.normal(size=shape).astype("float32")
    # One unit in the last place of what was rounded to 16 bits.
    rounding = {"mixed_bfloat16": 2**-7, "mixed_float16": 2**-10}.get(policy, 0)
    for ours, theirs in zip(step(fused, x, weights), step(stock, x, weights), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=3e-5 + rounding, atol=3e-5 + rounding)
    for training in (False, None):
        ours, theirs = (np.asarray(tf.cast(layer(x, training=training), tf.float32)) for layer in (fused, stock))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5 + rounding, atol=1e-5 + rounding)


@pytest.mark.parametrize("kind", [FusedBatchNormalization, FastBatchNormalization])
def test_a_frozen_one_uses_and_keeps_its_statistics(kind):
    stock, fused = layers("float32", (4, 3, 3, 2), kind)
    fused.trainable = stock.trainable = False
    x = np.random.default_rng(0).normal(size=(4, 3, 3, 2)).astype("float32")
    before = fused.get_weights()
    np.testing.assert_allclose(fused(x, training=True), stock(x, training=True), rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(fused.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_training_is_that_of_keras(monkeypatch):
    monkeypatch.setattr(resolve.onednn, "lacks_avx512", lambda: False)
    one, models = Devices(tf.distribute.get_strategy(), "one"), []
    for kind in reversed(LAYERS):
        monkeypatch.setattr("keras_resnet.training.fused_batch_norm.FusedBatchNormalization", kind)
        models.append(trained_by(one, SPEC, 5).model)
    assert [type(model.get_layer("stem_norm")) for model in models] == [FusedBatchNormalization, LAYERS[0]]
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_nothing_saved_tells_of_the_layers_it_was_trained_with(trained):
    config = json.loads(zipfile.ZipFile(trained.model_file).read("config.json"))
    assert {"BatchNormalization", "Conv2D", "ReLU"} <= set(re.findall(r"\w+", json.dumps(config)))
    assert not re.search("Fused|Fast", json.dumps(config))
