"""Show the confidences of a report as `kresnet predict` shows them, with the temperature that `kresnet calibrate`
fitted; say what else of the page is without it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from keras_resnet.reporting.charts import Chart, best_threshold, reliability_diagram
from keras_resnet.reporting.fitted import CalibrationSection
from keras_resnet.run.calibration_documents import ThresholdDocument
from keras_resnet.run.documents import Analysis
from keras_resnet.runtime.confidence import softmax
from keras_resnet.tasks.classification import describe_mistake


def find_temperature(fitted: CalibrationSection | None) -> float:
    """Return the temperature of a calibrated classifier; 1 without one."""
    document = fitted.classifier if fitted else None
    return document["temperature"] if document else 1.0


def with_temperature(analysis: Analysis, classes: Sequence[str], temperature: float) -> Analysis:
    """Return `analysis` with the confidences that logits over `classes` have with the `temperature`: in the captions of
    images, and in the order of mistakes. Images of an earlier version, which has no logits, stay as they are."""
    if temperature == 1:
        return analysis
    groups = [
        {**group, "maps": _sort_mistakes(group["maps"], classes, temperature)}
        for group in analysis.get("heat_maps", [])
    ]
    changed: dict[str, Any] = {"samples": _sort_mistakes(analysis["samples"], classes, temperature)}
    return cast(Analysis, {**analysis, **changed, **({"heat_maps": groups} if groups else {})})


def _sort_mistakes(
    images: Sequence[Mapping[str, Any]], classes: Sequence[str], temperature: float
) -> list[Mapping[str, Any]]:
    """Return images with their captions at the temperature, mistakes with the most confident one first."""
    confidences = [_confidence(each, classes, temperature) for each in images]
    shown = [_caption(each, classes, temperature) for each in images]
    if any(confidence is None for confidence in confidences) or not all("labeled" in each for each in images):
        return shown
    return [shown[row] for row in np.argsort([-cast(float, each) for each in confidences], kind="stable")]


def _confidence(image: Mapping[str, Any], classes: Sequence[str], temperature: float) -> float | None:
    """Return the confidence in the predicted class; None without the logits of all classes."""
    if len(logits := image.get("logits", [])) != len(classes):
        return None
    return float(softmax(np.array(logits, np.float64), temperature).max())


def _caption(image: Mapping[str, Any], classes: Sequence[str], temperature: float) -> Mapping[str, Any]:
    confidence = _confidence(image, classes, temperature)
    if confidence is None:
        return image
    predicted = int(np.argmax(image["logits"]))
    if "labeled" in image:
        return {**image, "caption": describe_mistake(classes[predicted], confidence, image["labeled"])}
    return {**image, "caption": f"{classes[predicted]} {confidence:.0%}"}


def describe_shown(analysis: Analysis, name: str, fitted: CalibrationSection | None) -> str:
    """Say which confidences the images of the run called `name` have, or which objects are drawn; "" where nothing was
    fitted to it."""
    if fitted is None:
        return ""
    if fitted.classifier is None:
        default = cast(ThresholdDocument, fitted.document)["default"]
        return (
            f"Drawn are objects with a confidence of {default:.0%} or more, as before kresnet calibrate: since then,"
            " kresnet predict shows objects from the thresholds of their classes on, so fewer or more than here"
        )
    temperature = find_temperature(fitted)
    if temperature == 1:
        return ""
    images = [*analysis["samples"], *(each for group in analysis.get("heat_maps", []) for each in group["maps"])]
    if any("logits" not in each for each in images):
        return (
            "The confidences below are without the temperature that kresnet calibrate has fitted;"
            f" `kresnet report {shlex.quote(name)} --again` renews them"
        )
    return (
        f"The confidences are those of kresnet predict, with the temperature of kresnet calibrate ({temperature:.3f})"
    )


def reliability_chart(analysis: Analysis, fitted: CalibrationSection | None) -> Chart | None:
    """Return the reliability diagram of the results by class; None where there is nothing to draw, and with a
    temperature, because the section on confidence has one with and without it."""
    if "calibration" not in analysis or find_temperature(fitted) != 1:
        return None
    return reliability_diagram(analysis["calibration"]["bins"])


def describe_table(fitted: CalibrationSection | None) -> str:
    """Say that the confusion matrix and the table by class are without the fitted thresholds; "" where there are
    none."""
    if fitted is None or fitted.classifier is not None:
        return ""
    default = cast(ThresholdDocument, fitted.document)["default"]
    return (
        f"These numbers are at a confidence of {default:.0%} for all classes, as before kresnet calibrate. Since then,"
        " kresnet predict shows objects from the thresholds of their classes on; the numbers at these are in the"
        f" section {fitted.summary.heading}"
    )


def list_class_notes(
    analysis: Analysis, name: str, fitted: CalibrationSection | None, can_calibrate: bool
) -> list[str]:
    """Return what has to be said of the charts by class. can_calibrate: whether `kresnet calibrate` fits a temperature
    to the run called `name`."""
    notes = []
    if curves := analysis.get("f1_curves"):
        confidence, best = best_threshold(curves)
        notes.append(
            f"Best F1, on average over the classes: {best:.2%}, at a confidence threshold of {confidence:.0%}."
        )
    if "calibration" in analysis:
        notes += _describe_calibration(analysis, fitted)
        if can_calibrate and fitted is None:
            notes.append(f"To lower it, fit a temperature: `kresnet calibrate {shlex.quote(name)}`.")
    return notes


def _describe_calibration(analysis: Analysis, fitted: CalibrationSection | None) -> list[str]:
    meaning = "(Guo et al. 2017): how far confidence and accuracy differ"
    if fitted and fitted.classifier and find_temperature(fitted) != 1:
        before, after = (fitted.classifier[when]["error"] for when in ("before", "after"))
        return [
            f"Expected calibration error {after:.2%} with the temperature of kresnet calibrate, {before:.2%} without it"
            f" {meaning}. The reliability diagram is in the section {fitted.summary.heading}."
        ]
    notes = [f"Expected calibration error {analysis['calibration']['error']:.2%} {meaning}."]
    if len(bins := analysis["calibration"]["bins"]) == 1:
        (only,) = bins
        notes.append(
            "There is no reliability diagram, because all confidences are close together:"
            f" {only['confidence']:.0%} on average, with an accuracy of {only['accuracy']:.0%}."
        )
    return notes
