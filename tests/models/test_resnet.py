"""Networks: counted against the published numbers, built alike under both Kerases, ordinary Keras models."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.config.spec import NetworkSpec
from keras_resnet.errors import UsageError
from keras_resnet.models.resnet import choose_stem

CLASSES = ("a", "b", "c")


@pytest.mark.parametrize(("depth", "near"), [(51, 50), (151, 152), (17, 18), (21, 20), (0, 8), (-4, 8)])
def test_unknown_depth_suggests(depth, near):
    with pytest.raises(UsageError, match=f"^{depth} is not a ResNet depth.*did you mean {near}\\?$"):
        keras_resnet.resnet(depth)


def test_stem_follows_the_image_size():
    assert choose_stem(NetworkSpec(50), 32)[0] == "cifar"
    assert choose_stem(NetworkSpec(50), 224)[0] == "imagenet"
    assert choose_stem(NetworkSpec(50, stem="imagenet"), 32) == ("imagenet", "set in the spec")


@pytest.mark.parametrize(("strides", "conv"), [("3x3", "conv2"), ("1x1", "conv1")])
def test_strides(strides, conv):
    model = keras_resnet.ResNet50(classes=3, input_shape=(32, 32, 3), strides=strides)
    strided = [layer.name for layer in model.layers if getattr(layer, "strides", None) == (2, 2)]
    assert f"stage2_unit1_{conv}" in strided
    assert sum("proj" not in name for name in strided) == 3


def test_blocks_start_as_identities():
    model = keras_resnet.ResNet18(classes=3, input_shape=(32, 32, 3))
    gammas = {layer.name: layer.gamma.numpy() for layer in model.layers if layer.name.endswith("norm2")}
    assert len(gammas) == 8
    assert all((gamma == 0).all() for gamma in gammas.values())


def test_normalization_is_in_the_model():
    with_it = keras_resnet.ResNet20(classes=3, input_shape=(16, 16, 3))
    without = keras_resnet.ResNet20(classes=3, input_shape=(16, 16, 3), normalization=None)
    without.set_weights(with_it.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(with_it(pixels), without((pixels - 127.5) / 127.5), rtol=1e-4, atol=1e-5)


RELOAD = """
import sys, numpy as np, keras
x = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype("uint8")
model = keras.saving.load_model(sys.argv[1] + "/m.keras")
np.testing.assert_allclose(model.predict(x, verbose=0), np.load(sys.argv[1] + "/out.npy"), rtol=1e-5, atol=1e-5)
assert "keras_resnet" not in sys.modules
"""


def test_what_is_saved_is_loaded_by_plain_keras(tmp_path):
    model = keras_resnet.resnet(8, classes=3, input_shape=(16, 16, 3))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    x = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype("uint8")
    model.fit(x, np.arange(8) % 3, epochs=1, verbose=0)
    model.save(tmp_path / "m.keras")
    np.save(tmp_path / "out.npy", model.predict(x, verbose=0))
    subprocess.run([sys.executable, "-c", RELOAD, str(tmp_path)], check=True)
