"""Score thresholds of a detector's classes, against a plain loop over all thresholds and cases worked out by hand."""

import numpy as np
import pytest

from keras_resnet.metrics.detection import HIT, IGNORED, WRONG, ClassMatches
from keras_resnet.metrics.score_thresholds import (
    MIN_OBJECTS,
    fit_threshold,
    fit_thresholds,
    mean_f1,
    pool_matches,
)


def matches(*pairs, objects):
    """Predictions as (score, outcome), and how many objects there are."""
    scores, outcomes = zip(*pairs, strict=True) if pairs else ((), ())
    return ClassMatches(np.array(scores, float), np.array(outcomes, int), objects)


def plain_f1(each, threshold):
    right = sum(1 for s, o in zip(each.scores, each.outcomes, strict=True) if s >= threshold and o == HIT)
    wrong = sum(1 for s, o in zip(each.scores, each.outcomes, strict=True) if s >= threshold and o == WRONG)
    precision = right / (right + wrong) if right else 0.0
    recall = right / each.objects
    return 2 * precision * recall / (precision + recall) if right else 0.0


def test_no_threshold_has_a_better_f1():
    rng = np.random.default_rng(0)
    for _ in range(60):
        count = int(rng.integers(1, 60))
        scores = rng.uniform(0.05, 1, count).round(int(rng.integers(1, 6))).clip(0.05).astype(np.float32)
        outcomes = rng.choice([HIT, WRONG, IGNORED], count, p=[0.5, 0.4, 0.1])
        if HIT not in outcomes:
            continue
        each = ClassMatches(scores, outcomes, int((outcomes == HIT).sum() + rng.integers(0, 20)))
        threshold = fit_threshold(each)
        best = max(plain_f1(each, other) for other in np.linspace(0.05, 1, 1901))
        assert 0.05 <= threshold < 1 and plain_f1(each, threshold) >= best - 1e-12
        assert each.f1(threshold) == pytest.approx(plain_f1(each, threshold))


def test_it_lies_between_two_scores_and_of_several_nearest_to_the_usual_one():
    assert fit_threshold(matches((0.9, HIT), (0.5, WRONG), objects=1)) == pytest.approx(0.7)
    # All are right: the lowest one, and 0.05, below which nothing is predicted.
    assert fit_threshold(matches((0.9, HIT), (0.45, HIT), objects=2)) == pytest.approx(0.25)
    # One of three from 0.9 on, two of six from 0.1 on: F1 is the same.
    even = matches((0.9, HIT), (0.5, WRONG), (0.4, WRONG), (0.2, WRONG), (0.1, HIT), objects=2)
    assert even.f1(0.7) == pytest.approx(2 / 3) and even.f1(0.08) == pytest.approx(4 / 7)
    assert fit_threshold(even) == pytest.approx(0.7)
    tie = matches((0.9, HIT), (0.4, WRONG), (0.2, IGNORED), objects=1)
    assert fit_threshold(tie) == pytest.approx(0.65)
    crowd = matches((0.9, HIT), (0.3, IGNORED), (0.2, IGNORED), objects=1)
    assert fit_threshold(crowd) == pytest.approx(0.25)  # of 0.6, 0.25 and 0.125, all with the same F1
    assert fit_threshold(matches((0.05, HIT), objects=1)) == 0.05


def test_classes_with_few_objects_get_the_threshold_of_all():
    many = matches(*[(0.8, HIT)] * MIN_OBJECTS, (0.6, WRONG), objects=MIN_OBJECTS)
    few = matches((0.4, HIT), objects=MIN_OBJECTS - 1)
    lost = matches((0.9, WRONG), objects=MIN_OBJECTS)
    fitted = fit_thresholds({"many": many, "few": few, "lost": lost}, ("none", "few", "lost", "many"))
    overall = fit_threshold(pool_matches([many, few, lost]))
    assert list(fitted.by_class) == ["none", "few", "lost", "many"] and fitted.overall == overall
    assert fitted.values == (overall, overall, overall, pytest.approx(0.7))
    notes = {name: each.note for name, each in fitted.by_class.items()}
    assert notes == {
        "none": "0 objects, fewer than 10",
        "few": "9 objects, fewer than 10",
        "lost": "none of its 10 objects is found",
        "many": "",
    }
    assert mean_f1({"many": many, "lost": lost}, {"many": 0.7, "lost": 0.7, "few": 0}) == pytest.approx(0.5)


def test_nothing_is_fitted_where_no_object_is_found():
    assert fit_threshold(matches(objects=3)) is None
    assert fit_thresholds({"cup": matches((0.9, WRONG), objects=20)}, ("cup",)) is None
    assert fit_thresholds({}, ("cup",)) is None
