"""What `kresnet calibrate` fits to a network, on any device: the temperature of a classifier and its rule for images
of none of its classes, and the score thresholds of a detector.

Imports nothing but NumPy. All of it stands in the metadata of exported files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

# The answer for images that are rejected.
UNKNOWN = "unknown"
# Temperatures are fitted between these; what a file has beyond them is damage.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
# Of the energy: Liu et al. 2020 (section 4.1) found no other temperature to be better.
ENERGY_TEMPERATURE = 1.0
ENERGY, MAX_LOGIT = "energy", "max-logit"
SCORES = (ENERGY, MAX_LOGIT)


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return the probabilities of logits (…, classes) divided by `temperature` (Guo et al. 2017, section 4.2), in the
    logits' type."""
    scaled = logits / temperature if temperature != 1 else logits
    exponents = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def score_logits(logits: np.ndarray, score: str, temperature: float = ENERGY_TEMPERATURE) -> np.ndarray:
    """Return how much images look like those of the classes, float64 (N,), of logits (N, classes).

    score: "energy", the negative free energy T·log Σ exp(logit / T) (Liu et al. 2020, "Energy-based Out-of-distribution
    Detection", equation 4), or "max-logit", the largest logit (Hendrycks et al. 2022, "Scaling Out-of-Distribution
    Detection for Real-World Settings").
    """
    logits = logits.astype(np.float64)
    largest = logits.max(axis=-1)
    if score == MAX_LOGIT:
        return np.asarray(largest)
    exponents = np.exp((logits - largest[..., None]) / temperature)
    return np.asarray(largest + temperature * np.log(exponents.sum(axis=-1)))


def _require_temperature(value: float) -> None:
    if not MIN_TEMPERATURE <= value <= MAX_TEMPERATURE:
        raise ValueError(f"a temperature must be {MIN_TEMPERATURE} to {MAX_TEMPERATURE:g}. Received: {value}")


@dataclass(frozen=True)
class Rejection:
    """When an image is rejected: where its score (see `score_logits`) is less than `threshold`.

    temperature: of the energy. accepts: the share of validation images, 0–1, that the threshold was set to accept.
    """

    score: str
    temperature: float
    threshold: float
    accepts: float

    def __post_init__(self) -> None:
        _require_temperature(self.temperature)
        if not math.isfinite(self.threshold) or not 0 < self.accepts <= 1:
            raise ValueError(f"not a rejection rule: {self}")
        if self.score not in SCORES:
            raise ValueError(f"score must be one of {', '.join(SCORES)}. Received: {self.score!r}")

    def rejects(self, logits: np.ndarray) -> np.ndarray:
        """Return which images are rejected, bool (N,), of logits (N, classes)."""
        return np.asarray(self.scores(logits) < self.threshold)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return the score of each image, float64 (N,), of logits (N, classes)."""
        return score_logits(logits, self.score, self.temperature)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Confidence:
    """What was fitted to a network. temperature: what a classifier's logits are divided by before the softmax.
    rejection: when an image is of none of its classes, None where no rule was set. score_thresholds: of each class of
    a detector the score, 0–1, from which its objects are shown; () where none were fitted."""

    temperature: float = 1.0
    rejection: Rejection | None = None
    score_thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _require_temperature(self.temperature)
        for each in self.score_thresholds:
            if not 0 <= each <= 1:
                raise ValueError(f"a score threshold must be 0 to 1. Received: {each}")

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it; nothing of what is as without `kresnet calibrate`."""
        fitted: dict[str, Any] = {}
        if self.temperature != 1:
            fitted["temperature"] = self.temperature
        if self.rejection:
            fitted["rejection"] = self.rejection.as_dict()
        if self.score_thresholds:
            fitted["score_thresholds"] = list(self.score_thresholds)
        return fitted

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Confidence:
        """Parse what `as_dict` made, among other keys. Raises ValueError, TypeError, KeyError or OverflowError for
        anything else."""
        rule = document.get("rejection")
        temperature = _to_float(document.get("temperature", 1.0))
        thresholds = document.get("score_thresholds", [])
        if not isinstance(thresholds, list):
            raise TypeError(f"score_thresholds must be a list. Received: {type(thresholds).__name__}")
        if rule is not None:
            numbers = (_to_float(rule[name]) for name in ("temperature", "threshold", "accepts"))
            rule = Rejection(rule["score"], *numbers)
        return cls(temperature, rule, tuple(map(_to_float, thresholds)))


def _to_float(value: Any) -> float:
    """Return a number of JSON. Raises TypeError for anything else: `float` would take "0.5" and true for numbers."""
    if type(value) not in (int, float):
        raise TypeError(f"not a number: {value!r}")
    return float(value)


UNCALIBRATED = Confidence()
