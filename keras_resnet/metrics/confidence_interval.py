"""Compute 95% confidence intervals of a measured drop and of an AUROC, whether two models differ by chance, and how
many images would make an interval narrow enough."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from keras_resnet.progress import track

Z_95 = 1.959963985
# Efron & Tibshirani 1993 ("An Introduction to the Bootstrap"), section 6.4: 200 resamples suffice for a standard error.
RESAMPLES = 200
SEED = 0
# Nobody would wait for more images than this.
MAX_SAMPLES = 100_000_000


def paired_proportion_ci(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Compute the 95% interval of the drop in accuracy, for correct predictions bool (N,) of two models on the same
    samples.

    Agresti & Min 2005 ("Simple improved confidence intervals for comparing matched proportions"):
    a Wald interval with half a sample added to each cell. Unlike a bootstrap it does not shrink to
    nothing when both models err on the same images.
    """
    lost, won = (np.array([np.sum(each)]) for each in (before & ~after, ~before & after))
    return _interval_of_counts(lost, won, np.array([len(before)]))


def paired_mean_ci(differences: np.ndarray) -> tuple[float, float]:
    """Compute the 95% interval of the mean of `differences` (N,), each -1 to 1, of two models on the same samples: by
    how much more of the versions of a sample the one gets right than the other.

    As in `paired_proportion_ci`, which it is where there is one version, half a sample is added to each of the four
    cells: a difference of 1 and of -1, and of 0 twice.
    """
    samples = len(differences) + 2
    mean = float(np.sum(differences)) / samples
    variance = (float(np.sum(differences**2)) + 1) / samples - mean**2
    margin = Z_95 * math.sqrt(variance / samples)
    return max(-1.0, mean - margin), min(1.0, mean + margin)


def mcnemar_p_value(first: np.ndarray, second: np.ndarray) -> float:
    """Compute the two-sided p-value of McNemar's exact test for correct predictions bool (N,) of two models on the same
    samples: how probable it is that those that only one of them gets right fall as unevenly on the two, or more so, if
    both are equally good.

    McNemar 1947 ("Note on the sampling error of the difference between correlated proportions"), with the binomial
    distribution in place of chi-squared (Dietterich 1998, section 3.1, recommends it for two classifiers).
    """
    from scipy.stats import binomtest

    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(~first & second))
    if not only_first + only_second:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def mean_proportion_ci(correct: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Compute the 95% interval of macro recall: of the mean, over the `groups` int (N,) that there are, of the share of
    each that is `correct`, bool (N,). In a single group that is accuracy.

    Price & Bonett 2004 ("An improved confidence interval for a linear function of binomial proportions"): Wald's
    interval with two samples more of either kind, shared among the groups; of one group it is Agresti & Coull's (1998).
    """
    numbers, counts = _count_by_group(groups)
    shared = 2 / len(counts)
    samples = counts + 2 * shared
    shares = (np.bincount(numbers, correct, len(counts)) + shared) / samples
    margin = Z_95 * math.sqrt(float(np.sum(shares * (1 - shares) / samples))) / len(counts)
    return max(0.0, float(shares.mean()) - margin), min(1.0, float(shares.mean()) + margin)


def paired_mean_proportion_ci(before: np.ndarray, after: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Compute the 95% interval of the drop in macro recall, for correct predictions bool (N,) of two models on the same
    samples, in `groups` int (N,).

    The variance of the drop is that of `paired_proportion_ci` in each group, of which the mean is taken; the half
    samples are shared among the groups, as Price & Bonett share theirs. Of one group it is `paired_proportion_ci`.
    """
    numbers, counts = _count_by_group(groups)
    lost, won = (np.bincount(numbers, each, len(counts)) for each in (before & ~after, ~before & after))
    return _interval_of_counts(lost, won, counts)


def _count_by_group(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each sample's group, counted from 0 over those that there are, and how many each has."""
    _, numbers, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return numbers, counts


def _interval_of_counts(lost: np.ndarray, won: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Compute `paired_mean_proportion_ci` from how many of the `counts` samples (groups,) only the one or only the
    other model predicts correctly."""
    half = 0.5 / len(counts)
    samples = counts + 4 * half
    lost, won = (lost + half) / samples, (won + half) / samples
    variance = float(np.sum((lost + won - (lost - won) ** 2) / samples)) / len(counts) ** 2
    drop, margin = float(np.mean(lost - won)), Z_95 * math.sqrt(variance)
    return max(-1.0, drop - margin), min(1.0, drop + margin)


def bootstrap_ci(
    before: Callable[[np.ndarray], float], after: Callable[[np.ndarray], float], count: int
) -> tuple[float, float]:
    """Compute the 95% interval of the drop in a score that is no mean over `count` samples, such as mAP. `before` and
    `after` score the samples of the rows (count,) that they are given, in which some come several times.

    It is the drop, give or take Z_95 times its standard error by a paired bootstrap: both models are scored on the same
    resamples (Efron & Tibshirani 1993, chapter 6). Those in which there is nothing to score, NaN, are left out. To its
    square is added what Agresti & Min's half samples come to, so that two models that predict these samples alike are
    not taken to predict all alike.
    """
    rng, rows = np.random.default_rng(SEED), np.arange(count)
    with track([rng.integers(count, size=count) for _ in range(RESAMPLES)], "resampling", "resamples") as resamples:
        drops = np.array([before(each) - after(each) for each in resamples])
    known = drops[~np.isnan(drops)]
    error = float(np.std(known, ddof=1)) if len(known) > 1 else 1.0
    drop, margin = before(rows) - after(rows), Z_95 * math.hypot(error, 1 / (count + 2))
    return max(-1.0, drop - margin), min(1.0, drop + margin)


def auroc_ci(auroc: float, known: int, unknown: int) -> tuple[float, float]:
    """Compute the 95% interval of an area under the ROC curve, 0–1, of so many `known` and `unknown` images.

    Newcombe 2006 ("Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2"),
    method 5: the areas from which this one is Z_95 standard errors away, by the variance of Hanley & McNeil 1982 with
    the mean of both numbers of images. Unlike a bootstrap it does not shrink to nothing at 0 and at 1.
    """
    from scipy.optimize import brentq

    mean_count = (known + unknown) / 2 - 1

    def excess(area: float) -> float:
        spread = 1 + mean_count * ((1 - area) / (2 - area) + area / (1 + area))
        return abs(auroc - area) - Z_95 * math.sqrt(area * (1 - area) * spread / (known * unknown))

    # At both ends the variance is 0, which is no root to be found.
    inside = min(max(auroc, 1e-9), 1 - 1e-9)
    return float(brentq(excess, 0, inside)), float(brentq(excess, inside, 1))


def samples_to_prove_proportion(before: np.ndarray, after: np.ndarray, budget: float) -> int | None:
    """Return how many samples would bring the upper end of `paired_proportion_ci` down to `budget`, if predictions
    differ on them as often as on these; None where no number would."""
    count = len(before)
    # Of one group.
    lost, won = (np.array([np.mean(each)]) for each in (before & ~after, ~before & after))
    return _smallest_count(lambda n: _interval_of_counts(lost * n, won * n, np.array([n]))[1] <= budget, count)


def samples_to_prove_score(drop: float, high: float, count: int, budget: float) -> int | None:
    """Return the same for `bootstrap_ci`, which gave a `drop` and the upper end `high` for `count` samples: the
    bootstrap's variance falls as their number grows."""
    variance = max(0.0, ((high - drop) / Z_95) ** 2 - 1 / (count + 2) ** 2) * count
    return _smallest_count(lambda n: drop + Z_95 * math.sqrt(variance / n + 1 / (n + 2) ** 2) <= budget, count)


def _smallest_count(is_enough: Callable[[int], bool], least: int) -> int | None:
    """Return the smallest number from `least` on that `is_enough`; None above MAX_SAMPLES."""
    many = max(1, least)
    while not is_enough(many):
        least, many = many, 2 * many
        if many > MAX_SAMPLES:
            return None
    while least < many:
        middle = (least + many) // 2
        least, many = (least, middle) if is_enough(middle) else (middle + 1, many)
    return many
