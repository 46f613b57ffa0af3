"""Pascal VOC's average precision of boxes (Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge",
section 4.2), as its development kit has counted since 2010: the area under the interpolated curve, at an overlap of one
half.

Boxes are measured from edge to edge here, where the kit counts the pixels of both edges in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_resnet.metrics.coco import Prediction
from keras_resnet.metrics.iou import iou

RIGHT = 0.5
# Instead of the number of an object: a box that meets none, or one that is not counted.
NONE, IGNORED = -1, -2


def average_precisions(
    truths: Sequence[Any], answers: Sequence[Prediction], classes: Sequence[str]
) -> dict[str, float]:
    """AP at an overlap of one half, 0–1, of each class of which there are objects. `truths` are as many
    `data.objects.Annotation`s; their crowds are what VOC calls difficult: neither missed nor wrong."""
    counted = np.zeros(len(classes), int)
    labels, scores, objects = [np.zeros(0, int)], [np.zeros(0)], [np.zeros(0, int)]
    before = 0
    for truth, answer in zip(truths, answers, strict=True):
        counted += np.bincount(truth.labels[~truth.crowd], minlength=len(classes))
        labels.append(answer.labels)
        scores.append(answer.scores)
        objects.append(_met(truth, answer, before))
        before += len(truth.labels)
    every, sure, met = (np.concatenate(each) for each in (labels, scores, objects))
    order = np.argsort(-sure, kind="stable")
    every, met = every[order], met[order]
    return {name: _area(met[every == label], counted[label]) for label, name in enumerate(classes) if counted[label]}


def voc_numbers(truths: Sequence[Any], answers: Sequence[Prediction], classes: Sequence[str]) -> dict[str, float]:
    """The mean of `average_precisions`, by name; nothing where there are no objects."""
    found = average_precisions(truths, answers, classes)
    return {"VOC AP50": float(np.mean(list(found.values())))} if found else {}


def _met(truth: Any, answer: Prediction, before: int) -> np.ndarray:
    """Of each box found in an image the number of the object of its class that it overlaps most, counted from
    `before`."""
    if not len(truth.labels):
        return np.full(len(answer.labels), NONE)
    shared = iou(np.asarray(answer.boxes)[:, None], np.asarray(truth.boxes)[None])
    shared = np.where(answer.labels[:, None] == truth.labels[None], shared, 0)
    best = shared.argmax(axis=1)
    numbers = np.where(truth.crowd[best], IGNORED, best + before)
    return np.where(shared.max(axis=1) >= RIGHT, numbers, NONE)


def _area(met: np.ndarray, counted: int) -> float:
    """Under the curve of what boxes `met`, the surest first: the first that meets an object is right."""
    met = met[met != IGNORED]
    right = np.zeros(len(met), bool)
    right[np.unique(met, return_index=True)[1]] = True
    right &= met != NONE
    precision = np.cumsum(right) / np.arange(1, len(met) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[right].sum() / counted)
