"""Quantized networks with dead channels, kernels and branches, and those that have seen no images."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from trained_networks import answers_of, digits, network

from keras_resnet.compression.quantization.freeze import prepare_for_conversion
from keras_resnet.compression.quantization.quantize import quantize
from keras_resnet.errors import UsageError
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.formats.tflite import write_tflite
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions


def branching(kill=lambda model: None):
    """A network with a branch of which `kill` makes something dead."""
    layers = keras.layers
    pixels = keras.Input((8, 8, 3))
    stem = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(layers.Rescaling(1 / 64, -2.0)(pixels))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(stem)
    x = layers.ReLU()(layers.BatchNormalization(name="norm1")(x))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv2")(x)
    x = layers.ReLU()(layers.Add()([stem, layers.BatchNormalization(name="norm2")(x)]))
    model = keras.Model(pixels, layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D()(x)))
    for name in ("norm1", "norm2"):
        norm = model.get_layer(name)
        norm.set_weights([np.random.default_rng(1).uniform(0.5, 1.5, weight.shape) for weight in norm.get_weights()])
    kill(model)
    return model


def filled(layer, weight, value):
    """Sets one weight of one layer to a number."""

    def kill(model):
        variable = getattr(model.get_layer(layer), weight)
        variable.assign(np.full(variable.shape, value, "float32"))

    return kill


def dead_statistics(model):
    """As moving statistics become behind what is dead: no mean, no variance."""
    for weight, value in (("moving_mean", 0), ("moving_variance", 0), ("gamma", 1)):
        filled("norm2", weight, value)(model)
    filled("norm1", "beta", -1e3)(model)


DEAD = {
    "a ReLU": filled("norm1", "beta", -1e3),
    "a ReLU and the statistics behind it": dead_statistics,
    "all scales of a norm": filled("norm2", "gamma", 0),
    "all weights of a convolution": filled("conv2", "kernel", 0),
    "almost all weights": filled("conv2", "kernel", 1e-12),
    "the beginning": filled("stem", "bias", -1e3),
    "all weights of a dense layer": filled("logits", "kernel", 0),
}
READ = """
import sys, numpy
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
details = [each for each in interpreter.get_tensor_details() if each["dtype"] in (numpy.int8, numpy.uint8)]
print(min(scale for each in details for scale in each["quantization_parameters"]["scales"]))
"""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if place % 3 else ()) for place, name in enumerate(DEAD)]
)
def test_what_is_dead_has_a_usable_scale(name, tmp_path):
    """The file is first opened in a child: LiteRT 2.3 ends the process for scales that XNNPACK refuses."""
    copy = quantize(branching(DEAD[name]))
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype("float32")
    copy.trainable = False
    copy(images, training=True)
    expected = np.asarray(copy(images, training=False))
    file = tmp_path / "x.tflite"
    write_tflite(copy, TFLiteOptions(SCHEMES["qat"], "uint8"), None, file)
    child = subprocess.run([sys.executable, "-c", READ, str(file)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert float(child.stdout) > 1e-7
    assert not read_contents(file.read_bytes()).float_dtypes
    got, step = answers_of(file, images)
    np.testing.assert_allclose(got, expected, atol=2.01 * step)


def test_what_has_seen_no_images_is_not_converted():
    copy = quantize(network("resnet8"))
    with pytest.raises(UsageError, match="resnet8 has seen no images: train or calibrate it first"):
        prepare_for_conversion(copy)
    copy(digits()[0][:8], training=True)
    prepare_for_conversion(copy)
