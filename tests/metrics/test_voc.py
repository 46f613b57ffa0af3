"""Pascal VOC's AP against its rules, written out one box after another."""

import numpy as np
import pytest

from keras_resnet.data.annotations import Annotation
from keras_resnet.metrics.coco import Prediction
from keras_resnet.metrics.iou import iou
from keras_resnet.metrics.voc import average_precisions, voc_metrics

CLASSES = ("a", "b", "never")
SIZE = (64, 64)


def one_by_one(truths, answers, label):
    """The development kit's loop: VOCevaldet and VOCap."""
    found = [
        (score, image, box)
        for image, answer in enumerate(answers)
        for score, box, kind in zip(answer.scores, answer.boxes, answer.labels, strict=True)
        if kind == label
    ]
    counted = sum(int((truth.labels[~truth.iscrowd] == label).sum()) for truth in truths)
    taken, right, wrong = set(), [], []
    for _, image, box in sorted(found, key=lambda each: -each[0]):
        best, most = None, -1.0
        for row in np.flatnonzero(truths[image].labels == label):
            shared = float(iou(box, truths[image].boxes[row]))
            if shared > most:
                best, most = row, shared
        is_right = is_wrong = 0
        if most >= 0.5:
            if not truths[image].iscrowd[best]:
                is_right = (image, best) not in taken
                is_wrong = not is_right
                taken.add((image, best))
        else:
            is_wrong = 1
        right.append(is_right)
        wrong.append(is_wrong)
    right, wrong = np.cumsum(right), np.cumsum(wrong)
    recall = [0.0, *(right / counted), 1.0]
    precision = [0.0, *(right / np.maximum(right + wrong, 1)), 0.0]
    for place in range(len(precision) - 2, -1, -1):
        precision[place] = max(precision[place], precision[place + 1])
    return sum((recall[i + 1] - recall[i]) * precision[i + 1] for i in range(len(recall) - 1))


def random_case(rng):
    truths, answers = [], []
    for _ in range(rng.integers(1, 8)):
        count = rng.integers(0, 6)
        corner = rng.uniform(0, 40, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(5, 24, (count, 2))], axis=1)
        labels = rng.integers(0, 2, count)
        truths.append(Annotation.from_boxes(SIZE, boxes, labels, rng.uniform(size=count) < 0.2))
        near = np.concatenate([boxes, boxes])[rng.uniform(size=2 * count) < 0.7]
        found = near + rng.normal(0, 2, near.shape)
        answers.append(Prediction(found, rng.uniform(size=len(found)).round(1), rng.integers(0, 2, len(found))))
    return truths, answers


def test_the_numbers_are_those_of_the_rules():
    """Scores of one decimal: several boxes are as sure as each other."""
    rng, compared = np.random.default_rng(0), 0
    for _ in range(200):
        truths, answers = random_case(rng)
        found = average_precisions(truths, answers, CLASSES)
        for label, name in enumerate(CLASSES):
            there = any((truth.labels[~truth.iscrowd] == label).any() for truth in truths)
            assert (name in found) == there
            if there:
                assert found[name] == pytest.approx(one_by_one(truths, answers, label), abs=1e-9)
                compared += 1
        values = list(found.values())
        assert voc_metrics(truths, answers, CLASSES) == ({"VOC AP50": pytest.approx(np.mean(values))} if values else {})
    assert compared > 200


def test_a_second_box_is_wrong_and_a_difficult_object_neither():
    """Of two objects one is found twice: right, wrong, missed."""
    box, other, hard = [0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 60, 60]
    truth = Annotation.from_boxes(SIZE, [box, other, hard], [0, 0, 0], [False, False, True])
    found = Prediction(np.array([hard, box, box], float), np.array([0.9, 0.8, 0.7]), np.zeros(3, int))
    assert average_precisions([truth], [found], CLASSES) == {"a": 0.5}
    last = Prediction(np.array([box, box, other], float), np.array([0.9, 0.8, 0.7]), np.zeros(3, int))
    assert average_precisions([truth], [last], CLASSES)["a"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    nothing = Prediction(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    assert average_precisions([truth], [nothing], CLASSES) == {"a": 0.0}
