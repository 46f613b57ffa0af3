"""Show the score thresholds of a detector's classes, and what they do: confidence.json in rows, sentences and plots."""

from __future__ import annotations

import shlex
from dataclasses import replace

import numpy as np

from keras_resnet.metrics.score_thresholds import MIN_OBJECTS
from keras_resnet.reporting.charts import Chart, choose_classes, f1_chart, list_chosen_points, precision_recall_chart
from keras_resnet.run.calibration_documents import DetectionScores, ThresholdCheck, ThresholdDocument
from keras_resnet.run.documents import WARNING
from keras_resnet.runtime.plurals import counted, verb

SPARE_COLUMNS = ("precision before", "precision after", "recall before", "recall after")
CLASS_COLUMNS = ("class", "objects", "threshold", *SPARE_COLUMNS, "F1 before", "F1 after")
CHECK_COLUMNS = ("class", "threshold", "F1 before", "F1 after")
MODEL_COLUMNS = ("model", "F1 before", "F1 after")
# Classes that a sentence names.
MAX_NAMED = 5
UNKNOWN = "–"


def class_rows(document: ThresholdDocument) -> list[list[str]]:
    """Return a row of `CLASS_COLUMNS` for each class."""
    return [
        [
            each["label"],
            f"{each['objects']:,}",
            f"{each['threshold']:.3f}",
            *_before_and_after(each["before"], each["after"]),
        ]
        for each in document["by_class"]
    ]


def _before_and_after(before: DetectionScores | None, after: DetectionScores | None) -> list[str]:
    if before is None or after is None:
        return [UNKNOWN] * 6
    values = (
        *(before["precision"], after["precision"]),
        *(before["recall"], after["recall"]),
        *(before["f1"], after["f1"]),
    )
    return [UNKNOWN if value is None else f"{value:.1%}" for value in values]


def check_rows(check: ThresholdCheck) -> list[list[str]]:
    """Return a row of `CHECK_COLUMNS` for each class of which the half that was not fitted to has objects."""
    return [
        [each["label"], f"{each['threshold']:.3f}", f"{each['before']:.1%}", f"{each['after']:.1%}"]
        for each in check["by_class"]
    ]


def model_rows(document: ThresholdDocument) -> list[list[str]]:
    """Return a row of `MODEL_COLUMNS` for each model."""
    return [[each["name"], f"{each['f1_before']:.2%}", f"{each['f1_after']:.2%}"] for each in document["models"]]


def describe_thresholds(document: ThresholdDocument) -> str:
    """Say in a few words what was fitted on which images."""
    objects = counted(sum(each["objects"] for each in document["by_class"]), "object", ",")
    return f"score thresholds, fitted on {counted(document['samples'], 'validation image', ',')} with {objects}"


def how_to_read(document: ThresholdDocument) -> str:
    """Say what the columns are."""
    return (
        f"before: with a threshold of {document['default']:g} for all classes; after: with those fitted to the Keras"
        f" model. An object is found if a prediction of its class has an IoU with it of {document['iou']:g} or more, by"
        f" {document['matched']}. The F1 of a model is the mean over the classes"
    )


def list_results(document: ThresholdDocument) -> list[str]:
    """List what was fitted and what it does, a sentence each; each warning follows what it is about."""
    return [
        _describe_fit(document),
        *_warn_of_few_objects(document),
        *_describe_check(document),
        *_warn_of_check(document),
        *_describe_overall(document),
    ]


def list_warnings(document: ThresholdDocument) -> list[str]:
    """List all warnings, a sentence each, without the word."""
    return [words.removeprefix(WARNING) for words in list_results(document) if words.startswith(WARNING)]


def _describe_fit(document: ThresholdDocument) -> str:
    low, high, keras_model = min(document["score_thresholds"]), max(document["score_thresholds"]), document["models"][0]
    spread = f"{low:.3f} to {high:.3f}" if low < high else f"{low:.3f}"
    images = counted(document["samples"], "validation image", ",")
    return (
        f"the classes now have thresholds of {spread}, those with the best F1,"
        f" instead of {document['default']:g}. On the {images} that they were fitted to, the mean F1 of the Keras model"
        f" goes from {keras_model['f1_before']:.2%} to {keras_model['f1_after']:.2%}"
    )


def _warn_of_few_objects(document: ThresholdDocument) -> list[str]:
    objects = sum(each["objects"] for each in document["by_class"])
    if objects >= MIN_OBJECTS:
        return []
    return [
        f"{WARNING}these thresholds are uncertain, because the validation images have only"
        f" {counted(objects, 'object')}: use more validation images, or return to {document['default']:g} for all"
        " classes with --forget"
    ]


def _describe_check(document: ThresholdDocument) -> list[str]:
    check = document["check"]
    if check is None:
        return [
            "check on other images: not possible, because in one half of the validation images no object is found, or"
            " there are none"
        ]
    return [
        f"check on other images: thresholds fitted on one half of the validation images change the mean F1 of the other"
        f" {counted(check['images'], 'image')} from {check['before']:.2%} to {check['after']:.2%}"
    ]


def _warn_of_check(document: ThresholdDocument) -> list[str]:
    if not is_worse(document):
        return []
    return [
        f"{WARNING}on images that they are not fitted to, such thresholds are worse than {document['default']:g} for"
        " all classes, so they are fitted to chance: use more validation images, or remove the thresholds with"
        " --forget"
    ]


def is_worse(document: ThresholdDocument) -> bool:
    """Return whether the check finds fitted thresholds to be worse than the one for all classes."""
    check = document["check"]
    return check is not None and check["after"] < check["before"]


def _describe_overall(document: ThresholdDocument) -> list[str]:
    others = [each for each in document["by_class"] if each["note"]]
    if not others:
        return []
    listed = ", ".join(f"{each['label']} ({each['note']})" for each in others[:MAX_NAMED])
    more = f", and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
    count = len(others)
    who = f"{counted(count, 'class', plural='classes')} {verb(count, 'has', 'have')}"
    return [
        f"{WARNING}{who} no threshold of {verb(count, 'its', 'their')} own, but {document['overall']:.3f}, the one with"
        f" the best F1 over all classes together: {listed}{more}. Add validation images that show"
        f" {verb(count, 'it', 'them')}"
    ]


def list_steps(name: str) -> list[tuple[str, str]]:
    """Return what to do next with the run called `name`: (what follows `kresnet`, what that does)."""
    run = shlex.quote(name)
    return [
        (f"predict {run} photo.jpg", "use the thresholds"),
        (f"calibrate {run} --forget", "undo all of this"),
    ]


def threshold_charts(document: ThresholdDocument) -> list[Chart]:
    """Return precision over recall and F1 over the threshold, by class, with the points of the thresholds."""
    curves, f1_curves = document["curves"], document["f1_curves"]
    shown = choose_classes([{"label": name, "AP": float(np.mean(each))} for name, each in curves.items()], curves)
    on_curve, chosen = list_chosen_points(
        [
            {"label": each["label"], "threshold": each["threshold"], **each["after"]}
            for each in document["by_class"]
            if each["after"]
        ]
    )
    return [
        replace(
            precision_recall_chart(curves, shown, chosen=on_curve),
            name="confidence-precision-recall",
            title="Precision-recall, with the thresholds",
        ),
        replace(f1_chart(f1_curves, shown, chosen), name="confidence-f1", title="F1 by threshold, with the thresholds"),
    ]
