"""Fit to each class of a run's detector the score from which its objects are shown, for `kresnet calibrate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_resnet.data.annotations import Annotation, unpad_annotations
from keras_resnet.data.label_set_split import split_label_sets
from keras_resnet.errors import DataError
from keras_resnet.evaluation.evaluate import evaluate_each, evaluation_batches
from keras_resnet.export.confidence import load_models, load_validation
from keras_resnet.export.confidence_settings import CalibrationSettings
from keras_resnet.metrics.coco import Prediction, precision_recall_curves
from keras_resnet.metrics.detection import MATCH_IOU, ClassMatches, describe_matches, f1_curves, match_by_class
from keras_resnet.metrics.score_thresholds import FittedThresholds, fit_thresholds, mean_f1
from keras_resnet.progress import Log, track
from keras_resnet.reporting.score_thresholds import list_warnings
from keras_resnet.run import Run
from keras_resnet.run.calibration_documents import (
    CheckedThreshold,
    ClassThreshold,
    DetectionScores,
    ModelThresholds,
    ThresholdCheck,
    ThresholdDocument,
)
from keras_resnet.run.documents import KERAS_MODEL
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.postprocess import DISPLAY_THRESHOLD
from keras_resnet.tasks import get_task
from keras_resnet.tasks.detection import Detection


def measure_thresholds(run: Run, settings: CalibrationSettings, log: Log) -> ThresholdDocument:
    """Fit the score thresholds on the validation images of `run`, and measure what they do for its Keras model and its
    exported files.

    Raises RunError, DataError or ExportError where something cannot be read, and DataError where no object is found.
    """
    run.require_finished()
    data = load_validation(run, settings.samples, log)
    models = load_models(run, log, needs_logits=False)
    task = get_task(run.spec(), data.classes)
    assert isinstance(task, Detection)
    log(f"fitting on {counted(data.splits['validation'].count, 'validation image')}")
    with track(evaluation_batches(data), "evaluating", "batches") as batches:
        evaluations = evaluate_each(models, batches, task)
    predictions = {name: each.predictions for name, each in evaluations.items()}
    annotations = unpad_annotations(evaluations[KERAS_MODEL].ground_truth)
    return describe_thresholds(predictions, annotations, task, settings.seed)


def describe_thresholds(
    predictions: Mapping[str, list[Prediction]], annotations: Sequence[Annotation], task: Detection, seed: int
) -> ThresholdDocument:
    """Fit to the predictions of the Keras model, the first one, and describe what the thresholds do for all models.
    Raises DataError where it finds no object."""
    classes = task.classes
    matches = {name: _match(annotations, each, task) for name, each in predictions.items()}
    own = matches[KERAS_MODEL]
    fitted = fit_thresholds(own, classes)
    if fitted is None:
        objects = counted(sum(each.objects for each in own.values()), "object", ",")
        raise DataError(
            f"no threshold can be fitted: the model finds none of the {objects} of the validation images at an IoU of"
            f" {MATCH_IOU}"
        )
    document = ThresholdDocument(
        samples=len(annotations),
        matched="masks" if task.iou_type == "segm" else "boxes",
        iou=MATCH_IOU,
        default=DISPLAY_THRESHOLD,
        overall=fitted.overall,
        score_thresholds=list(fitted.values),
        by_class=[_describe_class(name, own.get(name), fitted) for name in classes],
        check=_check(predictions[KERAS_MODEL], annotations, task, seed),
        curves=precision_recall_curves(annotations, predictions[KERAS_MODEL], classes, task.iou_type),
        f1_curves=f1_curves(own),
        models=[_describe_model(name, each, classes, fitted) for name, each in matches.items()],
    )
    document["warnings"] = list_warnings(document)
    return document


def _match(
    annotations: Sequence[Annotation], predictions: Sequence[Prediction], task: Detection
) -> dict[str, ClassMatches]:
    return match_by_class(annotations, predictions, task.classes, task.iou_type)


def _describe_class(name: str, matches: ClassMatches | None, fitted: FittedThresholds) -> ClassThreshold:
    threshold = fitted.by_class[name]
    return ClassThreshold(
        label=name,
        objects=matches.objects if matches else 0,
        threshold=threshold.value,
        note=threshold.note,
        before=_describe_scores(matches, DISPLAY_THRESHOLD),
        after=_describe_scores(matches, threshold.value),
    )


def _describe_scores(matches: ClassMatches | None, threshold: float) -> DetectionScores | None:
    if matches is None:
        return None
    scores = describe_matches({"": matches}, threshold)[""]
    return DetectionScores(precision=scores["precision"], recall=scores["recall"], f1=scores["f1"])


def _check(
    predictions: Sequence[Prediction], annotations: Sequence[Annotation], task: Detection, seed: int
) -> ThresholdCheck | None:
    """Fit thresholds on one half of the images and measure them on the other, each with about half of the images of
    each class; None where no object is found in the first half, or the second has none."""
    shown = np.zeros((len(annotations), len(task.classes)), np.uint8)
    for row, annotation in enumerate(annotations):
        shown[row, annotation.labels[~annotation.iscrowd]] = 1
    halves = split_label_sets(shown, 0.5, seed)
    first, second = (
        _match([annotations[row] for row in rows], [predictions[row] for row in rows], task) for rows in halves
    )
    fitted = fit_thresholds(first, task.classes)
    if fitted is None or not second:
        return None
    before, after = _mean_f1_before_and_after(second, task.classes, fitted)
    by_class = [
        CheckedThreshold(
            label=name,
            threshold=fitted.by_class[name].value,
            before=matches.f1(DISPLAY_THRESHOLD),
            after=matches.f1(fitted.by_class[name].value),
        )
        for name, matches in second.items()
    ]
    return ThresholdCheck(images=len(halves[1]), before=before, after=after, by_class=by_class)


def _describe_model(
    name: str, matches: Mapping[str, ClassMatches], classes: Sequence[str], fitted: FittedThresholds
) -> ModelThresholds:
    before, after = _mean_f1_before_and_after(matches, classes, fitted)
    return ModelThresholds(name=name, f1_before=before, f1_after=after)


def _mean_f1_before_and_after(
    matches: Mapping[str, ClassMatches], classes: Sequence[str], fitted: FittedThresholds
) -> tuple[float, float]:
    by_class = dict(zip(classes, fitted.values, strict=True))
    return mean_f1(matches, dict.fromkeys(classes, DISPLAY_THRESHOLD)), mean_f1(matches, by_class)
