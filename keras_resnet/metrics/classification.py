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
    from sklearn.metrics import precision_recall_fscore_support

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
    return analysis | describe_confusion(labels, predicted, classes)


def describe_confusion(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return how often each label was `predicted` as which, both int (N,), as {"confusion"}: a matrix with rows for
    labels and columns for predictions; or of many `classes` the most frequent mistakes as {"confused"}."""
    if len(classes) <= MAX_MATRIX_CLASSES:
        return {"confusion": count_pairs(labels, predicted, len(classes)).tolist()}
    return {"confused": _most_confused(labels, predicted, classes)}


def count_pairs(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix, int64 (classes, classes), of labels (N,) and predictions (N,)."""
    cells = np.bincount(labels.astype(np.int64) * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes)


def _most_confused(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the pairs of classes with the most mistakes, the most frequent first. A matrix of 21,841 classes would
    take 3.8 GB, so that only the pairs that there are are counted."""
    wrong = labels != predicted
    cells, counts = np.unique(labels[wrong].astype(np.int64) * len(classes) + predicted[wrong], return_counts=True)
    most = np.argsort(-counts, kind="stable")[:MAX_PAIRS]
    return [
        {"label": classes[cell // len(classes)], "prediction": classes[cell % len(classes)], "images": count}
        for cell, count in zip(cells[most].tolist(), counts[most].tolist(), strict=True)
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
