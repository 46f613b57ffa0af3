"""Check a dataset: open it, measure its images, and collect what is wrong with them."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from keras_resnet.checking.duplicates import find_duplicates
from keras_resnet.checking.facts import ImageFacts, measure_images
from keras_resnet.checking.findings import CheckReport, Finding, name_commands
from keras_resnet.checking.quality import find_bad_images
from keras_resnet.config.image_size import height_and_width
from keras_resnet.config.spec import DataSpec, NetworkSpec
from keras_resnet.config.training import PRETRAINED_PIXELS
from keras_resnet.data.class_sampling import describe_imbalance
from keras_resnet.data.dataset import HELD_OUT
from keras_resnet.data.duplicates import CONFLICTING, COPIES
from keras_resnet.data.load import DatasetSplits, load_dataset
from keras_resnet.errors import DataError, RunError, UsageError
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import find_unbeaten_constant
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.documents import WARNING
from keras_resnet.runtime.image_files import readable_name, to_path
from keras_resnet.runtime.plurals import counted, verb

EXTRA = ("imagehash", "cleanlab")
# What sources log of a file that cannot be read, one line each; and of how many, which the report says itself.
SKIPPED = "skipped: "
OWN_FINDINGS = (SKIPPED, "skipped ")
# What sources log of the input that a training would make of the images; a check looks at these as they are.
INPUT_CHOICES = ("image size: ", "fit: ", "channels: ", "levels: ")
# A network that is right less often doubts more labels than are wrong.
SURE_ACCURACY = 0.8
# Kinds of findings of images that are alike.
DUPLICATES = ("exact_duplicate", "near_duplicate", "conflicting_labels")
# The commands that check the labels of data, by their name and the depth of a network that suits them.
NameLabelCheck = Callable[[str, int], tuple[str, ...]]
# Training images from which on a larger network than ResNet-18 is worth its time.
MANY_IMAGES = 10_000
# Sizes that are listed.
MAX_SIZES = 8


def check_data(
    spec: DataSpec, log: Log, run: Run | None = None, name_label_check: NameLabelCheck = lambda source, depth: ()
) -> tuple[CheckReport, DatasetSplits]:
    """Check all splits of the data that `spec` names, labels too where a finished `run` is given; return what was
    found, and the data. name_label_check: returns the commands to type for that, where no run is given.

    A run of another task checks no labels; what its network cannot take, be it other labels or other channels, is
    checked all the same, and where the data have no annotations as it learns them, images by class. A run that is not
    proven to be better than chance checks no labels either.

    Raises UsageError where the extra is not installed, DataError where the data cannot be opened, RunError where the
    run of a classifier has other labels. Where data cannot be opened and files cannot be read, these are all that is
    reported, with the error.
    """
    require_extra()
    lines: list[str] = []
    try:
        data, notes = _open(spec, run, lambda line: _sort(line, lines, log))
    except DataError as error:
        if not (unreadable := _find_unreadable(lines)):
            raise
        return _report_unreadable(spec, unreadable, error)
    label_check: tuple[str, ...] = ()
    classifier = run if run is not None and run.spec().data.annotations == "labels" else None
    if classifier is not None:
        _require_fitting(classifier, data)
    facts, errors = measure_images(data)
    findings = [
        *_find_unreadable(lines),
        *_find_warnings(lines),
        *(Finding("unreadable", note=str(each)) for each in errors),
    ]
    held_out = [line for line in lines if line.startswith(HELD_OUT)]
    findings += [*find_duplicates(facts, not held_out), *find_bad_images(facts), *_find_unequal(data)]
    if classifier is not None and (at_chance := _explain_chance(classifier)):
        notes.append(at_chance)
    elif classifier is not None:
        from keras_resnet.checking.labels import find_label_issues

        suspected, choice = find_label_issues(classifier, data)
        # A blank image has a wrong label, too, and looks like no other; it is listed once, as what it is.
        blank = {(each.split, each.row) for finding in findings if finding.kind == "blank" for each in finding.images}
        findings += [each for each in suspected if (each.images[0].split, each.images[0].row) not in blank]
        notes += [choice, *_list_doubts(classifier, spec)]
    else:
        label_check = name_label_check(spec.source, suggest_depth(data)) if run is None else ()
        notes.append(_explain_unchecked(spec, run, label_check))
    notes += [f"held out for {line}, as in each training" for line in held_out]
    if held_out and (divided := sum(_is_divided(each) for each in findings)):
        notes.append(
            f"{counted(divided, 'group') if divided > 1 else 'one group'} of duplicates {verb(divided, 'is', 'are')}"
            " split between training and validation, so the network would be evaluated on images that it was trained"
            " on: keep one image of each"
        )
    report = CheckReport(data.name, _count(data, facts), _properties(facts), findings, notes, not held_out, label_check)
    return report, data


def suggest_depth(data: DatasetSplits) -> int:
    """Return the depth of a residual network that suits the data: of small images a CIFAR network, else ResNet-18 where
    images are few, and ResNet-50, the default of a training, where there are many."""
    if min(height_and_width(data.image_size)) < PRETRAINED_PIXELS:
        return 20
    return 18 if data.splits["train"].count < MANY_IMAGES else NetworkSpec().depth


def _is_divided(finding: Finding) -> bool:
    """Return whether a finding is of images that are alike and stand in several splits."""
    return finding.kind in DUPLICATES and len({each.split for each in finding.images}) > 1


def _open(spec: DataSpec, run: Run | None, log: Log) -> tuple[DatasetSplits, list[str]]:
    """Return the data of `spec`, and what has to be said of them: where there are none that a `run` of another task
    learns from, images by class are opened."""
    spec = replace(spec, max_unreadable=1.0)
    try:
        return load_dataset(spec, log), []
    except DataError as error:
        if run is None or spec.annotations == "labels":
            raise
        try:
            data = load_dataset(replace(spec, annotations="labels"), log)
        except DataError:
            raise error from None
        task = run.spec().task
        why = str(error).removeprefix("--data ")
        return data, [f"annotations for --task {task}, as run {run.name} learns them, were not checked: {why}"]


def _explain_unchecked(spec: DataSpec, run: Run | None, commands: tuple[str, ...]) -> str:
    """Return why labels were not checked, and the `commands` that check them."""
    if run is not None:
        task = run.spec().task
        return f"labels were not checked: this needs a run of --task classify, and run {run.name} is of --task {task}"
    if spec.annotations != "labels":
        return "labels were not checked: only --task classify checks them"
    return f"labels were not checked, because that needs a trained network{name_commands(commands)}"


def _explain_chance(run: Run) -> str:
    """Return why the network of `run` checks no labels where it is not proven to know any; "" where it is, or where it
    was never compared with a constant prediction."""
    baselines = run.analysis().get("baselines", []) if run.analysis_file.is_file() else []
    constant = find_unbeaten_constant(baselines)
    if constant is None:
        return ""
    return (
        f"labels were not checked: run {run.name} is not proven to be better than chance ("
        f"{metric_label(constant['metric'])} {constant['model_value']:.2%}, {constant['baseline']}"
        f" {constant['value']:.2%}, on {counted(constant['images'], 'validation image', ',')}), so what it suspects"
        " would mean nothing; train it longer, or add images, and check again"
    )


def require_extra() -> None:
    """Raise UsageError unless the libraries that a check needs are installed."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"check needs {missing[0]}, which is not installed: pip install 'kresnet[check]'")


def _sort(line: str, lines: list[str], log: Log) -> None:
    """Keep what the report says itself, and log what else is about the images."""
    if line.startswith((*OWN_FINDINGS, HELD_OUT, WARNING)):
        lines.append(line)
    elif not line.startswith(INPUT_CHOICES):
        log(line)


def _list_doubts(run: Run, spec: DataSpec) -> list[str]:
    """Return why labels that `run` doubts may be right."""
    doubts, trained_on = [], run.spec().data.source
    if os.path.realpath(trained_on) != os.path.realpath(spec.source):
        doubts.append(
            f"run {run.name} was trained on other data ({trained_on}), and may suspect correct labels of images unlike"
            " those"
        )
    if (accuracy := run.metrics()["value"]) < SURE_ACCURACY:
        doubts.append(
            f"run {run.name} is right on only {accuracy:.0%} of its validation images, so many of the labels that it"
            " suspects are correct: train it longer first"
        )
    return doubts


def _find_unreadable(lines: Sequence[str]) -> list[Finding]:
    return [
        Finding("unreadable", note=line.removeprefix(SKIPPED))
        for line in dict.fromkeys(lines)
        if line.startswith(SKIPPED)
    ]


def _find_warnings(lines: Sequence[str]) -> list[Finding]:
    """Return what reading the data warned of, but for images that are alike: `find_duplicates` lists these."""
    warnings = (line for line in dict.fromkeys(lines) if line.startswith(WARNING))
    return [
        Finding("warning", note=line.removeprefix(WARNING))
        for line in warnings
        if not line.startswith(CONFLICTING) and COPIES not in line
    ]


def _report_unreadable(
    spec: DataSpec, unreadable: list[Finding], error: DataError
) -> tuple[CheckReport, DatasetSplits]:
    """Return the report of data of which so much cannot be read that they cannot be opened, and no images."""
    name = readable_name(to_path(spec.source).name)
    notes = [f"nothing else was checked, because the data cannot be opened: {error}"]
    properties: dict[str, dict[str, int]] = {"size": {}, "shape": {}, "channels": {}}
    report = CheckReport(name, {}, properties, unreadable, notes, error=str(error))
    return report, DatasetSplits(name, (), {}, None, 1, 1)


def _require_fitting(run: Run, data: DatasetSplits) -> None:
    run.require_finished()
    if run.classes() != data.classes:
        raise RunError(
            f"run {run.name} has other labels than {data.name}: {', '.join(run.classes())}; these data have"
            f" {', '.join(data.classes)}"
        )


def _find_unequal(data: DatasetSplits) -> Iterator[Finding]:
    if "train" in data.splits and data.splits["train"].objects is None:
        sizes = data.splits["train"].count_labels(len(data.classes))
        if words := describe_imbalance(data.classes, sizes):
            yield Finding("unequal_classes", note=words)


def _count(data: DatasetSplits, facts: Sequence[ImageFacts]) -> dict[str, dict[str, int]]:
    """Count the images that were measured by split and class, those of several classes in each of them; of images with
    objects, by the class of the first of these."""
    counts: dict[str, dict[str, int]] = {}
    rows: dict[str, list[int]] = {name: [] for name in data.splits}
    for each in facts:
        rows[each.image.split].append(each.image.row)
    for name, whole in data.splits.items():
        split = whole.subset(np.array(sorted(rows[name]), np.int64))
        numbers = split.count_labels(len(data.classes)).tolist()
        counts[name] = dict(zip(data.classes, numbers, strict=True))
        if without := int((split.labels < 0).sum()):
            counts[name]["(no object)" if split.objects else "(no label)"] = without
    return counts


def _properties(facts: Sequence[ImageFacts]) -> dict[str, dict[str, int]]:
    sizes = Counter(f"{each.size[0]} × {each.size[1]}" for each in facts)
    shown = dict(sizes.most_common(MAX_SIZES))
    if more := sum(sizes.values()) - sum(shown.values()):
        shown[counted(len(sizes) - len(shown), "other size")] = more
    shapes = Counter(_shape(*each.size) for each in facts)
    return {
        "size": shown,
        "shape": dict(shapes.most_common()),
        "channels": dict(Counter(each.channels for each in facts).most_common()),
    }


def _shape(width: int, height: int) -> str:
    """Return the shape of an image in words."""
    ratio = width / height
    if ratio > 1.5:
        return "wider than 3:2"
    if ratio < 1 / 1.5:
        return "taller than 2:3"
    return "about square"
