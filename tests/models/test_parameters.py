"""The number of parameters: one for the same network, wherever it is printed."""

from types import SimpleNamespace

import keras
import pytest

import keras_resnet
from keras_resnet.compression.quantization.quantize import quantize
from keras_resnet.evaluation.analysis import count_parts
from keras_resnet.models.parameters import count_parameters
from keras_resnet.models.summary import summarize_models


@pytest.fixture
def network():
    return keras_resnet.create_model("resnet8", classes=10, input_shape=(32, 32, 3))


def test_it_is_that_of_kresnet_models(network):
    (row,) = [each for each in summarize_models() if each["network"] == "resnet8"]
    assert count_parameters(network.weights) == row["parameters"] == 75_290
    assert sum(part["parameters"] for part in count_parts(network)) == 75_290


def test_frozen_layers_and_8_bit_rounding_change_nothing(network):
    for layer in network.layers:
        layer.trainable = False
    assert not network.trainable_weights and count_parameters(network.weights) == 75_290
    quantized = quantize(keras.models.clone_model(network))
    assert quantized.count_params() > network.count_params() and count_parameters(quantized.weights) == 75_290


def test_names_of_tf_keras_are_known():
    weights = [SimpleNamespace(name=f"stem_bn/{name}:0", shape=(4,)) for name in ("gamma", "beta", "moving_mean")]
    assert count_parameters(weights) == 8
