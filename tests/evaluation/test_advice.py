"""Advice after a weak training: each check with a case that it is for, and that case mended, of which it is silent."""

import shlex
from dataclasses import replace

import pytest

from keras_resnet.cli.next_steps import log_advice
from keras_resnet.cli.train import train as kresnet_train
from keras_resnet.config.settings import iterate_settings
from keras_resnet.config.spec import NetworkSpec, Spec, StartSpec, TrainingSpec
from keras_resnet.evaluation import advice
from keras_resnet.evaluation.advice import Advice, TrainingFacts, advise, advised_command
from keras_resnet.metrics.outcome import ABOVE, NOT_ABOVE, UNCLEAR
from keras_resnet.pretrained.hub import cache_folder
from keras_resnet.run.command import changed_command, training_command


def losses(*values, **more):
    return [{"val_loss": value, "accuracy": 0.7, "val_accuracy": 0.65, **more} for value in values]


def analyzed(recall=0.6, trivial=ABOVE, forest=ABOVE):
    def baseline(name, is_trivial, standing):
        return {"baseline": name, "trivial": is_trivial, "standing": standing, "value": 0.8, "model_value": 0.65}

    return {
        "by_class": [{"label": "cat", "images": 9, "recall": 0.9}, {"label": "dog", "images": 4, "recall": recall}],
        "baselines": [baseline("always predicting 'cat'", True, trivial), baseline("a forest", False, forest)],
    }


# A network for ImageNet on photographs: plenty of them, converged, and nothing special about its weak result.
FACTS = TrainingFacts(
    spec=Spec(network=NetworkSpec(18, stem="imagenet")),
    metric="top1",
    value=0.65,
    log=losses(2.0, 1.2, 1.2),
    analysis=analyzed(),
    classes=2,
    images=5000,
    labels={"cat": 4000, "dog": 1000},
)


@pytest.mark.parametrize(
    ("check", "changes", "mended", "words"),
    [
        (
            advice.suggest_pretrained_weights,
            {"images": 60},
            {"spec": replace(FACTS.spec, start=StartSpec(weights="torchvision:resnet18"))},
            "60 training images of 2 classes are few for a network that starts from random weights;"
            " pretrained ones need fewer: --weights torchvision:resnet18",
        ),
        (advice.suggest_pretrained_weights, {"images": 60}, {"spec": Spec(network=NetworkSpec(20, stem="cifar"))}, ""),
        (
            advice.suggest_pretrained_weights,
            {"images": 60, "weights_missed": True, "log": losses(2.0, 1.2, step=6)},
            {"images": 5000},
            "pretrained ones need fewer: download https://download.pytorch.org/models/resnet18-f37072fd.pth on a"
            f" computer with internet access, copy the file into {cache_folder()}, and train with --weights"
            " torchvision:resnet18",
        ),
        (
            advice.suggest_more_epochs,
            {"log": losses(2.0, 1.5, 1.2)},
            {"log": losses(2.0, 1.2, 1.199)},
            "the validation loss was still falling in the last epoch (1.5000 to 1.2000); train longer: --epochs 9",
        ),
        (
            advice.suggest_more_steps,
            {"analysis": analyzed(trivial=NOT_ABOVE), "log": losses(1.1, 1.1, step=6)},
            {"analysis": analyzed(trivial=NOT_ABOVE), "log": losses(1.1, 1.1, step=600)},
            "not clearly better than always predicting 'cat' after only 6 steps; train longer: --epochs 100",
        ),
        (
            advice.suggest_learning_rate,
            {"analysis": analyzed(trivial=NOT_ABOVE), "command": "kresnet train --depth 18 --data photos"},
            {"analysis": analyzed()},
            "not clearly better than always predicting 'cat'; check the labels, and try learning rates:"
            " kresnet train --depth 18 --data photos --find-lr",
        ),
        (
            advice.suggest_class_weights,
            {"analysis": {**analyzed(), "metrics": {"macro_recall": 0.5}}},
            {"spec": Spec(network=NetworkSpec(18, stem="imagenet"), training=TrainingSpec(sampling="sqrt"))},
            "accuracy is 65%, but the mean recall of the classes only 50%: rare classes are missed; let them count",
        ),
        (
            advice.suggest_images_of_class,
            {"analysis": analyzed(recall=0.0), "labels": {"cat": 4000, "dog": 7}, "value": 0.95},
            {"analysis": analyzed(recall=0.25)},
            "none of the 4 validation images of class 'dog' was recognized; add images of it (there are 7 training"
            " images)",
        ),
        (
            advice.suggest_augmentation,
            {"log": losses(1.2, 1.2, accuracy=0.99)},
            {"log": losses(1.2, 1.2, accuracy=0.7)},
            "accuracy is 99% on the training images and 65% on others; add images, or vary them:",
        ),
        (
            advice.suggest_longer_training,
            {"analysis": analyzed(forest=NOT_ABOVE)},
            {"analysis": analyzed(forest=UNCLEAR)},
            "your network reaches top-1 accuracy 65.00%, a forest 80.00%; train longer: --epochs 9, or start from"
            " pretrained weights: --weights torchvision:resnet18",
        ),
        (
            advice.suggest_longer_training,
            {"analysis": analyzed(forest=NOT_ABOVE), "weights_missed": True},
            {"analysis": analyzed(forest=UNCLEAR)},
            f"copy the file into {cache_folder()}, and train with --weights torchvision:resnet18",
        ),
    ],
)
def test_each_check(check, changes, mended, words):
    assert check in advice.CHECKS
    weak = replace(FACTS, **changes)
    if words:
        assert words in check(weak)
        assert next(filter(None, (each(weak) for each in advice.CHECKS))) == check(weak), "it is the first to speak"
    assert check(replace(weak, **mended)) == "" == check(FACTS)


def test_each_check_is_tested():
    assert set(advice.CHECKS) == {case[0] for case in test_each_check.pytestmark[0].args[1]}


def test_a_good_result_needs_no_advice():
    good = replace(FACTS, value=0.97, log=losses(2.0, 1.0, 0.5), images=60)
    assert not any(check(good) for check in advice.CHECKS)


def test_of_a_class_of_one_image_it_is_the_only_one():
    rows = [{"label": "wasp", "images": 1, "recall": 0.0}, {"label": "bee", "images": 9, "recall": 0.0}]
    said = advice.suggest_images_of_class(replace(FACTS, value=0.9, analysis={"by_class": rows}, labels={"wasp": 1}))
    assert said == (
        "the only validation image of class 'wasp' was not recognized; add images of it (there is 1 training image);"
        " the same holds for 1 other class"
    )


@pytest.mark.parametrize("recall", [0.0, 0.4])
def test_objects_that_are_never_found(recall):
    rows = [{"label": "ring", "objects": 8, "AP": recall}, {"label": "bar", "objects": 0, "AP": None}]
    found = replace(FACTS, spec=Spec(), metric="box mAP", value=0.4, analysis={"by_class": rows})
    expected = (
        "none of the 8 validation objects of class 'ring' was recognized; add images of it" if recall == 0 else ""
    )
    assert next(filter(None, (check(found) for check in advice.CHECKS)), "") == expected


def test_advice_on_a_run(trained, monkeypatch):
    analysis = {**trained.analysis(), "baselines": []}
    monkeypatch.setattr(type(trained), "analysis", lambda run: analysis)
    assert advise(trained) == []
    monkeypatch.setattr(advice, "WEAK_ACCURACY", 1.01)
    monkeypatch.setattr(advice, "STILL_FALLING", -1.0)
    monkeypatch.setattr(type(trained), "read_log", lambda run: losses(2.0, 1.0))
    assert advise(trained)[0].startswith("the validation loss was still falling in the last epoch (2.0000 to 1.0000)")


@pytest.mark.parametrize(
    ("changes", "flag", "typed"),
    [
        ({"training.epochs": 24}, "", ["--epochs 24"]),
        ({"training.class_weights": "balanced"}, "", ["--epochs 8", "--class-weights balanced"]),
        ({"augment.auto_augment": "trivialaugment"}, "", ["--epochs 8", "--auto-augment trivialaugment"]),
        ({"start.weights": "torchvision:resnet18"}, "", ["--epochs 8", "--weights torchvision:resnet18"]),
        ({}, "--find-lr", ["--epochs 8", "--find-lr"]),
    ],
)
def test_the_command_has_what_is_advised(trained, capsys, monkeypatch, changes, flag, typed):
    given = [Advice("do better", changes, flag)]
    command = advised_command(trained, given)
    assert all(command.count(f" {words.split()[0]}") == 1 and f" {words}" in command for words in typed)
    kresnet_train.make_context("train", shlex.split(command)[2:])  # which refuses what it cannot read
    monkeypatch.setattr(advice, "advise", lambda run: given)
    log_advice(trained, "my runs")
    assert capsys.readouterr().err.splitlines() == ["advice: do better", f"        {command} --runs 'my runs'"]
    assert advised_command(trained, [Advice("add images")]) is None


def test_every_option_in_an_advice_is_in_its_changes():
    options = {each.key: each.option.flag for each in iterate_settings(Spec) if each.option}
    for check, changes, _, words in test_each_check.pytestmark[0].args[1]:
        if words:
            said = check(replace(FACTS, **changes))
            named = [*(options[key] for key in said.changes), *filter(None, [said.flag])]
            assert all(name in said for name in named) and bool(named) == ("--" in said)


def test_steps_that_decide_the_epochs_give_way_to_them():
    spec = replace(Spec(), training=TrainingSpec(epochs=2))
    command = changed_command(spec, {"training.steps": 60, "network.depth": 20}, {"training.epochs": 6})
    assert command == "kresnet train --depth 20 --data digits --epochs 6"


def test_after_a_training_without_a_network_the_command_is_what_the_sentence_says():
    """Such a training began with random weights only because no others could be had; its command does not ask for them,
    as the command in its report does, which repeats it."""
    request = {"data.source": "photos", "network.depth": 18}
    spec = Spec(network=NetworkSpec(18)).override_all({"data.source": "photos", "data.image_size": 96})
    assert training_command(spec, request) == "kresnet train --depth 18 --data photos --epochs 15 --weights none"
    longer = changed_command(spec, request, {"training.epochs": 45})
    assert longer == "kresnet train --depth 18 --data photos --epochs 45"
    weak = replace(FACTS, images=60, weights_missed=True)
    said = advice.suggest_pretrained_weights(weak)
    command = changed_command(spec, request, said.changes)
    assert said.endswith("--weights torchvision:resnet18") and command.endswith("--weights torchvision:resnet18")
    asked = changed_command(spec, {**request, "start.weights": "none"}, {"training.epochs": 45})
    assert "--weights none" in asked


def test_classes_that_are_never_found_are_named_whatever_else_is_wrong(trained, monkeypatch):
    monkeypatch.setattr(type(trained), "analysis", lambda run: analyzed(recall=0.0))
    monkeypatch.setattr(advice, "CHECKS", (lambda facts: Advice("train longer"),))
    assert advise(trained) == [
        "train longer",
        "none of the 4 validation images of class 'dog' was recognized; add images of it",
    ]
    words = "the model never recognizes 1 class ('dog'), so no verdict says anything about it"
    assert advice.describe_missed_classes(trained) == words
    monkeypatch.setattr(type(trained), "analysis", lambda run: analyzed())
    assert advise(trained) == ["train longer"] and advice.describe_missed_classes(trained) == ""
