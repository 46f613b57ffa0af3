"""Hold what an evaluation gives: predictions, ground truth, and the metrics of a task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic

import numpy as np
from typing_extensions import TypeVar

OutputsT = TypeVar("OutputsT", default=Any)
GroundTruthT = TypeVar("GroundTruthT", default=Any)
PredictionT = TypeVar("PredictionT", default=Any)


@dataclass(frozen=True)
class Metrics:
    """values: by name, 0–1; the first is the task's main metric, and an exported file may lose little of any.
    details: further numbers. intervals: 95% intervals of some of both. by_class: the main metric of each class that
    has samples. correct: bool (N,), where a prediction is right or wrong; None where it is neither."""

    values: dict[str, float]
    by_class: dict[str, float]
    details: dict[str, float] = field(default_factory=dict)
    correct: np.ndarray | None = None
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def is_correct(self) -> np.ndarray:
        """`correct`, of a task whose predictions are right or wrong."""
        assert self.correct is not None
        return self.correct


@dataclass(frozen=True)
class Evaluation(Generic[OutputsT, GroundTruthT, PredictionT]):
    """What a model gave on a split. predictions: one for each sample, as the task's `postprocess` makes them. outputs:
    float32 (N, …) or a dict of them, of the first samples only. ground_truth: of all samples, (N, …) or a dict."""

    metrics: Metrics
    predictions: list[PredictionT]
    outputs: OutputsT
    ground_truth: GroundTruthT

    @property
    def metric(self) -> str:
        """The name of the main metric."""
        return next(iter(self.metrics.values))

    @property
    def value(self) -> float:
        """The main metric, 0–1."""
        return self.metrics.values[self.metric]

    @property
    def samples(self) -> int:
        """The number of samples scored."""
        return len(self.predictions)


def accuracy_by_class(correct: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    """Compute the accuracy on the samples of each class: correct bool (N,), labels int (N,)."""
    known, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shares = np.bincount(numbers, correct) / counts
    return {classes[label]: float(share) for label, share in zip(known, shares, strict=True)}
