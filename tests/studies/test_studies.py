"""The studies: what they write and say, and that finished runs are not trained again."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from keras_resnet.config.recipes import RECIPES, get_recipe, with_epochs
from keras_resnet.errors import RunError, UsageError
from keras_resnet.run import Run
from keras_resnet.studies import plan
from keras_resnet.studies.degradation import degradation, summarize
from keras_resnet.studies.identity import identity
from keras_resnet.studies.plan import Trial, spec_for, with_sizes


def silent(message):
    pass


@pytest.fixture
def base(tfds_home):
    spec = get_recipe("he2015-cifar", quick=True)
    return with_epochs(replace(spec, data=replace(spec.data, data_dir=tfds_home)), 2)


@pytest.mark.slow
def test_degradation(base, tmp_path):
    said = []
    summary = degradation(base, ("plain8", "resnet8"), 2, tmp_path, said.append)
    assert {"figure.png", "figure.svg", "gradients.png", "gradients.svg"} <= {p.name for p in tmp_path.iterdir()}
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    rows = list(csv.DictReader((tmp_path / "curves.csv").open()))
    assert [(row["network"], row["seed"], row["epoch"]) for row in rows[:2]] == [
        ("plain8", "0", "1"),
        ("plain8", "0", "2"),
    ]
    assert len(rows) == 8
    run = Run(tmp_path / "resnet8-seed1")
    assert run.is_finished and run.spec().network.zero_gamma is False and run.spec().training.seed == 1
    assert abs(float(rows[-1]["training_error"]) - 100 * (1 - run.read_log()[-1]["accuracy"])) < 1e-6
    layers = [row["layer"] for row in csv.DictReader((tmp_path / "gradients.csv").open()) if row["network"] == "plain8"]
    assert layers == ["stem_conv"] + [f"stage{s}_unit1_conv{c}" for s in (1, 2, 3) for c in (1, 2)]
    (tmp_path / "summary.json").unlink()
    said.clear()
    assert degradation(base, ("plain8", "resnet8"), 2, tmp_path, said.append) == summary
    assert sum("is there already" in line for line in said) == 4
    with pytest.raises(RunError, match="trained with other settings"):
        degradation(base.override("optimizer.momentum", 0.5), ("plain8",), 1, tmp_path, silent)


@pytest.mark.slow
def test_identity(base, tmp_path):
    summary = identity(base, "resnet8", "resnet14", tmp_path, silent)
    assert summary["relative_difference_before_training"] <= 1e-5
    assert {"figure.png", "figure.svg", "curves.csv", "summary.json"} <= {p.name for p in tmp_path.iterdir()}
    assert Run(tmp_path / "resnet14-deepened").spec().network.depth == 14
    assert [len(curve) for curve in summary["training_error"].values()] == [2, 2, 2]
    with pytest.raises(UsageError, match="must be a deeper network of the kind"):
        identity(base, "resnet20", "plain56", tmp_path, silent)


class Logged:
    """A run of which only the errors matter."""

    def __init__(self, error):
        self._row = {"accuracy": 1 - error / 100, "val_accuracy": 0.5}

    def read_log(self):
        return [self._row]

    def classes(self):
        return tuple("0123456789")

    def spec(self):
        return get_recipe("he2015-cifar").override_all({"data.image_size": 32, "data.channels": 3})


def words(errors):
    """The sentences for {net: error of each seed}."""
    trials = [Trial(n, s, Logged(e) if e is not None else None) for n, es in errors.items() for s, e in enumerate(es)]
    return summarize(trials, tuple(errors))["words"]


def test_what_the_numbers_say():
    said = words({"plain20": [1.0], "plain56": [50.0], "resnet20": [1.0], "resnet56": [1.5]})
    assert "plain56 did worse in training than plain20: 50.0% error against 1.0%." in said
    assert "resnet56 did not do worse in training than resnet20: 1.5% error against 1.0%." in said
    assert "plain56 did worse in training than resnet56: 50.0% error against 1.5%." in said
    assert "no deviation is known" in said[-1]
    # Two points apart, but each seed is ten apart from the other.
    assert "did not do worse" in words({"plain20": [0.0, 10.0], "plain56": [2.0, 12.0]})[0]
    assert words({"plain20": [1.0, 1.2], "plain56": [4.0, 4.2]})[0].startswith("plain56 did worse")
    assert words({"plain20": [9.0], "plain56": [4.0]})[0].startswith("plain56 did better")
    assert words({"vgg19": [None], "vgg16": [3.0]})[0].startswith("vgg19 broke down")
    assert len(words({"vgg19": [3.0], "resnet34": [3.0]})) == 1  # of different kinds: not compared


def test_deviation_over_seeds():
    rows = summarize([Trial("plain20", s, Logged(e)) for s, e in enumerate((1.0, 3.0))], ("plain20",))["networks"]
    assert rows[0]["training_error"] == pytest.approx(2.0)
    assert rows[0]["training_error_deviation"] == pytest.approx(np.sqrt(2))


def test_vgg_has_its_rate_and_size(base):
    said = []
    sized = with_sizes(base, ("vgg19", "resnet34"), said.append)
    assert sized.data.image_size == 32
    assert with_sizes(base, ("resnet20",), said.append) == base
    assert with_sizes(base.override("data.image_size", 48), ("vgg19",), said.append).data.image_size == 48
    assert spec_for("vgg19", 0, sized, said.append).optimizer.learning_rate == 0.01
    assert spec_for("vgg19_bn", 0, sized, silent).optimizer.learning_rate == base.optimizer.learning_rate
    assert len(said) == 2
    assert spec_for("resnet34", 0, sized, silent, ("vgg19", "plain34")).network.shortcut == "A"
    assert spec_for("resnet34", 0, sized, silent, ("vgg19",)).network.shortcut == "auto"


def test_settings_of_all_networks(base):
    """What --set asks of the networks holds for each; what a family has no place for is said."""
    said = []
    narrow = base.override("network.width", 0.25).override("network.stem", "imagenet")
    networks = {net: spec_for(net, 0, narrow, said.append).network for net in ("vgg19", "plain34", "resnet34")}
    assert [network.width for network in networks.values()] == [0.25] * 3
    assert [network.stem for network in networks.values()] == ["auto", "imagenet", "imagenet"]
    assert not networks["resnet34"].zero_gamma and networks["plain34"].zero_gamma  # the recipe's, for shortcuts
    assert [line for line in said if "does not apply" in line] == ["vgg19: network.stem does not apply to it"]


def test_a_shorter_recipe_warms_up_in_proportion():
    spec = with_epochs(get_recipe("he2015-cifar", quick=True), 5)
    assert (spec.training.epochs, spec.optimizer.warmup_epochs) == (5, 1.0)
    assert with_epochs(get_recipe("he2015-cifar"), 5).training.steps is None


def test_recipe_of_the_paper():
    spec = RECIPES["he2015-cifar"].spec
    assert (spec.training.steps, spec.training.batch_size, spec.data.val_fraction) == (64_000, 128, 0.1)
    assert (spec.optimizer.weight_decay_mode, spec.optimizer.weight_decay, spec.optimizer.nesterov) == (
        "l2",
        1e-4,
        False,
    )


def test_a_broken_training_is_told_not_hidden(base, tmp_path):
    said = []
    trial = plan.run_trial(
        "plain8",
        0,
        spec_for("plain8", 0, base.override("optimizer.learning_rate", 1e30), silent),
        tmp_path,
        said.append,
    )
    assert trial.run is None and any("broke down" in line for line in said)
