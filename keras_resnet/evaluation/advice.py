"""Advise what to change after a weak result: the first of a list of checks that has something to say, with its reason.

`CHECKS` registers them, the most likely cause first. A new one is a function and a line there.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_resnet.config.spec import Spec
from keras_resnet.data.class_sampling import CLASS_WEIGHTS_TRADE
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import ABOVE, NOT_ABOVE
from keras_resnet.models.names import model_name
from keras_resnet.pretrained.hub import TORCHVISION_HASHES, describe_copy, is_cached, resolve_recipe
from keras_resnet.run import Run
from keras_resnet.run.command import changed_command, looked_for_weights, name_next
from keras_resnet.run.documents import Analysis, BaselineRow
from keras_resnet.runtime.plurals import counted, verb

# Below these a result is called weak: of every ten images one is wrong; a mAP is lower where all is well, too.
WEAK_ACCURACY, WEAK_MAP = 0.9, 0.3
# So few training images for each class leave much to gain from pretrained weights.
FEW_IMAGES = 200
# The share by which the validation loss was still falling in the last epoch of a training that ended too early.
STILL_FALLING = 0.02
# How many of the classes that are never found are named.
MISSED_NAMED = 5
# Points by which macro recall is below accuracy where rare classes are missed.
HIDDEN_BY_FREQUENT = 0.1
# Points by which a network is better on its training images that it has learned by heart.
OVERFITTED = 0.15
# Steps below which a network has hardly learned anything, those that random weights need, and the most epochs that are
# suggested.
FEW_STEPS, ENOUGH_STEPS, MOST_EPOCHS = 100, 1000, 100


@dataclass(frozen=True)
class TrainingFacts:
    """What is known of a finished training. value: of its main metric, 0–1. log: the rows of log.jsonl. images: for
    training; None where the run does not tell. labels: how many of them, by class. command: that trains this again.
    weights_missed: whether pretrained weights were looked for and could not be had."""

    spec: Spec
    metric: str
    value: float
    log: Sequence[dict[str, Any]]
    analysis: Analysis
    classes: int
    images: int | None
    labels: dict[str, int]
    command: str = "kresnet train"
    weights_missed: bool = False

    @property
    def is_weak(self) -> bool:
        """Whether there is much to gain."""
        return self.value < (WEAK_MAP if "mAP" in self.metric else WEAK_ACCURACY)


class Advice(str):
    """A sentence. changes: values by key of the spec that a training as advised has. flag: what is typed behind its
    command, as --find-lr."""

    changes: Mapping[str, Any]
    flag: str

    def __new__(cls, sentence: str, changes: Mapping[str, Any] | None = None, flag: str = "") -> Advice:
        """Return the sentence with what it changes."""
        advice = super().__new__(cls, sentence)
        advice.changes, advice.flag = changes or {}, flag
        return advice


NOTHING = Advice("")
Check = Callable[[TrainingFacts], Advice]


def advise(run: Run) -> list[Advice]:
    """Return a sentence of advice on the training of a finished run, and one on classes that are never found, which
    the main metric may hide; nothing where nothing is wrong with it."""
    document = run.document()
    metrics, train, request = run.metrics(), document.get("data", {}).get("train"), document.get("request")
    facts = TrainingFacts(
        run.spec(),
        metrics["metric"],
        metrics["value"],
        run.read_log(),
        run.analysis(),
        len(run.classes()),
        train["images"] if train else None,
        dict(train.get("labels", {})) if train else {},
        changed_command(run.spec(), request, {}) or "kresnet train",
        looked_for_weights(run.spec(), request),
    )
    first = next((advice for check in CHECKS if (advice := check(facts))), NOTHING)
    return [each for each in dict.fromkeys((first, suggest_images_of_class(facts))) if each]


def advised_command(run: Run, advice: Sequence[Advice]) -> str | None:
    """Return the command that trains a finished `run` again with what the `advice` changes, under a new name where the
    run was given one; None where it changes nothing that can be typed, or the run is a compressed one."""
    changes = {key: value for each in advice for key, value in each.changes.items()}
    flags = [each.flag for each in advice if each.flag]
    if not changes and not flags:
        return None
    command = changed_command(run.spec(), run.document().get("request"), changes)
    name = [] if flags else name_next(run)  # trials of a --find make no run
    return " ".join([command, *map(shlex.quote, name), *flags]) if command else None


def describe_missed_classes(run: Run) -> str:
    """Return a sentence on the classes that the model of a finished run never finds; "" where there are none, or where
    the run has no analysis."""
    missed = [label for label, *_ in _missed_classes(run.analysis())] if run.analysis_file.is_file() else []
    if not missed:
        return ""
    names = ", ".join(map(repr, missed[:MISSED_NAMED])) + ", …" * (len(missed) > MISSED_NAMED)
    classes = counted(len(missed), "class", plural="classes")
    them = verb(len(missed), "it", "them")
    return f"the model never recognizes {classes} ({names}), so no verdict says anything about {them}"


def suggest_pretrained_weights(facts: TrainingFacts) -> Advice:
    """Suggest pretrained weights where a network began with random ones and had few images to learn from."""
    origin = _find_pretrained(facts.spec)
    if not facts.is_weak or not origin or facts.images is None or facts.images >= FEW_IMAGES * facts.classes:
        return NOTHING
    few = (
        f"{counted(facts.images, 'training image')} of {counted(facts.classes, 'class', plural='classes')} are few for"
        " a network that starts from random weights; pretrained ones need fewer"
    )
    return Advice(f"{few}: {_describe_start(facts, origin)}", {"start.weights": origin})


def suggest_more_epochs(facts: TrainingFacts) -> Advice:
    """Suggest more epochs where the validation loss was still falling in the last one: the training ended too early."""
    losses = [row["val_loss"] for row in facts.log]
    was_cut = facts.spec.training.stop_after is not None
    if was_cut or not facts.is_weak or len(losses) < 2 or losses[-1] > min(losses):
        return NOTHING
    before, last = losses[-2:]
    if before <= 0 or (before - last) / before < STILL_FALLING:
        return NOTHING
    return Advice(
        f"the validation loss was still falling in the last epoch ({before:.4f} to {last:.4f}); train longer: --epochs"
        f" {3 * len(losses)}",
        {"training.epochs": 3 * len(losses)},
    )


def suggest_more_steps(facts: TrainingFacts) -> Advice:
    """Suggest a longer training where the network is no better than a constant prediction after very few steps."""
    constant, steps = _find_unbeaten(facts.analysis, trivial=True), facts.log[-1].get("step") if facts.log else None
    if constant is None or steps is None or steps >= FEW_STEPS:
        return NOTHING
    epochs = _enough_epochs(facts)
    return Advice(
        f"the network is not clearly better than {constant['baseline']} after only {counted(steps, 'step')}; train"
        f" longer: --epochs {epochs}",
        {"training.epochs": epochs},
    )


def suggest_learning_rate(facts: TrainingFacts) -> Advice:
    """Suggest other learning rates where the network is no better than a constant prediction: it learned nothing."""
    constant = _find_unbeaten(facts.analysis, trivial=True)
    if constant is None:
        return NOTHING
    return Advice(
        f"the network is not clearly better than {constant['baseline']}; check the labels, and try learning rates:"
        f" {facts.command} --find-lr",
        flag="--find-lr",
    )


def suggest_class_weights(facts: TrainingFacts) -> Advice:
    """Suggest class weights where rare classes are recognized much less often than frequent ones."""
    values, training = facts.analysis.get("metrics", {}), facts.spec.training
    if "macro_recall" not in values or facts.value - values["macro_recall"] < HIDDEN_BY_FREQUENT:
        return NOTHING
    if training.class_weights != "none" or training.sampling != "natural":
        return NOTHING
    return Advice(
        f"accuracy is {facts.value:.0%}, but the mean recall of the classes only {values['macro_recall']:.0%}: rare"
        " classes are missed; let them count as much as the others: --class-weights balanced"
        f" ({CLASS_WEIGHTS_TRADE})",
        {"training.class_weights": "balanced"},
    )


def suggest_images_of_class(facts: TrainingFacts) -> Advice:
    """Suggest images of a class that is never found: it has too few of them, or looks like another."""
    missed = list(_missed_classes(facts.analysis))
    if not missed or suggest_more_epochs(facts) or suggest_longer_training(facts):  # which may be all that it lacks
        return NOTHING
    label, count, thing = missed[0]
    known = facts.labels.get(label)
    images = f" (there {verb(known)} {counted(known, 'training image')})" if known is not None else ""
    others = f"; the same holds for {counted(len(missed) - 1, 'other class', plural='other classes')}"
    if count == 1:
        fact = f"the only validation {thing} of class {label!r} was not recognized"
    else:
        fact = f"none of the {counted(count, f'validation {thing}')} of class {label!r} was recognized"
    return Advice(f"{fact}; add images of it{images}{others * (len(missed) > 1)}")


def suggest_augmentation(facts: TrainingFacts) -> Advice:
    """Suggest augmentation where the network is much better on its training images, which it learned by heart."""
    if not facts.is_weak or not facts.log or "accuracy" not in facts.log[-1] or facts.spec.task != "classify":
        return NOTHING
    trained, validated = facts.log[-1]["accuracy"], facts.log[-1]["val_accuracy"]
    if trained - validated < OVERFITTED:
        return NOTHING
    return Advice(
        f"accuracy is {trained:.0%} on the training images and {validated:.0%} on others; add images, or vary them:"
        " --auto-augment trivialaugment",
        {"augment.auto_augment": "trivialaugment"},
    )


def suggest_longer_training(facts: TrainingFacts) -> Advice:
    """Suggest a longer training, or pretrained weights where there are such, where a classifier of a few pixels does at
    least as well."""
    simple = _find_unbeaten(facts.analysis, trivial=False)
    if simple is None or simple["standing"] != NOT_ABOVE or facts.value >= 1:
        return NOTHING
    name, value, epochs = simple["baseline"], simple["value"], 3 * len(facts.log)
    metric = metric_label(facts.metric)
    reached = f"your network reaches {metric} {simple['model_value']:.2%}, {name} {value:.2%}"
    origin = _find_pretrained(facts.spec)
    if origin and facts.weights_missed:
        start = _describe_start(facts, origin)
        return Advice(f"{reached}; start from pretrained weights: {start}", {"start.weights": origin})
    pretrained = f", or start from pretrained weights: --weights {origin}" if origin else ""
    return Advice(f"{reached}; train longer: --epochs {epochs}{pretrained}", {"training.epochs": epochs})


CHECKS: tuple[Check, ...] = (
    suggest_pretrained_weights,
    suggest_more_steps,
    suggest_more_epochs,
    suggest_learning_rate,
    suggest_class_weights,
    suggest_images_of_class,
    suggest_augmentation,
    suggest_longer_training,
)


def _find_pretrained(spec: Spec) -> str:
    """Return the name of pretrained weights that a training of `spec` could have begun with; "" where it began with
    such, or there are none."""
    began = spec.start.weights or spec.start.deepen or spec.start.narrow
    name = model_name(spec.network)
    exists = name in TORCHVISION_HASHES and spec.network.stem != "cifar"
    return f"torchvision:{name}" if exists and not began else ""


def _describe_start(facts: TrainingFacts, origin: str) -> str:
    """Say how a training starts from the pretrained weights `origin`: by an option, and where this training could not
    have them, by a file that has to be copied first."""
    recipe = resolve_recipe(origin)
    copy = f"{describe_copy(recipe)}, and train with " if facts.weights_missed and not is_cached(recipe) else ""
    return f"{copy}--weights {origin}"


def _enough_epochs(facts: TrainingFacts) -> int:
    """Return how many epochs have the steps that random weights need; 0 where no steps are known."""
    steps = facts.log[-1].get("step") if facts.log else None
    return min(MOST_EPOCHS, -(-ENOUGH_STEPS * len(facts.log) // steps)) if steps else 0


def _find_unbeaten(analysis: Analysis, trivial: bool) -> BaselineRow | None:
    rows = analysis.get("baselines", [])
    return next((row for row in rows if row["trivial"] is trivial and row["standing"] != ABOVE), None)


def _missed_classes(analysis: Analysis) -> Iterator[tuple[str, int, str]]:
    """Yield (label, validation examples, "image" or "object") of each class of which nothing is found."""
    for row in analysis["by_class"]:
        examples, found = row.get("images", row.get("objects")), row.get("recall", row.get("AP"))
        if examples and not found:
            yield str(row["label"]), int(examples), "object" if "objects" in row else "image"
