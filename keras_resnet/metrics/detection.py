"""Analyze detections beyond AP: what is taken for what, or for background; precision, recall and F1 by threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.metrics.coco import ImageObjects, Prediction, compute_overlaps

MATCH_IOU = 0.5
# Confidences that F1 is computed at.
THRESHOLDS = np.linspace(0, 1, 101)
HIT, WRONG, IGNORED = 1, 0, -1


@dataclass(frozen=True)
class ClassMatches:
    """The predictions of one class in all images, (n,) each, and the number of its objects. outcomes: HIT, WRONG, or
    IGNORED in a crowd."""

    scores: np.ndarray
    outcomes: np.ndarray
    objects: int

    def count_at(self, threshold: float) -> tuple[int, int]:
        """Return (true positives, false positives) of the predictions of at least this confidence."""
        outcomes = self.outcomes[self.scores >= threshold]
        return int((outcomes == HIT).sum()), int((outcomes == WRONG).sum())

    def precision_recall(self, threshold: float) -> tuple[float | None, float]:
        """Return precision, None where nothing is predicted, and recall at this confidence."""
        hits, wrong = self.count_at(threshold)
        return (hits / (hits + wrong) if hits + wrong else None), hits / self.objects

    def f1(self, threshold: float) -> float:
        """Return the harmonic mean of both, 0 where nothing is predicted."""
        hits, wrong = self.count_at(threshold)
        return 2 * hits / (hits + wrong + self.objects)


def match_by_class(
    annotations: Sequence[ImageObjects], predictions: Sequence[Prediction], classes: Sequence[str], iou_type: str
) -> dict[str, ClassMatches]:
    """Match predictions with objects of their class, the most confident first, at an IoU of MATCH_IOU as COCO does.

    Returns the matches of each class of which there are objects. iou_type: "bbox" or "segm".
    """
    pairs = list(zip(annotations, predictions, strict=True))
    outcomes = np.concatenate([np.zeros(0, int), *(_match_image(*pair, iou_type) for pair in pairs)])
    scores = np.concatenate([np.zeros(0), *(each.scores for each in predictions)])
    labels = np.concatenate([np.zeros(0, int), *(each.labels for each in predictions)])
    objects = np.bincount(
        np.concatenate([np.zeros(0, int), *(each.labels[~each.iscrowd] for each in annotations)]).astype(int),
        minlength=len(classes),
    )
    # Sorted by class once, not looked through for each.
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(len(classes) + 1))
    of_class = [order[starts[label] : starts[label + 1]] for label in range(len(classes))]
    return {
        name: ClassMatches(scores[rows], outcomes[rows], int(count))
        for name, rows, count in zip(classes, of_class, objects, strict=True)
        if count
    }


def _match_image(annotation: ImageObjects, prediction: Prediction, iou_type: str) -> np.ndarray:
    """Return the outcome (n,) of each prediction for one image."""
    outcomes = np.full(len(prediction.labels), WRONG)
    overlap = compute_overlaps(annotation, prediction, iou_type)
    overlap = np.where(prediction.labels[:, None] == annotation.labels[None], overlap, 0)
    free = ~annotation.iscrowd
    for row in np.argsort(-prediction.scores, kind="stable"):
        if (overlap[row] * free).max(initial=0) >= MATCH_IOU:
            free[int((overlap[row] * free).argmax())] = False
            outcomes[row] = HIT
        elif (overlap[row] * annotation.iscrowd).max(initial=0) >= MATCH_IOU:
            outcomes[row] = IGNORED
    return outcomes


def match_any_class(
    annotations: Sequence[ImageObjects],
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    threshold: float,
    iou_type: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of each object and the class it is predicted as, from the confidence `threshold` on: int (N,)
    each. The background is a class of its own, behind `classes`.

    Predictions and objects are matched whatever their classes, those that overlap most first, at an IoU of MATCH_IOU.
    Objects that are missed are predicted as background; predictions where there is no object are of background.
    """
    background = len(classes)
    labels, predicted = [np.zeros(0, int)], [np.zeros(0, int)]
    for annotation, prediction in zip(annotations, predictions, strict=True):
        overlap = compute_overlaps(annotation, prediction, iou_type)
        open_predictions = (prediction.scores >= threshold) & ~(
            (overlap * annotation.iscrowd).max(axis=1, initial=0) >= MATCH_IOU
        )
        open_objects = ~annotation.iscrowd
        for row, column in np.argwhere(overlap >= MATCH_IOU)[np.argsort(-overlap[overlap >= MATCH_IOU])]:
            if open_predictions[row] and open_objects[column]:
                open_predictions[row] = open_objects[column] = False
                labels.append(annotation.labels[column : column + 1])
                predicted.append(prediction.labels[row : row + 1])
        missed, invented = annotation.labels[open_objects], prediction.labels[open_predictions]
        labels += [missed, np.full(len(invented), background)]
        predicted += [np.full(len(missed), background), invented]
    return np.concatenate(labels).astype(int), np.concatenate(predicted).astype(int)


def describe_matches(matches: dict[str, ClassMatches], threshold: float) -> dict[str, dict[str, Any]]:
    """Return {"precision", "recall", "f1"} of each class at the confidence `threshold`, which None stands for unknown
    in."""
    rows: dict[str, dict[str, Any]] = {}
    for name, each in matches.items():
        precision, recall = each.precision_recall(threshold)
        rows[name] = {"precision": precision, "recall": recall, "f1": each.f1(threshold)}
    return rows


def f1_curves(matches: dict[str, ClassMatches]) -> dict[str, list[float]]:
    """Return F1 at each of THRESHOLDS by class."""
    return {name: [each.f1(threshold) for threshold in THRESHOLDS] for name, each in matches.items()}
