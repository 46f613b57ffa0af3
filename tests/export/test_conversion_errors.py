"""A model that TensorFlow's converter does not take: the sentence names the layer, its type, and what can be done."""

import keras
import numpy as np
import pytest

from keras_resnet.data.sources.arrays import in_memory
from keras_resnet.errors import ExportError
from keras_resnet.export import conversion_errors, export_tflite

L = keras.layers


class OfOnesOwn(L.Layer):
    """A layer that another process knows nothing of."""

    def call(self, x):
        return 2 * x


def double(x):
    return 2 * x


def classifier(*layers, flat=False):
    """From images of 16 pixels by these layers to two logits."""
    pixels = x = keras.Input((16, 16, 3))
    for layer in layers:
        x = layer(x)
    if not flat:
        x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(x))
    return keras.Model(pixels, L.Dense(2)(x))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 16, 16, 3), np.uint8)
    others = rng.integers(0, 256, (10, 16, 16, 3), np.uint8)
    return in_memory((images, np.arange(40) % 2), (others, np.arange(10) % 2), ("a", "b"))


def refused(model, data, tmp_path):
    file = tmp_path / "m.tflite"
    with pytest.raises(ExportError) as raised:
        export_tflite(model, data, file, max_drop=100)
    assert not file.exists() and not list(tmp_path.glob(".*"))
    return str(raised.value)


OWN = "holds code of your own, which the process that converts cannot make again; write it with Keras' own layers"


@pytest.mark.parametrize(
    ("layers", "flat", "words"),
    [
        pytest.param(
            [L.Lambda(lambda x: 2 * x, name="doubling")],
            False,
            ["layer 'doubling' (Lambda)", OWN],
            marks=pytest.mark.slow,
        ),
        pytest.param([L.Lambda(double, name="named")], False, ["layer 'named' (Lambda)", OWN], marks=pytest.mark.slow),
        ([OfOnesOwn(name="own")], False, ["layer 'own' (OfOnesOwn)", OWN]),
        pytest.param(
            [L.Reshape((16, 48)), L.LSTM(4, name="memory")],
            True,
            ["layer 'memory' (LSTM)", "unroll=True"],
            marks=pytest.mark.slow,
        ),
        pytest.param([L.Conv3DTranspose], False, ["layer 'up' (Conv3DTranspose)", "floats"], marks=pytest.mark.slow),
    ],
)
def test_the_layer_is_named(data, tmp_path, layers, flat, words):
    if layers == [L.Conv3DTranspose]:
        layers = [L.Reshape((4, 4, 16, 3)), L.Conv3DTranspose(3, 3, name="up"), L.Reshape((36, 18, 3))]
    sentence = refused(classifier(*layers, flat=flat), data, tmp_path)
    assert (
        sentence.startswith("the model cannot be converted because of layer ") and str(tmp_path / "m.log") in sentence
    )
    assert all(each in sentence for each in words), sentence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (lambda: L.GRU(4, name="gated"), "layer 'gated' (GRU)"),
        (lambda: L.Bidirectional(L.LSTM(4), name="both"), "layer 'both' (Bidirectional)"),
        (lambda: L.SimpleRNN(4, name="plain"), "layer 'plain' (SimpleRNN)"),
    ],
)
def test_other_recurrent_layers(data, tmp_path, layer, told):
    assert told in refused(classifier(L.Reshape((16, 48)), layer(), flat=True), data, tmp_path)


@pytest.mark.slow
def test_unrolled_as_the_sentence_says_it_is_taken(data, tmp_path):
    model = classifier(L.Reshape((16, 48)), L.LSTM(4, unroll=True), flat=True)
    assert export_tflite(model, data, tmp_path / "m.tflite", max_drop=100).bytes > 0


@pytest.mark.slow
def test_an_operation_without_a_layer(data, tmp_path):
    pixels = keras.Input((16, 16, 3))
    x = L.Flatten()(keras.ops.qr(L.Reshape((16, 48))(pixels))[1])
    assert "because of the operation Qr: it computes what TFLite has no operator for (Qr)" in refused(
        keras.Model(pixels, L.Dense(2)(x)), data, tmp_path
    )


def test_what_the_converter_says_is_read(tmp_path):
    log = tmp_path / "x.log"
    inner = keras.Sequential([keras.Input((16, 16, 3)), L.Conv2D(3, 3, name="deep")], name="inner")
    model = classifier(inner, L.Conv2D(4, 3, name="outer"))
    log.write_text("error: 'tf.Conv2D' op is neither a custom op nor a flex op\nTF Select ops: Conv2D, Conv2D\n")
    sentence = str(conversion_errors.explain_conversion_error(ExportError("failed (exit code 1)"), model, log))
    assert "layer 'deep' (Conv2D), layer 'outer' (Conv2D)" in sentence and "no operator for (Conv2D)" in sentence
    log.write_text("killed\n")
    error = ExportError("the conversion to int8 failed (SIGKILL); its output is in x.log")
    assert conversion_errors.explain_conversion_error(error, model, log) is error
    assert conversion_errors.explain_conversion_error(error, model, tmp_path / "none.log") is error
    crash = ExportError("the conversion to int8 failed (SIGSEGV); its output is in x.log")
    assert conversion_errors.explain_conversion_error(crash, model, log) is crash  # there is no loop to blame
