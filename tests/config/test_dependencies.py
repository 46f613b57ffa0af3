"""A setting that has an effect only beside another one is refused without it, and taken with it."""

from operator import attrgetter

import pytest

from keras_resnet.config.dependencies import NEEDED, require_effect
from keras_resnet.config.settings import iterate_settings
from keras_resnet.config.spec import Spec
from keras_resnet.errors import SettingError
from keras_resnet.tasks import default_config

SETTINGS = {each.key: each for each in iterate_settings(Spec)}


def fulfilled(key):
    """A spec in which `key` has an effect."""
    needed = NEEDED[key]
    if needed.key == "task":
        return default_config(needed.values[0])
    return Spec().override(needed.key, needed.values[0] if needed.values else "a run")


@pytest.mark.parametrize("key", NEEDED)
def test_each_is_taken_with_what_it_needs(key):
    needed = NEEDED[key]
    assert key in SETTINGS and set(needed.values) <= set(SETTINGS[needed.key].choices)
    require_effect(fulfilled(key), [key])


@pytest.mark.parametrize("key", NEEDED)
def test_each_is_refused_without_it(key):
    needed = NEEDED[key]
    others = [each for each in SETTINGS[needed.key].choices if each not in needed.values]
    if needed.key == "task":
        spec = default_config(others[0])
    else:
        spec = Spec().override(needed.key, others[0]) if others else Spec()
    with pytest.raises(SettingError, match=f"{key} has an effect only with --") as caught:
        require_effect(spec, [key])
    value = attrgetter(needed.key)(spec)
    assert str(caught.value).endswith(f"; here it is {value}") is (value is not None)
    require_effect(spec, [])


def test_epochs_and_steps_exclude_each_other():
    with pytest.raises(SettingError, match=r"takes no training\.epochs"):
        require_effect(Spec(), ["training.steps", "training.epochs"])
