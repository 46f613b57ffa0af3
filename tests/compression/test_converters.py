"""Every layer of Keras, quantized: it computes what it computed before, or it is refused in a sentence."""

import keras
import numpy as np
import pytest
from layer_models import (
    CLASSES,
    NOT_MADE,
    calibrated,
    compare,
    made,
    model_with,
    outputs_of,
    require_same,
    values_of,
    varied,
)
from written_models import MODELS, functional, nested

from keras_resnet.compression.quantization.converters import LAYERS
from keras_resnet.compression.quantization.freeze import prepare_for_conversion
from keras_resnet.compression.quantization.quantize import quantize
from keras_resnet.errors import UsageError

pytestmark = pytest.mark.usefixtures("same_weights")
layers = keras.layers


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_layer_of_keras_is_computed_or_refused(kind):
    name = kind.__name__
    if name in NOT_MADE:
        assert kind not in LAYERS
        return
    model = model_with(made(kind))
    if model is None:
        assert kind not in LAYERS, f"samples.py knows no way to make a {name}"
        return
    if kind in LAYERS:
        require_same(lambda: model)
        return
    with pytest.raises(
        UsageError, match=f"Received: .*{model.layers[-1].name} of type {type(model.layers[-1]).__name__}"
    ):
        quantize(model)


@pytest.mark.parametrize("name", MODELS)
def test_models_as_people_write_them_are_computed(name):
    require_same(MODELS[name])


@pytest.mark.parametrize(
    ("values", "words"),
    [((0.0, 1.0), "saw values from 0 to 1"), ((-1.0, 1.0), "from -1 to 1"), ((0.0, 300.0), "to 300")],
)
def test_a_file_takes_pixels_only_if_the_network_was_trained_on_pixels(values, words):
    copy = quantize(functional(lambda x: layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3)(x))))())
    images = np.random.default_rng(0).uniform(*values, (4, 8, 8, 3)).astype("float32")
    images.flat[:2] = values
    plain = np.asarray(copy(images, training=True))
    assert plain.std() > 0
    with pytest.raises(UsageError, match=words):
        prepare_for_conversion(copy)


def test_a_mixed_precision_model_with_operators_keeps_its_results():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = varied(functional(lambda x: layers.Dense(3, dtype="float32")(layers.Flatten()(nested(x / 255.0))))())
    finally:
        keras.config.set_dtype_policy(before)
    copy, values = quantize(model), values_of(model)
    compare(outputs_of(calibrated(copy, values), values, False), outputs_of(model, values, False), 0.05, "bfloat16")


def test_a_saved_copy_is_loaded_as_it_was(tmp_path):
    """With every layer that a copy can hold of ours."""
    make = functional(
        lambda x: layers.SeparableConv2D(2, 3, activation="hard_swish")(nested(x / 255)) * np.float32([1, 2])
    )
    copy = quantize(make())
    values = values_of(copy)
    calibrated(copy, values)
    copy.save(tmp_path / "copy.keras")
    loaded = keras.saving.load_model(tmp_path / "copy.keras")
    np.testing.assert_array_equal(loaded.predict(values, verbose=0), copy.predict(values, verbose=0))
