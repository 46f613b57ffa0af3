"""How far a measured drop may be off."""

from math import comb

import numpy as np
import pytest
from detection_cases import random_case
from scipy.special import gammaln, xlogy

from keras_resnet.metrics import coco, confidence_interval


def test_of_shares():
    n = 400
    same = np.ones(n, bool)
    low, high = confidence_interval.paired_proportion_ci(same, same)
    assert low < 0 < high < 0.01
    worse = same.copy()
    worse[:40] = False
    low, high = confidence_interval.paired_proportion_ci(same, worse)
    assert 0.06 < low < 0.1 < high < 0.14
    mirrored = confidence_interval.paired_proportion_ci(worse, same)
    np.testing.assert_allclose(mirrored, (-high, -low))


def test_the_published_example():
    """Approval of a prime minister in two surveys of the same 1,600 people: 794 approved twice, 570 never, 150 in the
    first alone and 86 in the second. Agresti, "Categorical Data Analysis", section 11.1: 0.021 to 0.059 of the plain
    Wald interval, which the half people change little."""
    before = np.repeat([True, True, False, False], [794, 150, 86, 570])
    after = np.repeat([True, False, True, False], [794, 150, 86, 570])
    assert confidence_interval.paired_proportion_ci(before, after) == pytest.approx((0.021, 0.059), abs=5e-4)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (5, 0), (6, 16), (16, 6), (8, 8), (9, 30)])
def test_mcnemars_test_is_the_binomial_one(only_first, only_second):
    """Twice the smaller tail of fair coins, at most 1."""
    first = np.repeat([True, False, True, False], [only_first, only_second, 40, 10])
    second = np.repeat([False, True, True, False], [only_first, only_second, 40, 10])
    count, least = only_first + only_second, min(only_first, only_second)
    expected = min(1.0, 2 * sum(comb(count, k) for k in range(least + 1)) / 2**count)
    assert confidence_interval.mcnemar_p_value(first, second) == pytest.approx(expected)


def test_versions_of_images_count_as_one_image():
    """Of one version it is the interval of proportions, of copies the same, of independent ones a narrower one."""
    rng = np.random.default_rng(0)
    before, after = rng.random((20, 300)) < 0.8, rng.random((20, 300)) < 0.75
    low, high = confidence_interval.paired_proportion_ci(before[0], after[0])
    differences = after.astype(float) - before
    assert confidence_interval.paired_mean_ci(differences[0]) == pytest.approx((-high, -low))
    assert confidence_interval.paired_mean_ci(np.mean([differences[0]] * 20, axis=0)) == pytest.approx((-high, -low))
    ours = confidence_interval.paired_mean_ci(differences.mean(axis=0))
    assert ours[0] < -0.05 < ours[1] and ours[1] - ours[0] < (high - low) / 3


def interval(lost, won, count):
    return confidence_interval._interval_of_counts(*(np.array([float(each)]) for each in (lost, won, count)))


def covered(n, lost, won):
    """The exact probability that the interval holds the true drop: over all that may come of `n` images, of which each
    is only the model's with probability `lost` and only the file's with `won`."""
    total, drop, rest = 0.0, lost - won, 1 - lost - won
    most = [min(n, int(n * p + 12 * (n * p + 1) ** 0.5)) for p in (lost, won)]
    for a in range(most[0] + 1):
        b = np.arange(min(most[1], n - a) + 1)
        log = gammaln(n + 1) - gammaln(a + 1) - gammaln(b + 1) - gammaln(n - a - b + 1)
        share = np.exp(log + xlogy(a, lost) + xlogy(b, won) + xlogy(n - a - b, rest))
        ends = [interval(a, each, n) for each in b]
        total += float(share[[low <= drop <= high for low, high in ends]].sum())
    return total


@pytest.mark.parametrize("n", [24, 100, 360])
@pytest.mark.parametrize(("lost", "won"), [(0.0, 0.0), (0.01, 0.01), (0.02, 0.005), (0.05, 0.02), (0.2, 0.1)])
def test_19_of_20_intervals_hold_the_true_drop(n, lost, won):
    """Whatever the rates, and also with few images, where a plain Wald interval often has no width at all."""
    assert covered(n, lost, won) >= 0.94


def test_macro_recall_of_one_class_is_accuracy():
    """Agresti & Coull 1998 add two samples of either kind: 0.8846 of 104, of 90 of 100."""
    correct, one = np.arange(100) < 90, np.zeros(100, int)
    margin = 1.96 * (0.8846 * 0.1154 / 104) ** 0.5
    expected = (0.8846 - margin, 0.8846 + margin)
    assert confidence_interval.mean_proportion_ci(correct, one) == pytest.approx(expected, abs=1e-4)
    before = np.arange(100) % 7 > 0
    assert confidence_interval.paired_mean_proportion_ci(before, correct, one) == pytest.approx(
        confidence_interval.paired_proportion_ci(before, correct)
    )


@pytest.mark.parametrize(
    ("images", "recalls"),
    [([200] * 3, [0.9, 0.8, 0.95]), ([100, 20, 5], [0.95, 0.8, 0.5]), ([20] * 7, [1.0] * 7), ([5] * 20, [0.9] * 20)],
)
def test_19_of_20_intervals_hold_the_true_macro_recall(images, recalls):
    """Also where classes are small, or not one prediction is wrong; the share is that of 400 drawn test sets."""
    rng = np.random.default_rng(0)
    labels, chances = np.repeat(np.arange(len(images)) + 3, images), np.repeat(recalls, images)
    held = {"value": 0, "drop": 0}
    for _ in range(400):
        low, high = confidence_interval.mean_proportion_ci(rng.random(len(labels)) < chances, labels)
        held["value"] += low <= np.mean(recalls) <= high
        drawn = rng.random(len(labels))
        before, after = drawn >= 0.01, (drawn < 0.01) | (drawn >= 0.04)
        low, high = confidence_interval.paired_mean_proportion_ci(before, after, labels)
        held["drop"] += low <= 0.02 <= high
    assert min(held.values()) >= 0.91 * 400


def test_the_mean_of_classes_is_as_uncertain_as_its_smallest_class():
    """The same 300 predictions: three classes of 100 images, or one of 290 and two of five."""
    correct = np.arange(300) % 10 > 0
    widths = [
        np.diff(confidence_interval.mean_proportion_ci(correct, np.repeat([0, 1, 2], images)))[0]
        for images in ([100] * 3, [290, 5, 5])
    ]
    assert widths[1] > 2.5 * widths[0]


def scored(file, n, rng):
    """Of `n` images a model is right on all, a file on all but a share `file`: an interval by the bootstrap."""
    wrong = (rng.random(n) < file).astype(float)
    return confidence_interval.bootstrap_ci(lambda rows: 1.0, lambda rows: 1 - wrong[rows].mean(), n)


def test_a_bootstrap_of_rare_differences_holds_the_true_drop_too():
    """Three of five samples of 24 images show nothing of what a file loses in one of fifty. A bare bootstrap takes
    these for the proof that it loses nothing, and is right less than half the time."""
    rng = np.random.default_rng(0)
    found = [scored(0.02, 24, rng) for _ in range(100)]
    assert np.mean([low <= 0.02 <= high for low, high in found]) >= 0.95
    assert np.mean([high - low > 2 * 1.9 / 26 for low, high in found]) == 1


@pytest.mark.parametrize(("lost", "won", "n"), [(0, 0, 60), (1, 0, 360), (3, 2, 360), (1, 1, 60), (0, 4, 40)])
def test_so_many_images_would_settle_it(lost, won, n):
    """With that many, differing as often, the interval's upper end is within the budget; with 5% fewer it is not."""
    before, after = np.ones(n, bool), np.ones(n, bool)
    after[:lost] = before[lost : lost + won] = False
    wanted = confidence_interval.samples_to_prove_proportion(before, after, 0.01)
    for factor, settled in ((1.0, True), (0.95, False)):
        many = round(wanted * factor)
        if many > n:
            assert (interval(lost * many / n, won * many / n, many)[1] <= 0.01) == settled
    assert wanted >= n


def test_images_that_settle_a_score():
    """Four times as many halve the bootstrap's margin; a drop that equals the budget is never settled."""
    assert confidence_interval.samples_to_prove_score(0.0, 0.02, 10_000, 0.01) == pytest.approx(40_000, rel=0.01)
    assert confidence_interval.samples_to_prove_score(0.01, 0.02, 100, 0.01) is None
    same = np.ones(100, bool)
    assert confidence_interval.samples_to_prove_proportion(same, np.arange(100) > 0, 0.01) is None


def test_a_bootstrap_is_as_wide_as_theory_says():
    """Of a mean the standard error is known; an image more that only one model gets right is added to it."""
    rng = np.random.default_rng(0)
    before, after = rng.normal(0.8, 0.1, 400), rng.normal(0.7, 0.1, 400)
    low, high = confidence_interval.bootstrap_ci(lambda rows: before[rows].mean(), lambda rows: after[rows].mean(), 400)
    drops = before - after
    assert (low + high) / 2 == pytest.approx(drops.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * np.hypot(drops.std() / 20, 1 / 402), rel=0.15)
    # Pairs that err alike are no proof that all do.
    low, high = confidence_interval.bootstrap_ci(
        lambda rows: before[rows].mean(), lambda rows: before[rows].mean() - 0.01, 400
    )
    assert (low, high) == pytest.approx((0.01 - 1.96 / 402, 0.01 + 1.96 / 402), rel=1e-3)


def test_resamples_with_nothing_to_score_are_left_out():
    def score(rows):
        return float("nan") if 0 not in rows else float(np.mean(rows)) / 10

    low, high = confidence_interval.bootstrap_ci(score, lambda rows: score(rows) / 2, 5)
    assert low < 0.1 < high


def images_of(cases):
    """Some random cases as one, with what the three classes need to be there."""
    truths, answers = zip(*cases, strict=True)
    return [each for some in truths for each in some], [each for some in answers for each in some]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_resampled_images_score_as_copies_of_them_do(kind):
    truths, answers = images_of([random_case(seed, kind) for seed in range(12)])
    score, rng = coco.bootstrap_ap(truths, answers, "abc", kind), np.random.default_rng(0)
    assert score(np.arange(len(truths))) == pytest.approx(
        coco.coco_metrics(truths, answers, "abc", kind)[0]["AP"], abs=1e-12
    )
    for _ in range(10):
        rows = rng.integers(len(truths), size=len(truths))
        copies = [truths[row] for row in rows], [answers[row] for row in rows]
        assert score(rows) == pytest.approx(coco.coco_metrics(*copies, "abc", kind)[0]["AP"], abs=1e-12)
    empty = [row for row, each in enumerate(truths) if not len(each.labels)]
    assert np.isnan(score(np.full(len(truths), empty[0])))


@pytest.mark.parametrize(("area", "known", "unknown"), [(0.07, 360, 180), (0.5, 40, 25), (0.93, 12, 500), (0.4, 5, 3)])
def test_the_interval_of_an_auroc_ends_where_it_is_z_standard_errors_away(area, known, unknown):
    """By Hanley and McNeil's variance as they write it (1982, equation 1), with the mean number of images for both."""
    mean = (known + unknown) / 2

    def error(area):
        first, second = area / (2 - area), 2 * area**2 / (1 + area)
        pairs = area * (1 - area) + (mean - 1) * (first - area**2) + (mean - 1) * (second - area**2)
        return (pairs / (known * unknown)) ** 0.5

    low, high = confidence_interval.auroc_ci(area, known, unknown)
    assert low < area < high
    assert area - low == pytest.approx(1.959964 * error(low)) and high - area == pytest.approx(1.959964 * error(high))
    assert confidence_interval.auroc_ci(1 - area, known, unknown) == pytest.approx((1 - high, 1 - low))


def test_the_interval_of_an_auroc_holds_the_true_area_in_95_of_100_samples():
    from scipy.stats import norm

    generator = np.random.default_rng(0)
    area, covered = norm.cdf(0.8 / 2**0.5), 0
    for _ in range(400):
        known, unknown = generator.normal(0.8, 1, 30), generator.normal(0, 1, 50)
        low, high = confidence_interval.auroc_ci(float((known[:, None] > unknown).mean()), 30, 50)
        covered += low <= area <= high
    assert 0.92 < covered / 400 < 0.98


def test_the_interval_of_an_auroc_of_0_or_1_is_no_point():
    low, high = confidence_interval.auroc_ci(0.0, 5, 3)
    assert low == 0 and 0.3 < high < 0.6 and confidence_interval.auroc_ci(1.0, 5, 3) == pytest.approx((1 - high, 1))
    assert confidence_interval.auroc_ci(0.0, 500, 300)[1] < 0.02
