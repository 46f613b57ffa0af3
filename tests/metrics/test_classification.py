"""Analyses of classifications: the confusion matrix, numbers by class, calibration."""

import numpy as np
import pytest

from keras_resnet.metrics.classification import analyze_classification, compute_calibration


def test_a_classification_is_analyzed():
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.35, 0.65], [0.25, 0.75]])
    found = analyze_classification(shares, np.array([0, 1, 1, 1]), ("cat", "dog"))
    assert found["confusion"] == [[1, 0], [1, 2]]
    assert [row["recall"] for row in found["by_class"]] == [1.0, pytest.approx(2 / 3)]
    assert found["by_class"][0]["precision"] == 0.5
    many = analyze_classification(np.eye(50)[[3, 3, 4]] * 0.9, np.array([3, 4, 4]), tuple(map(str, range(50))))
    assert "confusion" not in many and many["confused"] == [{"label": "4", "prediction": "3", "images": 1}]


def test_the_calibration_error_is_that_of_guo():
    """Always 80% sure and right in 60%: off by 20 points; of two bins by their shares."""
    assert compute_calibration(np.full(10, 0.8), np.arange(10) < 6)["error"] == pytest.approx(0.2)
    sure, right = np.array([0.95, 0.95, 0.55, 0.55]), np.array([True, True, True, False])
    found = compute_calibration(sure, right)
    assert found["error"] == pytest.approx((2 * 0.05 + 2 * 0.05) / 4)
    assert [each["images"] for each in found["bins"]] == [2, 2]
    of_each = compute_calibration((np.arange(15) + 0.5) / 15, np.ones(15, bool))
    assert [each["images"] for each in of_each["bins"]] == [1] * 15
