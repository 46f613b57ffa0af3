"""Quantization-aware training: what the network computes in training is what its 8-bit file computes."""

import keras
import numpy as np
import pytest
from trained_networks import SIZE, answers_of, digits, fitted, network

import keras_resnet
from keras_resnet.compression.quantization.converters import get_base_class
from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer
from keras_resnet.compression.quantization.freeze import prepare_for_conversion
from keras_resnet.compression.quantization.layers import QuantizedNorm, kernel_ranges, round_kernel
from keras_resnet.compression.quantization.quantize import copy_weights, quantize
from keras_resnet.errors import UsageError
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.formats.tflite import write_tflite
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
from keras_resnet.models.layers import Layers
from keras_resnet.training import resolve
from keras_resnet.training.fused_batch_norm import FusedBatchNormalization

CHANCE = np.random.default_rng(0)


def test_a_kernel_has_255_values_for_each_output():
    kernel = CHANCE.normal(size=(3, 3, 4, 5)).astype("float32") * [1, 2, 3, 1e-7, 0]
    rounded = np.asarray(round_kernel(keras.ops.convert_to_tensor(kernel.astype("float32"))))
    largest = np.asarray(kernel_ranges(keras.ops.convert_to_tensor(kernel.astype("float32"))))
    steps = rounded / (largest / 127)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    assert np.abs(steps).max() <= 127.001 and len(np.unique(rounded[..., 0])) > 20
    assert (np.abs(rounded - kernel).max(axis=(0, 1, 2))[:3] <= largest[:3] / 254 * 1.001).all()


def test_scaling_channels_and_rounding_commute():
    """Why batch norm needs no folding in training."""
    kernel = CHANCE.normal(size=(3, 3, 4, 5)).astype("float32")
    scale = CHANCE.uniform(0.5, 2, 5).astype("float32")
    one, other = (np.asarray(round_kernel(keras.ops.convert_to_tensor(k))) for k in (kernel * scale, kernel))
    np.testing.assert_allclose(one, other * scale, atol=1e-6)


def test_a_range_follows_the_batches():
    quantizer = FakeQuantizer(momentum=0.9)
    images = keras.ops.convert_to_tensor(CHANCE.uniform(-1, 3, (4, 5)).astype("float32"))
    np.testing.assert_array_equal(quantizer(images, training=False), images)  # nothing seen yet
    quantizer(images, training=True)
    low, high = float(np.min(images)), float(np.max(images))
    assert (float(quantizer.low), float(quantizer.high)) == (low, high)
    quantizer(2 * images, training=True)
    np.testing.assert_allclose([quantizer.low, quantizer.high], [1.1 * low, 1.1 * high], rtol=1e-5)
    before = np.asarray(quantizer(images, training=False))
    assert len(np.unique(before)) <= 256 and np.abs(before - images).max() < 1.1 * (high - low) / 500
    quantizer.freeze()
    np.testing.assert_allclose(quantizer(images), before, atol=1.1 * (high - low) / 250)
    assert float(quantizer(images * 0 + 100).numpy().max()) == pytest.approx(1.1 * high, rel=0.01)


@pytest.mark.parametrize("name", ["resnet8", "resnet11v2"])
def test_a_copy_begins_as_its_original(name):
    model = network(name)
    copy = quantize(model)
    images = digits()[0][:8]
    ours, theirs = (np.asarray(each(images, training=False)) for each in (copy, model))
    assert np.abs(ours - theirs).max() < 0.05 * np.abs(theirs).max()
    names = [layer.name for layer in copy.layers]
    assert sorted(n for n in names if not n.endswith("_range")) == sorted(layer.name for layer in model.layers)
    assert any(isinstance(layer, QuantizedNorm) for layer in copy.layers) == (name == "resnet11v2")
    other = network(name)
    copy_weights(other, copy)
    np.testing.assert_array_equal(copy.get_layer("stem_conv").kernel, other.get_layer("stem_conv").kernel)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("lacks_avx512", [False, True])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_layers_of_a_training_are_quantized_as_those_of_keras(monkeypatch, policy, lacks_avx512, replicas):
    """Whatever the processor: with AVX2 but without AVX-512, and with AMX."""
    monkeypatch.setattr(resolve.onednn, "lacks_avx512", lambda: lacks_avx512)
    monkeypatch.setattr(resolve.onednn, "has_amx", lambda: not lacks_avx512)
    kinds = []
    for bricks in (resolve.training_layers(policy, replicas), Layers(keras, policy)):
        model = network("resnet11v2", bricks=bricks)
        kinds.append([(each.name, get_base_class(each) or type(each)) for each in quantize(model).layers])
    assert kinds[0] == kinds[1]


@pytest.mark.slow
def test_a_norm_of_its_own_computes_in_mixed_precision():
    """In validation, which Keras casts otherwise than training, it gives what it gives in float32, but for the rounding
    of its result to bfloat16."""
    mixed = quantize(network("resnet20v2", bricks=Layers(keras, "mixed_bfloat16")))
    images = digits()[0][:32]
    mixed(images, training=True)
    served = quantize(network("resnet20v2"))
    served.set_weights(mixed.get_weights())
    assert np.isfinite(np.asarray(mixed(images, training=False), np.float32)).all()
    norms = [layer.name for layer in served.layers if isinstance(layer, QuantizedNorm)]
    for name in norms:
        ours, theirs = mixed.get_layer(name), served.get_layer(name)
        values = keras.ops.cast(CHANCE.normal(0, 1, (4, 2, 2, ours.gamma.shape[0])), "bfloat16")
        got, expected = ours(values, training=False), theirs(keras.ops.cast(values, "float32"), training=False)
        assert got.dtype == "bfloat16"
        np.testing.assert_allclose(keras.ops.cast(got, "float32"), expected, rtol=2**-8)
    assert norms


# Fast ones here, all kinds with -m slow.
FILES = [
    pytest.param("resnet8", SIZE, {"MUL": 1, "ADD": 4}, id="resnet8", marks=pytest.mark.slow),
    pytest.param("resnet20", SIZE, {"MUL": 1, "ADD": 10}, id="resnet20", marks=pytest.mark.slow),
    pytest.param("resnet20v2", SIZE, {"MUL": 7}, id="resnet20v2", marks=pytest.mark.slow),
    pytest.param("resnet50", 64, {"MUL": 1, "ADD": 17, "CONV_2D": 53}, id="resnet50", marks=pytest.mark.slow),
    pytest.param("seresnet50", 64, {"LOGISTIC": 16, "MUL": 17}, id="seresnet50", marks=pytest.mark.slow),
    pytest.param("resnet50d", 64, {"AVERAGE_POOL_2D": 3}, id="resnet50d", marks=pytest.mark.slow),
    pytest.param("resnext50_32x4d", 64, {"CONV_2D": 53}, id="resnext50", marks=pytest.mark.slow),
    pytest.param("vgg11", 32, {"CONV_2D": 8, "FULLY_CONNECTED": 3}, id="vgg11", marks=pytest.mark.slow),
    pytest.param("plain20", SIZE, {"CONV_2D": 19}, id="plain20", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "size", "operators"), FILES)
def test_the_file_computes_what_the_network_does(name, size, operators, tmp_path):
    """Trained in bfloat16, saved, loaded, converted: integers only, and the same answers on real images."""
    bricks = Layers(keras, "mixed_bfloat16", normalizer=FusedBatchNormalization)
    plain = network(name, size, bricks)
    rate = 0.001 if name.startswith("vgg") else 0.01
    # Long enough for answers that are not chance between two like logits.
    epochs = 10 if name == "resnet8" else 4
    trained = fitted(quantize(fitted(plain, epochs=epochs, size=size, rate=rate)), size=size, rate=rate / 2)
    served = quantize(network(name, size))
    served.set_weights(trained.get_weights())
    served.save(tmp_path / "served.keras")
    loaded = keras.saving.load_model(tmp_path / "served.keras", compile=False)
    images, labels = digits(size)
    images, labels = images[-200:], labels[-200:]
    expected = np.asarray(served.predict(images, verbose=0))
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    file = tmp_path / "qat.tflite"
    write_tflite(loaded, TFLiteOptions(SCHEMES["qat"], "uint8"), None, file)
    contents = read_contents(file.read_bytes())
    assert not contents.float_dtypes and not contents.custom
    assert {kind: contents.operators[kind] for kind in operators} == operators
    got, step = answers_of(file, images)
    agreement = (got.argmax(1) == expected.argmax(1)).mean()
    print(name, "agreement", agreement, "accuracy", (got.argmax(1) == labels).mean(), "step", step)
    assert agreement >= 0.99


@pytest.mark.slow
def test_a_dead_channel_leaves_no_float(tmp_path):
    model = network("resnet8")
    norm = model.get_layer("stage2_unit1_norm2")
    gamma, *rest = norm.get_weights()
    norm.set_weights([np.where(np.arange(len(gamma)) % 3 == 0, 0, gamma), *rest])
    copy = fitted(quantize(model), steps=3, rate=1e-6)
    expected = np.asarray(copy.predict(digits()[0][:50], verbose=0))
    logits = copy.get_layer("logits_range")
    step = float(logits.high - logits.low) / 255
    # A constant range may round what lies between two steps the other way.
    np.testing.assert_allclose(prepare_for_conversion(copy)(digits()[0][:50]), expected, atol=1.01 * step)
    write_tflite(copy, TFLiteOptions(SCHEMES["qat"], "int8"), None, tmp_path / "x.tflite")
    assert not read_contents((tmp_path / "x.tflite").read_bytes()).float_dtypes


def test_what_cannot_be_quantized():
    pixels = keras.Input((8, 8, 3))
    odd = keras.Model(pixels, keras.layers.LayerNormalization(name="odd")(pixels))
    for model, words in ((odd, "layer odd of type LayerNormalization"), (quantize(network("resnet8")), "not yet")):
        with pytest.raises(UsageError, match=words):
            keras_resnet.quantize(model)
