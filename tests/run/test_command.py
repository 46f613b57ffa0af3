"""The command of a report makes the same spec again."""

import dataclasses
import shlex

import pytest
from samples import silent

from keras_resnet.cli.train import train
from keras_resnet.config.given_options import select_given
from keras_resnet.config.provenance import Provenance, current_request, use_provenance
from keras_resnet.config.spec import NetworkSpec, OptimizerSpec, Spec, TrainingSpec
from keras_resnet.run.command import changed_command, find_request, training_command
from keras_resnet.tasks import default_config
from keras_resnet.training.spec_request import build_spec, trace_spec

# As typed, and as a report writes it.
TYPED = {
    "--depth 50 --data digits --epochs 15": "--depth 50 --data digits --epochs 15",
    "--depth 8 --epochs 3 --learning-rate 0.2 --flip": "--depth 8 --data digits --epochs 3 --learning-rate 0.2 --flip",
    "--no-flip --depth 20 --freeze stem,stage1": "--depth 20 --data digits --epochs 15 --freeze stem,stage1 --no-flip",
    "--recipe timm-a2 --quick": "--recipe timm-a2 --quick --data digits",
    "--model plain34 --epochs 2 --set optimizer.momentum=0.8": (
        "--model plain34 --data digits --epochs 2 --set optimizer.momentum=0.8"
    ),
    "--task detect --depth 18 --data shapes": "--task detect --depth 18 --data shapes --epochs 24",
    "--data 'my photos' --depth 8 --deterministic": "--depth 8 --data 'my photos' --epochs 15 --deterministic",
}


def spec_of(words, home):
    """(spec, request) of the options of a training."""
    context = train.make_context("train", list(words))
    others = ("name", "resume", "runs", "as_json", "data_changed", "find_lr", "find_batch_size")
    given = select_given({name: value for name, value in context.params.items() if name not in others})
    spec = build_spec(given, home, silent)
    with use_provenance(trace_spec(given, home)):
        return spec, current_request()


@pytest.mark.parametrize("typed", TYPED)
def test_what_was_typed_comes_back(typed, tmp_path):
    spec, request = spec_of(shlex.split(typed), tmp_path)
    command = training_command(spec, request)
    assert sorted(shlex.split(command)) == sorted(["kresnet", "train", *shlex.split(TYPED[typed])])
    assert spec_of(shlex.split(command)[2:], tmp_path)[0] == spec


@pytest.mark.parametrize(
    "spec",
    [
        Spec(),
        Spec(network=NetworkSpec(depth=8, stem="cifar"), training=TrainingSpec(epochs=3, seed=7)),
        Spec(optimizer=OptimizerSpec(name="adamw", learning_rate=1e-05)),
        dataclasses.replace(default_config("segment"), training=TrainingSpec(epochs=2, batch_size=4)),
    ],
)
def test_a_spec_of_a_script_becomes_a_command(spec, tmp_path):
    command = training_command(spec, find_request(spec))
    assert spec_of(shlex.split(command)[2:], tmp_path)[0] == spec
    assert command == training_command(spec)


def test_the_precision_that_was_chosen_is_named(tmp_path):
    spec, request = spec_of(("--depth", "8", "--data", "digits"), tmp_path)
    chosen = spec.override("training.precision", "mixed_bfloat16")
    assert training_command(chosen, request).endswith("--epochs 15 --precision mixed_bfloat16")
    better = changed_command(chosen, request, {"training.epochs": 45})  # which has what was typed alone
    assert better.endswith("--epochs 45") and "--precision" not in better


def test_a_request_is_known_only_where_it_was_made():
    assert current_request() is None
    with use_provenance(Provenance("of a run")):
        assert current_request() is None
