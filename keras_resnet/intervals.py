"""How far a measured drop may be off, for the images it was measured on are a sample: 95% intervals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from keras_resnet.progress import track

Z_95 = 1.959963985
# Efron & Tibshirani 1993 ("An Introduction to the Bootstrap"), section 6.4: 200 resamples suffice for a standard error.
RESAMPLES = 200
SEED = 0


def of_shares(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """That of the drop in the share of right answers, for two bool (N,) on the same samples.

    Agresti & Min 2005 ("Simple improved confidence intervals for comparing matched proportions"):
    a Wald interval with half a sample added to each cell. Unlike a bootstrap it does not shrink to
    nothing when both models err on the same images.
    """
    lost = float(np.sum(before & ~after)) + 0.5
    won = float(np.sum(~before & after)) + 0.5
    n = len(before) + 2
    difference = (lost - won) / n
    margin = Z_95 * math.sqrt((lost + won) - (lost - won) ** 2 / n) / n
    return max(-1.0, difference - margin), min(1.0, difference + margin)


def of_scores(
    before: Callable[[np.ndarray], float], after: Callable[[np.ndarray], float], count: int
) -> tuple[float, float]:
    """That of the drop in a score which is no mean over `count` samples, such as mAP. `before` and `after` score the
    samples of the rows (count,) that they are given, in which some come several times.

    The drop, give or take Z_95 times its standard error by a paired bootstrap: both models are scored on the same
    resamples (Efron & Tibshirani 1993, chapter 6). Those in which there is nothing to score, NaN, are left out.
    """
    rng, rows = np.random.default_rng(SEED), np.arange(count)
    with track([rng.integers(count, size=count) for _ in range(RESAMPLES)], "resampling", "resamples") as resamples:
        drops = [before(each) - after(each) for each in resamples]
    drop, margin = before(rows) - after(rows), Z_95 * float(np.nanstd(drops, ddof=1))
    return max(-1.0, drop - margin), min(1.0, drop + margin)
