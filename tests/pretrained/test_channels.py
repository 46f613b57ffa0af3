"""The first convolution of weights for colors, adapted to images of other channels as timm does."""

import keras
import numpy as np
import pytest

from keras_resnet.config.spec import NetworkSpec, Normalization
from keras_resnet.errors import WeightsError
from keras_resnet.models.build import build_classifier
from keras_resnet.models.layers import Layers
from keras_resnet.pretrained.load import assign_weights
from keras_resnet.pretrained.weights import Weights

EQUAL = Normalization((120.0,) * 3, (60.0,) * 3)


def network(channels, depth=8, **fields):
    shape = (16, 24, channels)
    return build_classifier(
        Layers(keras), NetworkSpec(depth, **fields), classes=3, input_shape=shape, normalization=EQUAL
    )


def weights_of(model):
    return Weights({layer.name: layer.get_weights() for layer in model.layers if layer.weights}, None)


def adapted(channels, from_channels=3):
    source, target = network(from_channels), network(channels)
    report = str(assign_weights(target, weights_of(source), "of the other"))
    return source, target, report


def test_gray_images_get_the_answers_of_the_same_in_colors():
    source, target, report = adapted(1)
    gray = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 1)).astype("float32")
    np.testing.assert_allclose(target(gray), source(np.repeat(gray, 3, axis=-1)), atol=1e-4)
    assert "kernels of stem_conv summed, from 3 channels to 1" in report


@pytest.mark.parametrize(
    "channels", [pytest.param(2, marks=pytest.mark.slow), 4, pytest.param(7, marks=pytest.mark.slow)]
)
def test_many_channels_repeat_the_kernels(channels):
    source, target, report = adapted(channels)
    (kernel,), (ours,) = (model.get_layer("stem_conv").get_weights() for model in (source, target))
    for channel in range(channels):
        np.testing.assert_allclose(ours[:, :, channel], kernel[:, :, channel % 3] * 3 / channels, rtol=1e-6)
    assert f"kernels of stem_conv repeated and scaled, from 3 channels to {channels}" in report


def test_weights_for_gray_images_serve_colors():
    source, target, _ = adapted(3, from_channels=1)
    gray = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 1)).astype("float32")
    np.testing.assert_allclose(source(gray), target(np.repeat(gray, 3, axis=-1)), atol=1e-4)


def test_the_same_channels_are_left_alone():
    _, _, report = adapted(3)
    assert "kernels" not in report


def test_another_stem_is_still_refused():
    with pytest.raises(WeightsError, match="stem_conv first"):
        assign_weights(network(1, width=2.0), weights_of(network(3)), "of the other")


def test_networks_by_name_take_any_channels():
    import keras_resnet

    model = keras_resnet.ResNet8(classes=3, input_shape=(16, 24, 1))
    assert model.get_layer("stem_conv").kernel.shape[2] == 1 and model.output_shape == (None, 3)
