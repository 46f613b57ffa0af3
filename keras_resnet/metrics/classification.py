"""Analyze classifications beyond accuracy: numbers by class, confusion matrix, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Of more classes than this the most confused pairs are listed instead of a matrix.
MAX_MATRIX_CLASSES, MAX_PAIRS = 40, 20
# As many as in Guo et al. 2017, section 5.
CALIBRATION_BINS = 15


def softmax(logits: Sequence[np.ndarray]) -> np.ndarray:
    """Turn N logits (classes,) into probabilities (N, classes), float64."""
    stacked = np.stack(logits).astype(np.float64)
    exponents = np.exp(stacked - stacked.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def analyze_classification(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return {"by_class", "confusion" or "confused", "calibration"} of probabilities (N, classes) and labels (N,)."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted, numbers = probabilities.argmax(axis=1), np.arange(len(classes))
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, predicted, labels=numbers, zero_division=np.nan
    )
    rows = zip(classes, images, recall, precision, f1, strict=True)
    analysis: dict[str, Any] = {
        "by_class": [
            {
                "label": name,
                "images": int(n),
                "recall": _nan_to_none(r),
                "precision": _nan_to_none(p),
                "f1": _nan_to_none(f),
            }
            for name, n, r, p, f in rows
            if n
        ],
        "calibration": compute_calibration(probabilities.max(axis=1), predicted == labels),
    }
    return analysis | describe_confusion(confusion_matrix(labels, predicted, labels=numbers), classes)


def describe_confusion(matrix: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return a confusion matrix, rows ground truth and columns predictions, as {"confusion"}, or of many `classes` its
    largest mistakes as {"confused"}."""
    if len(classes) <= MAX_MATRIX_CLASSES:
        return {"confusion": matrix.tolist()}
    return {"confused": _most_confused(matrix, classes)}


def _most_confused(matrix: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the pairs of classes with the most mistakes in a confusion matrix, the most frequent first."""
    wrong = matrix * (1 - np.eye(len(classes), dtype=int))
    first = np.argsort(-wrong, axis=None, kind="stable")[:MAX_PAIRS]
    pairs = [divmod(int(cell), len(classes)) for cell in first]
    return [
        {"label": classes[label], "prediction": classes[predicted], "images": int(wrong[label, predicted])}
        for label, predicted in pairs
        if wrong[label, predicted]
    ]


def compute_calibration(
    confidence: np.ndarray, correct: np.ndarray, bin_count: int = CALIBRATION_BINS
) -> dict[str, Any]:
    """Compare confidence (N,), 0–1, with accuracy, in bins of equal width, each with its upper end: correct bool (N,).

    Returns {"error": the expected calibration error (Guo et al. 2017, section 2), "bins": [{"confidence", "accuracy",
    "images"}, …]}: of predictions with a confidence near 80%, 80% are correct if calibration is perfect.
    """
    bin_numbers = np.clip(np.ceil(confidence * bin_count).astype(int) - 1, 0, bin_count - 1)
    bins = [
        {
            "confidence": float(confidence[rows].mean()),
            "accuracy": float(correct[rows].mean()),
            "images": int(rows.sum()),
        }
        for rows in (bin_numbers == number for number in range(bin_count))
        if rows.any()
    ]
    error = sum(each["images"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / len(confidence)
    return {"error": float(error), "bins": bins}


def _nan_to_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
