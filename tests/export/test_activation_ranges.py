"""Ranges of activations that cut a few far values off."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from keras_resnet.compression.quantization.activation_ranges import split_into_batches
from keras_resnet.export.flatbuffer import find_layer_outputs
from keras_resnet.export.formats.activation_ranges import BINS, LEVELS, NARROWING
from keras_resnet.export.formats.tflite import write_tflite
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions

PLAIN = TFLiteOptions(SCHEMES["int8"], "uint8")


def with_far_values(*, low: float) -> np.ndarray:
    """Return a million values, of which one lies nearly twice as far out as all others."""
    values = np.random.default_rng(0).normal(0, 1, 1_000_000)
    values[0] = 9
    return np.maximum(values, low)


def squared_error(values: np.ndarray, low: float, high: float) -> float:
    step = (high - low) / (LEVELS - 1)
    return float(((low + step * np.clip(np.round((values - low) / step), 0, LEVELS - 1) - values) ** 2).sum())


@pytest.mark.parametrize("low", [0, -9], ids=["behind a ReLU", "of both signs"])
def test_ends_are_those_of_the_values_themselves(low):
    values = with_far_values(low=low)
    ends = float(values.min()), float(values.max())
    counts, width = np.histogram(values, BINS, ends)[0], (ends[1] - ends[0]) / BINS
    percentiles = np.percentile(values, [0.005, 99.995])
    assert NARROWING["percentile"](counts, ends) == pytest.approx(tuple(percentiles), abs=1.01 * width)
    best = min(squared_error(values, ends[0], ends[1] * part) for part in np.linspace(0.2, 1, 50))
    assert squared_error(values, *NARROWING["mse"](counts, ends)) < 1.1 * best < 0.7 * squared_error(values, *ends)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(16, 3, activation="relu", name="first"),
            keras.layers.Conv2D(16, 3, activation="relu", name="second"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, name="logits"),
        ]
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Dark images, and one with a bright spot."""
    pixels = np.random.default_rng(0).normal(20, 10, (4000, 8, 8, 3)).clip(0, 255)
    pixels[0, 4, 4] = 255
    return pixels.astype(np.uint8)


@pytest.mark.parametrize("method", NARROWING)
def test_a_file_rounds_usual_values_finer(model, images, method, tmp_path):
    errors, scales = {}, {}
    dark = images[2:66]
    for options in (PLAIN, replace(PLAIN, ranges=method)):
        file = tmp_path / f"{options.name}.tflite"
        write_tflite(model, options, images, file)
        interpreter = Interpreter(str(file))
        (logits,) = interpreter.get_output_details()
        (pixels,) = interpreter.get_input_details()
        assert pixels["quantization"] == (1.0, 0)
        scale, zero = logits["quantization"]
        run = interpreter.get_signature_runner()
        outputs = np.stack([scale * (run(pixels=image[None])["logits"][0] - float(zero)) for image in dark])
        errors[options.ranges] = np.abs(outputs - model(dark.astype(np.float32))).mean()
        (first,) = find_layer_outputs(file.read_bytes(), ("first",))["first"]
        named = {each["name"]: each["quantization"][0] for each in interpreter.get_tensor_details()}
        scales[options.ranges] = named[first]
        scales[f"{options.ranges} logits"] = scale
    assert scales[method] < 0.6 * scales["min-max"] and scales[f"{method} logits"] == scales["min-max logits"]
    assert errors[method] < errors["min-max"]
    assert TFLiteOptions.from_dict(options.to_dict()) == options and options.name == f"int8-{method}"


def test_layers_are_kept_in_float_beside(model, images, tmp_path):
    file = tmp_path / "mixed.tflite"
    write_tflite(model, replace(PLAIN, ranges="mse", keep_float=("second",)), images, file)
    (first,), second = find_layer_outputs(file.read_bytes(), ("first", "second")).values()
    types = {each["name"]: each["dtype"] for each in Interpreter(str(file)).get_tensor_details()}
    assert types[first] == np.int8 and np.float32 in [types[name] for name in second]


@pytest.mark.parametrize(("shape", "sizes"), [((8, 8), [100]), ((32, 32), [64, 36]), ((448, 224), [16] * 6 + [4])])
def test_a_batch_holds_as_many_pixels_as_16_images_of_64_by_64(shape, sizes):
    images = np.arange(100, dtype=np.uint8)[:, None, None, None] * np.ones((*shape, 1), np.uint8)
    batches = split_into_batches(images)
    assert [len(batch) for batch in batches] == sizes
    np.testing.assert_array_equal(np.concatenate(batches), images)
