"""Rounding to 8 bits with a gradient that is deterministic on GPUs: TensorFlow's own, bit for bit."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from keras_resnet.compression.quantization.fake_quantize import fake_quantize


def differentiate(values, low, high, narrow_range):
    with tf.GradientTape() as tape:
        tape.watch(values)
        rounded = fake_quantize(values, low, high, narrow_range)
    upstream = tf.random.stateless_normal(values.shape, (0, 1))
    return rounded.numpy(), tape.gradient(rounded, values, output_gradients=upstream).numpy()


@pytest.mark.parametrize("narrow_range", [False, True])
@pytest.mark.parametrize("channels", [None, 64])
def test_it_is_that_of_tensorflow(monkeypatch, narrow_range, channels):
    """Also at the ends of ranges, and where the zero point lies halfway between steps."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        low = -np.abs(rng.normal(size=channels or ())).astype("float32")
        high = np.abs(rng.normal(size=channels or ())).astype("float32")
        if rng.random() < 0.5:
            low = -high  # as kernels have it
        values = (2 * rng.normal(size=(50, 64))).astype("float32")
        values[0], values[1], values[2] = low, high, 0
        arguments = (tf.constant(values), tf.constant(low), tf.constant(high), narrow_range)
        theirs = differentiate(*arguments)
        with monkeypatch.context() as patch:
            patch.setattr(config, "is_op_determinism_enabled", lambda: True)
            ours = differentiate(*arguments)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
        assert 0 < np.count_nonzero(ours[1]) < ours[1].size
