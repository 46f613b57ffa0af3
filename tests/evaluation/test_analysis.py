"""What analysis.json says of a network and its data."""

import hashlib

import pytest
from samples import silent

import keras_resnet
from keras_resnet.data.dataset import TRAINING_SPLITS
from keras_resnet.data.load import load_dataset
from keras_resnet.evaluation.analysis import count_parts
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.models.flops import count_cost
from keras_resnet.models.names import parse_model_name
from keras_resnet.run.data_fingerprint import digest_fingerprint


def test_parts_add_up(trained):
    """As the catalog counts them, without building anything."""
    spec, model = trained.spec(), load_model(trained)
    size = spec.data.image_size
    cost = count_cost(spec.network, classes=10, input_shape=(size, size, 3))
    parts = count_parts(model)
    assert [part["part"] for part in parts] == ["stem", "stage1", "stage2", "stage3", "heads"]
    assert sum(part["multiply_adds"] for part in parts) == cost.multiply_adds
    assert sum(part["parameters"] for part in parts) == cost.trainable
    assert model.count_params() == cost.trainable + cost.statistics


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("vgg11_bn", [*(f"block{number}" for number in range(1, 6)), "fc1", "fc2", "heads"]),
        ("resnet20v2", ["stem", "stage1", "stage2", "stage3", "final", "heads"]),
        ("plain20", ["stem", "stage1", "stage2", "stage3", "heads"]),
        ("resnext50_32x4d", ["stem", "stage1", "stage2", "stage3", "stage4", "heads"]),
    ],
)
def test_parts_are_those_that_the_network_declares(name, parts):
    """And nothing is in none of them. The catalog counts independently."""
    model = keras_resnet.create_model(name, classes=3, input_shape=(32, 32, 3))
    cost = count_cost(parse_model_name(name), classes=3, input_shape=(32, 32, 3))
    found = count_parts(model)
    assert [part["part"] for part in found] == parts
    assert sum(part["multiply_adds"] for part in found) == cost.multiply_adds
    assert sum(part["parameters"] for part in found) == cost.trainable


def test_an_analysis_says_what_the_data_were(trained):
    """Made of the fingerprints that spec.json keeps, against the data themselves."""
    data = load_dataset(trained.spec().data, silent, TRAINING_SPLITS)
    for name, told in trained.analysis()["data"].items():
        split = data.splits[name]
        hashes = "".join(hashlib.sha256(each.tobytes()).hexdigest() for each in (split.labels, split.pixels))
        assert told == {
            "images": split.count,
            "of": "annotations and pixels",
            "sha256": hashlib.sha256(hashes.encode()).hexdigest(),
        }
        assert told == digest_fingerprint(trained.document()["data"][name])
