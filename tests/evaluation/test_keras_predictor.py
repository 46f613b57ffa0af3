"""A Keras model as a function of images: traced once for batches of any size."""

from __future__ import annotations

import numpy as np
import pytest

from keras_resnet.evaluation.evaluate import keras_predictor

BATCHES = (3, 3, 2, 1)


@pytest.fixture
def calls(monkeypatch):
    """A model, and of each time that its layers were called in Python whether it was while a graph was traced."""
    import keras
    import tensorflow as tf

    made: list[bool] = []
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    step = model.predict_step

    def predict_step(images):
        made.append(not tf.executing_eagerly())
        return step(images)

    monkeypatch.setattr(model, "predict_step", predict_step)
    return model, made


def test_a_model_is_traced_once(calls):
    model, made = calls
    images = np.random.default_rng(0).integers(0, 256, (max(BATCHES), 4, 4, 3)).astype(np.uint8)
    predict = keras_predictor(model)
    outputs = [predict(images[:size]) for size in BATCHES]
    assert made == [True]
    for size, each in zip(BATCHES, outputs, strict=True):
        assert each.dtype == np.float32
        np.testing.assert_allclose(each, model(images[:size]), rtol=1e-6, atol=1e-4)
