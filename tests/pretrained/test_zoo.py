"""Networks by name: their help, and pretrained weights."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import keras_resnet as kr
from keras_resnet.errors import UsageError, WeightsError
from keras_resnet.pretrained import hub

ZOO = [name for name in kr.__all__ if name.startswith(("ResNet", "Plain", "VGG"))]


@pytest.mark.parametrize("name", ZOO)
def test_help_shows_the_signature_and_what_it_takes(name):
    function = getattr(kr, name)
    assert function.__name__ == name and function.__doc__.startswith(f"Return {name} (")
    parameters = inspect.signature(function).parameters
    assert {"weights", "classes", "input_shape", "normalization", "dtype"} <= set(parameters)
    assert parameters["classes"].default == 1000 and "weights: " in function.__doc__
    if function is kr.ResNet50:
        assert "- zero_gamma: Start residual units as identities" in function.__doc__
        assert parameters["stem"].kind is inspect.Parameter.KEYWORD_ONLY and parameters["stem"].default == "auto"
        assert "stem: Literal['auto', 'imagenet', 'deep', 'cifar'] = 'auto'" in str(inspect.signature(function))
        assert all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in parameters.values())


def test_a_network_is_filled_from_a_file(tmp_path):
    options = {"classes": 3, "input_shape": (32, 32, 3)}
    first = kr.ResNet8(**options)
    first.save(tmp_path / "first.keras")
    again = kr.ResNet8(weights=tmp_path / "first.keras", **options)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    assert np.array_equal(first.predict_on_batch(pixels), again.predict_on_batch(pixels))
    with pytest.raises(WeightsError, match="are not of resnet20: they hold nothing for"):
        kr.ResNet20(weights=str(tmp_path / "first.keras"), **options)


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("ResNet50", "torchvision", r"cannot download resnet50-11ad3fa6\.pth: .* cannot be reached"),
        ("VGG16", "keras", "cannot download keras:vgg16: .* cannot be reached"),
        ("ResNet18", "timm:resnet18.a1_in1k", "cannot download timm:resnet18.a1_in1k: .* cannot be reached"),
        ("ResNet8", "torchvision", "torchvision has no weights 'resnet8'"),
        ("ResNet18", "hf:joe", "a repository of the Hugging Face hub is named hf:USER/NAME"),
        ("ResNet50", "imagenet", "weights must be a source, such as 'torchvision', 'keras' or 'timm:"),
    ],
)
def test_what_cannot_be_had_is_said_in_a_sentence(name, weights, said, monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "is_reachable", lambda host: False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises((WeightsError, UsageError), match=f"^{said}"):
        getattr(kr, name)(weights=weights)


def test_the_normalization_is_that_of_the_weights(monkeypatch):
    source = kr.ResNet18(classes=1000, input_shape=(64, 64, 3), stem="imagenet")
    from keras_resnet.pretrained import load
    from keras_resnet.pretrained.weights import IMAGENET_NORMALIZATION, Weights

    layers = {layer.name: layer.get_weights() for layer in source.layers if layer.weights}
    weights = Weights(layers, None, IMAGENET_NORMALIZATION)
    monkeypatch.setattr(load, "fetch_weights", lambda origin: weights)
    options = {"weights": "torchvision", "input_shape": (64, 64, 3), "stem": "imagenet"}
    model = kr.ResNet18(**options)
    own = kr.ResNet18(normalization=kr.Normalization((0.0,) * 3), **options)
    mean = np.float32([IMAGENET_NORMALIZATION.mean] * 64 * 64).reshape(1, 64, 64, 3)
    assert np.allclose(model.get_layer("normalize")(mean), 0, atol=1e-4)
    assert not np.allclose(own.get_layer("normalize")(mean), 0, atol=1e-4)


def test_all_names_can_be_imported():
    assert set(kr.__all__) <= set(dir(kr)) and all(getattr(kr, name) is not None for name in dir(kr))


def test_of_export_the_functions_and_classes_are_listed_all_that_the_api_page_describes():
    assert dir(kr.export) == kr.export.__all__
    assert [name for name in dir(kr.export) if not callable(getattr(kr.export, name))] == []
    page = (Path(__file__).parents[2] / "docs" / "api.rst").read_text(encoding="utf-8")
    described = re.findall(
        r"^[.][.] auto(?:class|function):: keras_resnet[.]export[.][\w.]+[.](\w+)", page, re.MULTILINE
    )
    # Two of the functions are called like the modules that they are in.
    assert len(described) > 15 and set(described) - set(dir(kr.export)) == {"verify"}
