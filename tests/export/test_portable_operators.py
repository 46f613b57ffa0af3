"""Networks as they are converted: by operators that GPUs and microcontrollers have."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.formats.portable_operators import with_portable_operators
from keras_resnet.export.formats.tflite import write_tflite
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 6, 5, 3), dtype=np.uint8)


def network(interpolation="nearest"):
    """Upsampling at the top, twice by the same layer, and in a network within."""
    pixels = keras.Input((6, 5, 3), name="pixels")
    twice = layers.UpSampling2D((2, 3), interpolation=interpolation, name="up")
    x = twice(layers.Conv2D(4, 3, strides=2, padding="same")(layers.Rescaling(1 / 255)(pixels)))
    inner = keras.Input((12, 27, 4))
    within = keras.Model(inner, layers.UpSampling2D(2, interpolation=interpolation)(layers.ReLU()(inner)))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, (3, 2))(within(twice(x))))
    return keras.Model(pixels, layers.Dense(3, name="logits")(x))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return network()


def test_it_computes_the_same_and_leaves_the_network_alone(model):
    expected, kinds = model(PIXELS), [type(layer) for layer in model.layers]
    portable = with_portable_operators(model)
    np.testing.assert_array_equal(portable(PIXELS), expected)
    assert [type(layer) for layer in model.layers] == kinds and portable is not model
    np.testing.assert_array_equal(model(PIXELS), expected)
    assert with_portable_operators(portable) is portable


def test_interpolation_is_left_as_it_is():
    model = network("bilinear")
    assert with_portable_operators(model) is model


@pytest.mark.parametrize(("name", "error"), [("float32", 1e-5), ("int8", 0.02), ("int16x8", 0.01)])
def test_the_file_resizes(model, tmp_path, name, error):
    """error: of logits up to 0.4, where weights have 8 bits, and where activations have too."""
    from ai_edge_litert.interpreter import Interpreter

    scheme = SCHEMES[name]
    options = TFLiteOptions(scheme, "float" if name == "int16x8" else "uint8")
    file = tmp_path / "x.tflite"
    write_tflite(model, options, PIXELS if scheme.needs_calibration else None, file)
    contents = read_contents(file.read_bytes())
    assert contents.operators["RESIZE_NEAREST_NEIGHBOR"] == 3 and "TILE" not in contents.operators
    interpreter = Interpreter(str(file))
    assert max(len(each["shape"]) for each in interpreter.get_tensor_details()) == 4
    (details,) = interpreter.get_signature_runner().get_output_details().values()
    scale, zero = details["quantization"]
    taken = PIXELS[:1].astype(np.float32 if options.io == "float" else np.uint8)
    (raw,) = interpreter.get_signature_runner()(pixels=taken).values()
    found = (raw.astype(np.float32) - zero) * scale if scale else raw
    np.testing.assert_allclose(found, model(PIXELS[:1]), atol=error)
