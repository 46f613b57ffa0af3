"""Each setting is declared once: the options, the schema and the errors come from there."""

import json
from dataclasses import replace

import pytest

from keras_resnet.config.option_groups import GROUPS
from keras_resnet.config.settings import iterate_settings
from keras_resnet.config.spec import AugmentSpec, NetworkSpec, Spec, TrainingSpec, spec_schema
from keras_resnet.errors import SettingError, UsageError

SETTINGS = list(iterate_settings(Spec))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_a_setting_says_what_it_is(setting):
    assert setting.help.endswith(".") and setting.help[0].isupper()
    spec = Spec()
    for name in setting.key.split("."):
        spec = getattr(spec, name)
    assert spec == setting.default
    if setting.choices and not setting.is_list:
        assert setting.default in setting.choices or (setting.default is None and setting.is_optional)
    if setting.option:
        assert setting.option.flag.startswith("--") and setting.option.group in GROUPS


def test_no_option_is_declared_twice():
    flags = [setting.option.flag for setting in SETTINGS if setting.option]
    assert len(flags) == len(set(flags)) > 50


@pytest.mark.parametrize("setting", [each for each in SETTINGS if each.kind in (int, float)], ids=lambda each: each.key)
def test_text_is_no_number(setting):
    with pytest.raises(SettingError, match=rf"^{setting.key} must be a (list of )?(whole )?numbers?.*Received: 'many'"):
        Spec().override(setting.key, "many")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("training.epochs", 0, "training.epochs must be 1 or more. Received: 0"),
        ("training.epochs", 1.5, "training.epochs must be a whole number, 1 or more. Received: 1.5"),
        ("training.epochs", True, "training.epochs must be a whole number, 1 or more. Received: True"),
        ("optimizer.learning_rate", 0, "optimizer.learning_rate must be above 0. Received: 0"),
        ("augment.mosaic", 2.0, "augment.mosaic must be 0 to 1. Received: 2.0"),
        ("network.drop_path", 1.0, "network.drop_path must be 0 or more and below 1. Received: 1.0"),
        ("data.image_size", 4, "data.image_size must be 8 to 16384 pixels, or HEIGHTxWIDTH as in 480x640. Received: 4"),
        ("augment.train_sizes", (32, 4), "augment.train_sizes must be 8 or more pixels each. Received: 4"),
        ("optimizer.milestones", (0.5, 0.2), "optimizer.milestones must be rising shares between 0 and 1."),
        ("data.normalization.std", (1.0, 0.0, 1.0), "data.normalization.std must be a number above 0 for each"),
        ("start.freeze", (1,), "start.freeze must be a list of words. Received: (1,)"),
        ("network.preactivation", 1, "network.preactivation must be true or false. Received: 1"),
        ("data.source", 3, "data.source must be text. Received: 3"),
        ("optimizer.name", "adamv", "optimizer.name must be one of sgd, adamw, lamb, muon. Received: 'adamv'. Did you"),
        ("network.family", "resnext", "network.family must be one of resnet, plain, vgg. Received: 'resnext'."),
        ("log.track", ("wandb", "x"), "log.track must be one of mlflow, wandb. Received: 'x'"),
        ("training", 3, "training must be a group of settings"),
        ("training.epochs.x", 3, "'training.epochs.x' reaches into 'epochs', which is a plain value"),
        ("trainign.epochs", 3, "unknown key 'trainign.epochs' in the spec."),
        (
            "training.epoch",
            3,
            "unknown key 'training.epoch' in the spec. Did you mean 'training.epochs'? Known: training.epochs, ",
        ),
    ],
)
def test_an_error_is_one_sentence(key, value, words):
    with pytest.raises(UsageError) as raised:
        Spec().override(key, value)
    assert str(raised.value).startswith(words) and "\n" not in str(raised.value)


def test_constructors_and_copies_are_checked_as_well():
    for make in (
        lambda: TrainingSpec(epochs=0),
        lambda: TrainingSpec(0),
        lambda: replace(TrainingSpec(), epochs=0),
        lambda: Spec.from_dict({"training": {"epochs": 0}}),
    ):
        with pytest.raises(SettingError, match=r"^training\.epochs must be 1 or more\. Received: 0$"):
            make()
    with pytest.raises(SettingError, match=r"unknown key 'network\.deep'"):
        NetworkSpec(deep=3)


def test_whole_numbers_and_lists_become_what_is_declared():
    spec = Spec.from_json('{"optimizer": {"learning_rate": 1}, "augment": {"train_sizes": [16, 8]}}')
    assert isinstance(spec.optimizer.learning_rate, float) and spec.augment == AugmentSpec(train_sizes=(16, 8))


def test_changes_are_checked_together():
    """A warm-up longer than the epochs before, shorter than those after."""
    spec = Spec().override_all({"optimizer.warmup_epochs": 20.0, "training.epochs": 30})
    assert (spec.optimizer.warmup_epochs, spec.training.epochs) == (20.0, 30)
    with pytest.raises(SettingError, match=r"optimizer\.warmup_epochs must be below training\.epochs \(15\)"):
        Spec().override("optimizer.warmup_epochs", 20.0)


def test_the_schema_holds_keys_bounds_options_and_help(kresnet):
    code, out, _ = kresnet("schema")
    schema = json.loads(out)
    assert code == 0 and schema == spec_schema()
    training = schema["$defs"]["TrainingSpec"]
    assert training["additionalProperties"] is False
    epochs = training["properties"]["epochs"]
    assert (epochs["type"], epochs["minimum"], epochs["default"], epochs["option"]) == ("integer", 1, 15, "--epochs")
    assert schema["$defs"]["OptimizerSpec"]["properties"]["name"]["enum"] == ["sgd", "adamw", "lamb", "muon"]
    described = {f"{name}.{key}" for name, each in schema["$defs"].items() for key in each["properties"]}
    assert len(described) + 1 >= len(SETTINGS) and schema["properties"]["task"]["enum"][0] == "classify"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", "0"], "--epochs must be 1 or more. Received: 0"),
        (["--learning-rate", "-1"], "--learning-rate must be above 0. Received: -1.0"),
        (
            ["--optimizer", "adamv"],
            "--optimizer must be one of sgd, adamw, lamb, muon. Received: 'adamv'. Did you mean",
        ),
        (["--set", "training.epochs=0"], "training.epochs must be 1 or more. Received: 0"),
        (["--epochs", "3", "--set", "training.epochs=0"], "training.epochs must be 1 or more. Received: 0"),
        (
            ["--train-sizes", "8,16", "--image-size", "8"],
            "--train-sizes must be at most --image-size (8). Received: (8, ",
        ),
        (["--train-sizes", "8,x"], "--train-sizes must be whole numbers with commas between. Received: '8,x'"),
    ],
)
def test_an_error_names_the_option_that_was_typed(kresnet, tmp_path, options, words):
    code, out, err = kresnet("train", "--runs", tmp_path, *options)
    assert (code, out) == (2, "") and err[-1].startswith(f"kresnet: {words}")
