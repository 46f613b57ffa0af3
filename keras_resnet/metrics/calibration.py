"""Fit a temperature to a classifier's logits, and a threshold from which images count as those of its classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.metrics.classification import compute_calibration
from keras_resnet.progress import track
from keras_resnet.runtime.confidence import MAX_TEMPERATURE, MIN_TEMPERATURE, softmax

# Logarithms of the temperatures at which resamples are scored, a tenth apart; between three, a parabola is laid.
EXPONENTS = np.linspace(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE), 61)
# Efron & Tibshirani 1993 ("An Introduction to the Bootstrap"), section 19.3: percentiles take about a thousand.
RESAMPLES = 1000
# A probability of 0 has no logarithm.
TINY = np.finfo(np.float64).tiny
# How far below the lowest score the threshold lies that accepts all: other runtimes round otherwise.
MARGIN = 1e-6


@dataclass(frozen=True)
class Temperature:
    """A temperature, and why it was not fitted; "" where it was."""

    value: float
    note: str = ""


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Return the mean of -log p over images, of logits (N, classes) divided by `temperature` and labels (N,)."""
    return float(_losses(logits, labels, temperature).mean())


def _losses(logits: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
    """Return -log p of each image, float64 (N,)."""
    probabilities = softmax(logits.astype(np.float64), temperature)
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], TINY)))


def expected_calibration_error(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Return the mean distance, 0–1, of confidence and accuracy over bins of confidence (Guo et al. 2017, equation
    3), of logits (N, classes) divided by `temperature` and labels (N,)."""
    return float(measure_reliability(logits, labels, temperature)["error"])


def measure_reliability(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> dict[str, Any]:
    """Return the expected calibration error and its bins, as `compute_calibration` has them."""
    probabilities = softmax(logits.astype(np.float64), temperature)
    return compute_calibration(probabilities.max(axis=1), logits.argmax(axis=1) == labels)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> Temperature:
    """Return the temperature, 0.05–20, with the lowest negative log-likelihood (Guo et al. 2017, section 4.2), of
    logits (N, classes) and labels (N,).

    It is 1 where every image is classified correctly: the colder, the better it seems then, without an end.
    """
    if (logits.argmax(axis=1) == labels).all():
        return Temperature(1.0, "every image is classified correctly, so no temperature can be fitted")
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda exponent: negative_log_likelihood(logits, labels, float(np.exp(exponent))),
        bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return Temperature(float(np.exp(found.x)))


def temperature_ci(logits: np.ndarray, labels: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Compute the 95% interval of the temperature that `fit_temperature` fits to logits (N, classes) and labels (N,).

    By a percentile bootstrap over the images (Efron & Tibshirani 1993, chapter 13). A resample without a mistake, as
    some are where the network makes only a few, has the lowest temperature that there can be: nothing bounds it.
    """
    count = len(labels)
    with track(EXPONENTS, "measuring how uncertain the temperature is", "temperatures") as exponents:
        losses = np.stack([_losses(logits, labels, float(np.exp(each))) for each in exponents], axis=1)
    generator = np.random.default_rng(seed)
    draws = (np.bincount(generator.integers(count, size=count), minlength=count) for _ in range(RESAMPLES))
    fitted = [_find_minimum(EXPONENTS, each @ losses) for each in draws]
    low, high = np.exp(np.percentile(fitted, [2.5, 97.5]))
    return float(low), float(high)


def _find_minimum(places: np.ndarray, values: np.ndarray) -> float:
    """Return where the parabola through the smallest of `values` and its neighbors has its minimum; `places` are evenly
    spaced."""
    row = int(values.argmin())
    if row in (0, len(values) - 1):
        return float(places[row])
    before, least, after = values[row - 1 : row + 2]
    curvature = before - 2 * least + after
    shift = (before - after) / (2 * curvature) if curvature > 0 else 0.0
    return float(places[row] + shift * (places[1] - places[0]))


def split_in_halves(mistakes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of two halves of the images, drawn by `seed`; the second may have one more.

    mistakes: bool (N,), whether the model is wrong. Both halves have as many of them, give or take one: a network has
    few, and without any no temperature can be fitted.
    """
    rows = np.random.default_rng(seed).permutation(len(mistakes))
    rows = rows[np.argsort(mistakes[rows], kind="stable")]
    return rows[1::2], rows[::2]


def acceptance_threshold(scores: np.ndarray, accept: float) -> float:
    """Return the threshold from which the share `accept`, 0–1, of `scores` (N,) is accepted, or the least more that
    there can be. It lies between two scores, so that rounding in another runtime changes no answer."""
    ordered = np.sort(scores)
    # A share such as 0.9 of 10 is a little less than 9 in binary.
    rejected = min(int((1 - accept) * len(ordered) + 1e-9), len(ordered) - 1)
    if rejected == 0:
        return float(ordered[0] - MARGIN * max(1.0, abs(ordered[0])))
    return float((ordered[rejected - 1] + ordered[rejected]) / 2)


def separation(scores: np.ndarray, unknown: np.ndarray) -> float:
    """Return the area under the ROC curve, 0–1, of `scores` (N,) of images of the classes against those of `unknown`
    ones (M,): how often one of the former has the higher score."""
    from sklearn.metrics import roc_auc_score

    is_known = np.repeat([1, 0], [len(scores), len(unknown)])
    return float(roc_auc_score(is_known, np.concatenate([scores, unknown])))
