"""The temperature, the calibration error and the threshold for unknown images, against references of their own."""

import numpy as np
import pytest

from keras_resnet.metrics.calibration import (
    acceptance_threshold,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    separation,
    split_in_halves,
    temperature_ci,
)
from keras_resnet.runtime.confidence import Confidence, Rejection, score_logits, softmax


@pytest.fixture(scope="module")
def overconfident():
    """Logits three times those that the labels were drawn by."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1.5, (2000, 4))
    shares = softmax(logits)
    labels = (shares.cumsum(axis=1) > generator.random((2000, 1))).argmax(axis=1)
    return (3 * logits).astype(np.float32), labels


def test_the_error_is_that_computed_by_hand():
    """Two images of 60% in the bin to 60%, one of them right, and two of 90% in that to 93%, both right."""
    shares = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1], [0.1, 0.9]])
    labels = np.array([0, 1, 0, 1])
    assert expected_calibration_error(np.log(shares), labels) == pytest.approx(0.5 * 0.1 + 0.5 * 0.1)
    # Of a temperature of 2: shares of square roots.
    first, second = (np.sqrt(p) / (np.sqrt(p) + np.sqrt(1 - p)) for p in (0.6, 0.9))
    expected = 0.5 * abs(first - 0.5) + 0.5 * abs(second - 1)
    assert expected_calibration_error(np.log(shares), labels, 2.0) == pytest.approx(expected)


def test_the_temperature_is_that_of_a_grid_search(overconfident):
    from sklearn.metrics import log_loss

    logits, labels = overconfident
    grid = np.exp(np.linspace(np.log(2), np.log(4.5), 601))
    losses = [log_loss(labels, softmax(logits.astype(np.float64) / each)) for each in grid]
    fitted = fit_temperature(logits, labels)
    assert fitted.note == "" and fitted.value == pytest.approx(grid[np.argmin(losses)], rel=3e-3)
    assert 2.7 < fitted.value < 3.3
    assert negative_log_likelihood(logits, labels, fitted.value) == pytest.approx(min(losses), abs=1e-6)
    before, after = (expected_calibration_error(logits, labels, each) for each in (1.0, fitted.value))
    assert after < 0.03 < 0.1 < before


def test_without_a_mistake_there_is_no_temperature(overconfident):
    logits = overconfident[0]
    fitted = fit_temperature(logits, logits.argmax(axis=1))
    assert fitted.value == 1 and "every image is classified correctly" in fitted.note


def test_the_interval_of_the_temperature_is_that_of_refitted_resamples(overconfident):
    logits, labels = (each[:100] for each in overconfident)
    generator = np.random.default_rng(5)
    draws = (generator.integers(len(labels), size=len(labels)) for _ in range(500))
    refitted = [fit_temperature(logits[rows], labels[rows]).value for rows in draws]
    low, high = temperature_ci(logits, labels)
    assert (low, high) == pytest.approx(np.percentile(refitted, [2.5, 97.5]), rel=0.02)
    assert low < fit_temperature(logits, labels).value < high < 2 * low
    assert temperature_ci(logits, labels) == (low, high)


def test_a_temperature_of_few_mistakes_has_a_wide_interval(overconfident):
    """Down to the lowest temperature, because some resamples have no mistake."""
    logits, labels = overconfident
    right, wrong = (np.flatnonzero((logits.argmax(axis=1) == labels) == is_right) for is_right in (True, False))
    few = np.concatenate([right[:300], wrong[:2]])
    low, high = temperature_ci(logits[few], labels[few])
    assert low == pytest.approx(0.05) and high > 5 * low
    many = np.concatenate([right[:300], wrong[:60]])
    low, high = temperature_ci(logits[many], labels[many])
    assert high < 2 * low


def test_scores_are_those_of_the_papers():
    logits = np.array([[1.0, 2.0, 3.0], [-700.0, -800.0, -900.0], [1000.0, 0.0, 0.0]], np.float32)
    energy = score_logits(logits, "energy", 2.0)
    assert energy[0] == pytest.approx(2 * np.log(np.exp([0.5, 1, 1.5]).sum()))
    assert energy[1:] == pytest.approx([-700, 1000])
    assert score_logits(logits, "max-logit").tolist() == [3, -700, 1000]


@pytest.mark.parametrize("accept", [0.5, 0.9, 0.95, 1.0])
def test_the_threshold_accepts_the_share_that_was_asked_for(accept):
    scores = np.random.default_rng(0).normal(size=100)
    threshold = acceptance_threshold(scores, accept)
    assert (scores >= threshold).sum() == round(100 * accept)
    assert np.abs(scores - threshold).min() > 0


def test_the_threshold_of_few_scores():
    assert acceptance_threshold(np.array([1.0, 2.0]), 0.01) == 1.5
    assert acceptance_threshold(np.array([3.0, 3.0, 3.0, 4.0]), 0.5) == 3.0


def test_the_separation_is_the_area_under_the_roc_curve():
    generator = np.random.default_rng(0)
    known, unknown = generator.normal(1, 1, 80).round(1), generator.normal(0, 1, 50).round(1)
    wins = (known[:, None] > unknown).mean() + (known[:, None] == unknown).mean() / 2
    assert separation(known, unknown) == pytest.approx(wins)


def test_halves_are_drawn_by_the_seed():
    right = np.zeros(7, bool)
    first, second = split_in_halves(right, 0)
    assert sorted([*first, *second]) == list(range(7)) and len(first) == 3
    assert list(split_in_halves(right, 0)[0]) == list(first) != list(split_in_halves(right, 1)[0])


def test_halves_share_the_mistakes():
    mistakes = np.arange(100) < 4
    for seed in range(5):
        assert [int(mistakes[half].sum()) for half in split_in_halves(mistakes, seed)] == [2, 2]


@pytest.mark.parametrize(
    "document",
    [
        {"temperature": 0},
        {"temperature": 1e-300},
        {"temperature": float("inf")},
        {"temperature": "warm"},
        {"rejection": {"score": "energy", "temperature": 1, "threshold": float("nan"), "accepts": 0.9}},
        {"rejection": {"score": "odds", "temperature": 1, "threshold": 1, "accepts": 0.9}},
        {"rejection": {"score": "energy", "temperature": 1, "threshold": 1, "accepts": 0}},
        {"rejection": {"score": "energy", "temperature": 1, "threshold": 1}},
        {"rejection": "all"},
    ],
)
def test_what_is_no_calibration_is_refused(document):
    with pytest.raises((ValueError, KeyError, TypeError)):
        Confidence.from_dict(document)


def test_a_calibration_is_read_as_it_was_written():
    fitted = Confidence(1.7, Rejection("max-logit", 1.0, -0.3, 0.99))
    assert Confidence.from_dict(fitted.as_dict()) == fitted
    assert Confidence().as_dict() == {} and Confidence.from_dict({}) == Confidence()
