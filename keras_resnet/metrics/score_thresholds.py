"""Fit the score from which a detector's objects are shown: of each class the one with the best F1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.metrics.detection import HIT, WRONG, ClassMatches
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.postprocess import DISPLAY_THRESHOLD, SCORE_THRESHOLD

# Classes with fewer objects get the threshold of all classes: with ten objects, one more moves recall by ten points.
MIN_OBJECTS = 10


@dataclass(frozen=True)
class FittedThreshold:
    """The threshold of a class, and why it is that of all classes together; "" where it is its own."""

    value: float
    note: str = ""


@dataclass(frozen=True)
class FittedThresholds:
    """The threshold of all classes together, and those by class, in the order of the classes."""

    overall: float
    by_class: dict[str, FittedThreshold]

    @property
    def values(self) -> tuple[float, ...]:
        """The thresholds alone."""
        return tuple(each.value for each in self.by_class.values())


def fit_threshold(matches: ClassMatches) -> float | None:
    """Return the threshold with the best F1 (Lipton et al. 2014, "Optimal thresholding of classifiers to maximize F1
    measure"), half way between two scores; of several the one nearest to DISPLAY_THRESHOLD. None where no prediction
    is of an object.

    Predictions have scores of SCORE_THRESHOLD or more, so nothing is known of thresholds below it.
    """
    order = np.argsort(-matches.scores, kind="stable")
    scores, outcomes = matches.scores[order].astype(np.float64), matches.outcomes[order]
    hits, wrong = np.cumsum(outcomes == HIT), np.cumsum(outcomes == WRONG)
    if not len(hits) or not hits[-1]:
        return None
    # Equal scores are accepted together, and the last ones always can be.
    cuts = np.append(np.flatnonzero(scores[:-1] > scores[1:]), len(scores) - 1)
    below = np.append(scores[1:], SCORE_THRESHOLD)
    f1 = 2 * hits[cuts] / (hits[cuts] + wrong[cuts] + matches.objects)
    middles = (scores[cuts] + below[cuts]) / 2
    best = middles[np.isclose(f1, f1.max(), rtol=0, atol=1e-12)]
    return float(best[np.abs(best - DISPLAY_THRESHOLD).argmin()])


def fit_thresholds(matches: Mapping[str, ClassMatches], classes: Sequence[str]) -> FittedThresholds | None:
    """Fit a threshold to each of `classes` by its `matches`, see `fit_threshold`. A class with fewer than MIN_OBJECTS
    objects, or of which none is found, gets the threshold with the best F1 over the objects of all classes. None where
    no object of any class is found."""
    overall = fit_threshold(pool_matches(matches.values()))
    if overall is None:
        return None
    by_class: dict[str, FittedThreshold] = {}
    for name in classes:
        objects = matches[name].objects if name in matches else 0
        own = fit_threshold(matches[name]) if objects >= MIN_OBJECTS else None
        by_class[name] = FittedThreshold(overall, _why_not_own(objects)) if own is None else FittedThreshold(own)
    return FittedThresholds(overall, by_class)


def _why_not_own(objects: int) -> str:
    if objects >= MIN_OBJECTS:
        return f"none of its {objects:,} objects is found"
    return f"{counted(objects, 'object')}, fewer than {MIN_OBJECTS}"


def pool_matches(matches: Iterable[ClassMatches]) -> ClassMatches:
    """Return the matches of several classes as those of one."""
    parts = list(matches)
    return ClassMatches(
        np.concatenate([np.zeros(0), *(each.scores for each in parts)]),
        np.concatenate([np.zeros(0, int), *(each.outcomes for each in parts)]),
        sum(each.objects for each in parts),
    )


def mean_f1(matches: Mapping[str, ClassMatches], thresholds: Mapping[str, float]) -> float:
    """Return F1 at the thresholds of the classes, on average over the classes of which there are objects."""
    return float(np.mean([each.f1(thresholds[name]) for name, each in matches.items()]))
