"""What a task says of answers: how good they are, and where."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Metrics:
    """values: what counts, 0–1, by the metric's name; the first is the task's, and a file may lose little of any.
    details: further numbers. by_class: the first, of the samples of each class that has some. correct: bool (N,), where
    an answer is right or wrong; None where it is not."""

    values: dict[str, float]
    by_class: dict[str, float]
    details: dict[str, float] = field(default_factory=dict)
    correct: np.ndarray | None = None


def right_by_class(correct: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    """The share of right answers of the samples of each class: bool (N,), int (N,)."""
    return {classes[label]: float(correct[labels == label].mean()) for label in np.unique(labels)}
