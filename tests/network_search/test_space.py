"""What a search chooses among: the networks of the registry, and what options leave of them."""

from pathlib import Path

import optuna
import pytest

from keras_resnet.config.spec import DataSpec, NetworkSpec, Spec
from keras_resnet.errors import UsageError
from keras_resnet.models.names import CIFAR, IMAGENET
from keras_resnet.network_search.candidates import Candidate
from keras_resnet.network_search.settings import SearchSettings
from keras_resnet.network_search.space import create_space, require_known
from keras_resnet.training.spec_request import build_spec


def space_of(size=224, fits_by="crop", layers=50, of=3, **settings):
    data = DataSpec("photos", image_size=size, channels=of, fit=fits_by)
    settings = SearchSettings(data="photos", budget="size<=1MB", **settings)
    return create_space(settings, Spec(network=NetworkSpec(layers), data=data), 5, lambda words: None)


def test_networks_are_those_of_the_registry():
    space = space_of()
    assert set(space.models) <= {*CIFAR, *IMAGENET} and {"resnet8", "resnet18", "resnet50d"} <= set(space.models)
    assert not any(name.startswith(("plain", "vgg")) for name in space.models)
    assert "resnet200" not in space.models, "it is more than twice a resnet50"
    counted = space.architectures(5)
    multiply_adds = [cost.multiply_adds for cost in counted.values()]
    assert multiply_adds == sorted(multiply_adds)
    assert {each.image_size for each in counted} == {112, 168, 224} and {each.channels for each in counted} == {1, 3}
    assert space.default.architecture in counted and space.default.recipe.epochs == 15


def test_options_narrow_it():
    given = {"image_size": ("48", "64x96"), "channels": (1,), "width": (0.5,), "fit": ("pad", "crop"), "epochs": 4}
    space = space_of(**given)
    assert space.image_sizes == ("48", "64x96") and space.widths == (0.5,) and space.channels == (1,)
    assert space.fits == ("pad", "crop") and space.epochs == (2, 4)
    assert space.default.architecture in space.architectures(5), "though it is another than kresnet train chooses"
    assert space_of(model=("plain20", "resnet20v2")).models == ("plain20", "resnet20v2")


def test_data_decide_sizes_channels_and_fits():
    assert space_of(size=8, layers=20).image_sizes == ("8", "12", "16")
    assert space_of(size=8, layers=20).widths == (0.5, 1.0, 1.5), "filters are rounded to multiples of 8"
    assert space_of(size=8, layers=20, width=(0.5, 0.25)).widths == (0.5,), "those are the same networks"
    assert space_of(of=5).channels == (5,) and space_of(fits_by="pad").fits == ("crop", "pad", "stretch")
    assert space_of(fits_by="crop").fits == ("crop",) and space_of(size=(64, 96)).image_sizes == ("64x96",)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": ("resnet21",)}, "21 is not a ResNet depth"),
        ({"depth": (21,)}, "21 is not a ResNet depth"),
        ({"model": ("resnot",)}, "unknown network"),
        ({"image_size": ("4",)}, "--image-size must be sizes of 8 to 16384 pixels"),
    ],
)
def test_what_does_not_exist_is_refused_before_data_are_read(settings, words):
    with pytest.raises(UsageError, match=words):
        require_known(SearchSettings(data="nowhere", budget="size<=1MB", **settings))


def test_proposals_are_options_of_a_training(tmp_path):
    space = space_of()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    architectures = space.architectures(5)
    for _ in range(5):
        candidate = space.propose(study.ask())
        assert candidate.architecture in architectures and Candidate.from_options(candidate.options()) == candidate
        spec = build_spec({"data": "digits", "weights": "none", **candidate.options()}, Path(tmp_path), print)
        assert spec.network.width == candidate.architecture.width
        assert spec.optimizer.learning_rate == candidate.recipe.learning_rate
        assert spec.training.epochs == candidate.recipe.epochs and spec.data.channels == candidate.architecture.channels
