"""Show the score thresholds of a detector's classes, and what they do: confidence.json in rows, sentences and plots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from keras_resnet.reporting.charts import Chart, choose_classes, f1_chart, list_chosen_points, precision_recall_chart
from keras_resnet.run.calibration_documents import DetectionScores, ThresholdDocument
from keras_resnet.runtime.plurals import counted

CLASS_COLUMNS = (
    "class",
    "objects",
    "threshold",
    "precision before",
    "precision after",
    "recall before",
    "recall after",
    "F1 before",
    "F1 after",
)
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


def model_rows(document: ThresholdDocument) -> list[list[str]]:
    """Return a row of `MODEL_COLUMNS` for each model."""
    return [[each["name"], f"{each['f1_before']:.2%}", f"{each['f1_after']:.2%}"] for each in document["models"]]


def list_tables(document: ThresholdDocument) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return title, columns and rows of the tables by class and by model."""
    return [
        ("Thresholds by class", list(CLASS_COLUMNS), class_rows(document)),
        ("F1 by model", list(MODEL_COLUMNS), model_rows(document)),
    ]


def describe_thresholds(document: ThresholdDocument) -> str:
    """Say in a few words what was fitted on which images."""
    objects = counted(sum(each["objects"] for each in document["by_class"]), "object", ",")
    return f"score thresholds, fitted on {counted(document['samples'], 'validation image', ',')} with {objects}"


def how_to_read(document: ThresholdDocument) -> str:
    """Say what before and after are."""
    return (
        f"before: at a threshold of {document['default']:g} for all classes; after: at those fitted to the Keras model."
        f" An object is found where {document['matched']} have an IoU of {document['iou']:g} or more; F1 of a model is"
        " the mean over its classes"
    )


def list_results(document: ThresholdDocument) -> list[str]:
    """List what was fitted and what it does, a sentence each."""
    return [_describe_fit(document), *_describe_check(document), *_describe_overall(document)]


def _describe_fit(document: ThresholdDocument) -> str:
    thresholds, keras_model = document["score_thresholds"], document["models"][0]
    return (
        f"thresholds of {min(thresholds):.3f} to {max(thresholds):.3f}, for each class the one with the best F1: the"
        f" mean F1 of the Keras model goes from {keras_model['f1_before']:.2%} to {keras_model['f1_after']:.2%} on the"
        " images that they were fitted to"
    )


def _describe_check(document: ThresholdDocument) -> list[str]:
    check = document["check"]
    if check is None:
        return ["no check: in one half of the images there is nothing to fit thresholds to, or to measure them by"]
    words = (
        f"check: thresholds fitted on one half of the images take the mean F1 of the other"
        f" {counted(check['images'], 'image')} from {check['before']:.2%} to {check['after']:.2%}"
    )
    is_better = check["after"] >= check["before"]
    doubt = f"; there they are worse than {document['default']:g} for all classes, and --forget removes them"
    return [words if is_better else words + doubt]


def _describe_overall(document: ThresholdDocument) -> list[str]:
    others = [each for each in document["by_class"] if each["note"]]
    if not others:
        return []
    named = "; ".join(f"{each['label']}: {each['note']}" for each in others[:MAX_NAMED])
    more = f"; and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
    return [
        f"{document['overall']:.3f}, the threshold of all classes together, is that of"
        f" {counted(len(others), 'class', plural='classes')}: {named}{more}"
    ]


def describe_section(document: ThresholdDocument) -> dict[str, Any]:
    """Return what the report's section shows beside its charts."""
    return {
        "words": describe_thresholds(document),
        "results": list_results(document),
        "tables": list_tables(document),
        "how_to_read": how_to_read(document),
    }


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
