"""Which images a report of a detector shows."""

import numpy as np

from keras_resnet.metrics.coco import Prediction
from keras_resnet.metrics.result import Evaluation, Metrics
from keras_resnet.tasks.detection import Detection


def evaluation(labeled, predicted, count=40):
    """Of `count` images, those at `labeled` with an object and those at `predicted` with a confident prediction."""
    truth = {
        "boxes": np.tile(np.float32([0, 0, 0.5, 0.5]), (count, 1, 1)),
        "labels": np.array([[0 if row in labeled else -1] for row in range(count)]),
        "iscrowd": np.zeros((count, 1), bool),
        "areas": np.full((count, 1), 16, np.float32),
        "sizes": np.full((count, 2), 8),
    }
    predictions = [
        Prediction(np.float32([[0, 0, 4, 4]]), np.float32([0.9 if row in predicted else 0.1]), np.array([0]))
        for row in range(count)
    ]
    return Evaluation(Metrics({}, [], {}), predictions, np.zeros(0), truth)


def test_images_with_objects_are_shown_and_empty_ones_only_where_all_are():
    task = Detection(("a",), np.zeros((0, 4)))
    shown = task.sample_predictions(evaluation({3, 5, 7}, {5, 20}), 12)
    assert [(each.row, each.caption) for each in shown] == [
        (3, "0 objects predicted, 1 labeled"),
        (5, "1 object predicted, 1 labeled"),
        (7, "0 objects predicted, 1 labeled"),
        (20, "1 object predicted, 0 labeled"),
    ]
    many = [each.row for each in task.sample_predictions(evaluation(set(range(0, 40, 2)), set()), 12)]
    assert len(many) == 12 and many[0] == 0 and many[-1] == 38 and not any(row % 2 for row in many)
    assert len(task.sample_predictions(evaluation(set(), set()), 12)) == 12
