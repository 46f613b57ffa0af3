"""What people ask of answers beyond the metric: what is taken for what, and whether it is as sure as it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Of more classes than this the pairs that are confused most are told instead of a matrix.
MATRIX, PAIRS = 40, 20
BINS = 10


def counted(shares: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Probabilities (N, classes) and labels (N,) → {"by_class", "confusion" or "confused", "calibration"}."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    answered, numbers = shares.argmax(axis=1), np.arange(len(classes))
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, answered, labels=numbers, zero_division=np.nan
    )
    rows = zip(classes, images, recall, precision, f1, strict=True)
    found: dict[str, Any] = {
        "by_class": [
            {"label": name, "images": int(n), "recall": _known(r), "precision": _known(p), "f1": _known(f)}
            for name, n, r, p, f in rows
            if n
        ],
        "calibration": calibration(shares.max(axis=1), answered == labels),
    }
    matrix = confusion_matrix(labels, answered, labels=numbers)
    if len(classes) <= MATRIX:
        return found | {"confusion": matrix.tolist()}
    wrong = matrix * (1 - np.eye(len(classes), dtype=int))
    first = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(place), len(classes)) for place in first]
    return found | {
        "confused": [
            {"label": classes[a], "answer": classes[b], "images": int(wrong[a, b])} for a, b in pairs if wrong[a, b]
        ]
    }


def calibration(sure: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Whether answers that are 80% sure are right in 80% of the cases. sure: (N,), 0–1; right: bool (N,) → {"error":
    the expected calibration error (Guo et al. 2017, section 2), "bins": [{"sure", "right", "images"}, …]}.
    """
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = [
        {"sure": float(sure[mine].mean()), "right": float(right[mine].mean()), "images": int(mine.sum())}
        for mine in (place == number for number in range(BINS))
        if mine.any()
    ]
    error = sum(each["images"] * abs(each["sure"] - each["right"]) for each in bins) / len(sure)
    return {"error": float(error), "bins": bins}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
