"""Confusion matrix and F1 of detections, against pycocotools' matches and cases worked out by hand."""

import contextlib
import io

import numpy as np
import pytest
from detection_cases import random_case
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_resnet.data.annotations import Annotation
from keras_resnet.metrics import coco, detection
from keras_resnet.metrics.classification import count_pairs

CLASSES = ("cup", "dog", "tree")


def reference_outcomes(truths, answers, label, kind):
    """(scores, hit or wrong or ignored) of a class by pycocotools, in any order."""
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO()
        theirs.dataset = coco._annotation_document(truths, CLASSES)
        theirs.createIndex()
        evaluation = COCOeval(theirs, theirs.loadRes(coco._result_rows(truths, answers)), kind)
        evaluation.params.iouThrs, evaluation.params.areaRng = np.array([0.5]), evaluation.params.areaRng[:1]
        evaluation.evaluate()
    rows = []
    for each in evaluation.evalImgs:
        if each is not None and each["category_id"] == label + 1:
            for score, match, ignored in zip(each["dtScores"], each["dtMatches"][0], each["dtIgnore"][0], strict=True):
                outcome = detection.IGNORED if ignored else detection.HIT if match else detection.WRONG
                rows.append((round(score, 6), outcome))
    return sorted(rows)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_matches_are_those_of_pycocotools(kind):
    compared = 0
    for seed in range(60):
        truths, answers = random_case(seed, kind)
        if not any(len(each.labels) for each in answers):
            continue
        matches = detection.match_by_class(truths, answers, CLASSES, kind)
        for label, name in enumerate(CLASSES):
            if name in matches:
                ours = [
                    (round(s, 6), int(o)) for s, o in zip(matches[name].scores, matches[name].outcomes, strict=True)
                ]
                assert sorted(ours) == reference_outcomes(truths, answers, label, kind)
                compared += len(ours)
    assert compared > 200


def scene(boxes, labels, iscrowd=None):
    return Annotation.from_boxes((100, 100), np.array(boxes, float).reshape(-1, 4), labels, iscrowd=iscrowd)


def guesses(boxes, labels, scores):
    return coco.Prediction(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores), np.array(labels, int))


def confusion_matrix(truths, answers, *options):
    """Count what is taken for what; the last row and column are the background."""
    labels, predicted = detection.match_any_class(truths, answers, CLASSES, *options)
    return count_pairs(labels, predicted, len(CLASSES) + 1)


LEFT, RIGHT, BELOW = (0, 0, 20, 20), (50, 0, 70, 20), (0, 50, 20, 70)


def test_a_confusion_matrix_with_the_background():
    """A right one, a dog taken for a cup, a tree missed, a cup where nothing is; one that is not confident enough."""
    truths = [scene([LEFT, RIGHT, BELOW], [0, 1, 2])]
    answers = [guesses([LEFT, RIGHT, (80, 80, 99, 99), BELOW], [0, 0, 0, 2], [0.9, 0.8, 0.7, 0.2])]
    matrix = confusion_matrix(truths, answers, 0.3, "bbox")
    assert matrix.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    matches = detection.match_by_class(truths, answers, CLASSES, "bbox")
    rows = detection.describe_matches(matches, 0.3)
    assert rows["cup"] == {"precision": 1 / 3, "recall": 1.0, "f1": 0.5}
    assert rows["dog"] == {"precision": None, "recall": 0.0, "f1": 0.0}
    curve = detection.f1_curves(matches)["tree"]
    assert curve[20] == 1.0 and curve[21] == 0.0 and len(curve) == 101


def test_the_better_overlap_is_matched_and_crowds_do_not_count():
    truths = [scene([LEFT, (50, 50, 100, 100)], [0, 1], iscrowd=[False, True])]
    answers = [guesses([LEFT, (0, 0, 20, 18), (60, 60, 70, 70)], [1, 0, 2], [0.5, 0.9, 0.9])]
    matrix = confusion_matrix(truths, answers, 0.3, "bbox")
    assert matrix.tolist() == [[0, 1, 0, 0], [0] * 4, [0] * 4, [1, 0, 0, 0]]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_every_object_and_every_prediction_is_counted_once(kind):
    for seed in range(40):
        truths, answers = random_case(seed, kind)
        matrix = confusion_matrix(truths, answers, 0.0, kind)
        assert matrix[:-1].sum() == sum(int((~each.iscrowd).sum()) for each in truths)
        assert matrix[:, :-1].sum() <= sum(len(each.labels) for each in answers)
        assert matrix[-1, -1] == 0
