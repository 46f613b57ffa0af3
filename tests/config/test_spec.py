import json

import pytest

from keras_resnet.config.spec import NetworkSpec, Spec
from keras_resnet.errors import UsageError


def test_round_trip():
    spec = Spec(network=NetworkSpec(depth=20)).override("data.image_size", 32)
    assert Spec.from_json(spec.to_json()) == spec


def test_unknown_key_names_the_nearest():
    with pytest.raises(UsageError, match=r"Did you mean 'optimizer\.learning_rate'"):
        Spec().override("optimizer.learnin_rate", 1.0)
    raw = json.loads(Spec().to_json())
    raw["training"]["epoch"] = 3
    with pytest.raises(UsageError, match=r"training\.epoch.*Did you mean 'training\.epochs'"):
        Spec.from_json(json.dumps(raw))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.epochs", 0),
        ("training.batch_size", 0),
        ("optimizer.learning_rate", -0.1),
        ("optimizer.learning_rate", 0.0),
        ("data.val_fraction", 1.0),
        ("data.max_unreadable", -0.1),
        ("network.strides", "2x2"),
        ("training.precision", "float8"),
        ("optimizer.warmup_epochs", 15.0),
        ("optimizer.milestones", ()),
        ("data.normalization.mean", (127.5, 127.5)),
        ("data.image_size", 20_000),
        ("network.depth", 600_002),
        ("head.convs", 10**9),
    ],
)
def test_bad_values_say_what_is_allowed(key, value):
    with pytest.raises(UsageError, match=r"must be .*Received"):
        Spec().override(key, value)


@pytest.mark.parametrize("key", ["optimizer.learning_rate", "network.width", "training.epochs"])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400])
def test_numbers_that_no_array_holds_are_refused(key, value):
    with pytest.raises(UsageError, match=rf"{key} must be a (finite number|whole number below 2\*\*63)\. Received: "):
        Spec().override(key, value)
