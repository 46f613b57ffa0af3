"""Compute Pascal VOC's average precision of boxes (Everingham et al. 2010, "The PASCAL Visual Object Classes
Challenge", section 4.2), as its development kit has since 2010: the area under the interpolated curve, at an IoU of
0.5.

Boxes are measured from edge to edge here, where the kit counts the pixels of both edges in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_resnet.metrics.coco import ImageObjects, Prediction
from keras_resnet.metrics.iou import iou

IOU_THRESHOLD = 0.5
# Instead of the number of an object: a box that matches none, or one that is not counted.
NONE, IGNORED = -1, -2


def voc_metrics(
    annotations: Sequence[ImageObjects], predictions: Sequence[Prediction], classes: Sequence[str]
) -> dict[str, float]:
    """Compute the mean of `average_precisions`, by name; nothing where there are no objects."""
    values = average_precisions(annotations, predictions, classes)
    return {"VOC AP50": float(np.mean(list(values.values())))} if values else {}


def average_precisions(
    annotations: Sequence[ImageObjects], predictions: Sequence[Prediction], classes: Sequence[str]
) -> dict[str, float]:
    """Compute AP at an IoU of 0.5, 0–1, of each class of which there are objects. Crowds are what VOC calls difficult:
    neither missed nor wrong."""
    objects = np.zeros(len(classes), int)
    labels, scores, matches = [np.zeros(0, int)], [np.zeros(0)], [np.zeros(0, int)]
    before = 0
    for annotation, prediction in zip(annotations, predictions, strict=True):
        objects += np.bincount(annotation.labels[~annotation.iscrowd], minlength=len(classes))
        labels.append(prediction.labels)
        scores.append(prediction.scores)
        matches.append(_match_objects(annotation, prediction, before))
        before += len(annotation.labels)
    all_labels, all_scores, all_matches = (np.concatenate(each) for each in (labels, scores, matches))
    # By class, and the most confident first.
    order = np.lexsort((-all_scores, all_labels))
    starts = np.searchsorted(all_labels[order], np.arange(len(classes) + 1))
    return {
        name: _average_precision(all_matches[order[starts[label] : starts[label + 1]]], objects[label])
        for label, name in enumerate(classes)
        if objects[label]
    }


def _match_objects(annotation: ImageObjects, prediction: Prediction, before: int) -> np.ndarray:
    """Return for each predicted box the number of the object of its class that it overlaps most, counted from
    `before`."""
    if not len(annotation.labels):
        return np.full(len(prediction.labels), NONE)
    overlap = iou(np.asarray(prediction.boxes)[:, None], np.asarray(annotation.boxes)[None])
    overlap = np.where(prediction.labels[:, None] == annotation.labels[None], overlap, 0)
    best = overlap.argmax(axis=1)
    numbers = np.where(annotation.iscrowd[best], IGNORED, best + before)
    return np.where(overlap.max(axis=1) >= IOU_THRESHOLD, numbers, NONE)


def _average_precision(matches: np.ndarray, objects: int) -> float:
    """Compute the area under the curve of boxes' `matches`, the most confident first: the first box that matches an
    object is correct."""
    matches = matches[matches != IGNORED]
    correct = np.zeros(len(matches), bool)
    correct[np.unique(matches, return_index=True)[1]] = True
    correct &= matches != NONE
    precision = np.cumsum(correct) / np.arange(1, len(matches) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[correct].sum() / objects)
