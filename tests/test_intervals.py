"""How far a measured drop may be off."""

import numpy as np
import pytest
from test_detections import random_case

from keras_resnet import coco, intervals


def test_of_shares():
    n = 400
    same = np.ones(n, bool)
    low, high = intervals.of_shares(same, same)
    assert low < 0 < high < 0.01
    worse = same.copy()
    worse[:40] = False
    low, high = intervals.of_shares(same, worse)
    assert 0.06 < low < 0.1 < high < 0.14
    mirrored = intervals.of_shares(worse, same)
    np.testing.assert_allclose(mirrored, (-high, -low))


def test_a_bootstrap_is_as_wide_as_theory_says():
    """Of a mean the standard error is known."""
    rng = np.random.default_rng(0)
    before, after = rng.normal(0.8, 0.1, 400), rng.normal(0.7, 0.1, 400)
    low, high = intervals.of_scores(lambda rows: before[rows].mean(), lambda rows: after[rows].mean(), 400)
    drops = before - after
    assert (low + high) / 2 == pytest.approx(drops.mean())
    assert (high - low) / 2 == pytest.approx(intervals.Z_95 * drops.std() / 20, rel=0.15)
    # Pairs that err alike have no drop to be unsure of.
    low, high = intervals.of_scores(lambda rows: before[rows].mean(), lambda rows: before[rows].mean() - 0.01, 400)
    assert (low, high) == pytest.approx((0.01, 0.01))


def test_resamples_with_nothing_to_score_are_left_out():
    def score(rows):
        return float("nan") if 0 not in rows else float(np.mean(rows)) / 10

    low, high = intervals.of_scores(score, lambda rows: score(rows) / 2, 5)
    assert low < 0.1 < high


def images_of(cases):
    """Some random cases as one, with what the three classes need to be there."""
    truths, answers = zip(*cases, strict=True)
    return [each for some in truths for each in some], [each for some in answers for each in some]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_resampled_images_score_as_copies_of_them_do(kind):
    truths, answers = images_of([random_case(seed, kind) for seed in range(12)])
    score, rng = coco.resampled(truths, answers, "abc", kind), np.random.default_rng(0)
    assert score(np.arange(len(truths))) == pytest.approx(
        coco.numbers(truths, answers, "abc", kind)[0]["AP"], abs=1e-12
    )
    for _ in range(10):
        rows = rng.integers(len(truths), size=len(truths))
        copies = [truths[row] for row in rows], [answers[row] for row in rows]
        assert score(rows) == pytest.approx(coco.numbers(*copies, "abc", kind)[0]["AP"], abs=1e-12)
    empty = [row for row, each in enumerate(truths) if not len(each.labels)]
    assert np.isnan(score(np.full(len(truths), empty[0])))
