"""Score predictions of several labels an image: average precision, F1, and the thresholds from which labels are
predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.metrics.labels import MACRO_F1, MAP, MICRO_F1
from keras_resnet.runtime.plurals import counted, verb

# From this probability on a label is predicted where none was fitted.
DEFAULT_THRESHOLD = 0.5
# A threshold that was fitted to fewer images with the label is uncertain: of ten, one more moves recall by ten points.
MIN_IMAGES = 10
# Labels that a sentence names.
MAX_NAMED = 5
# Recalls and thresholds at which curves are drawn.
CURVE_STEPS = np.linspace(0, 1, 101)
# Rows (count,) of samples, some several times → a score of them, NaN where there is nothing to score by.
Score = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class LabelScores:
    """What is predicted of one image: the probabilities (classes,) of its labels, and which are predicted, bool
    (classes,)."""

    probabilities: np.ndarray
    predicted: np.ndarray


def stack_scores(scores: Sequence[LabelScores]) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities (N, classes) of N images, and which labels are predicted, bool (N, classes)."""
    return np.stack([each.probabilities for each in scores]), np.stack([each.predicted for each in scores])


class RankedScores:
    """Probabilities (N, classes), ranked in each class once, for average precisions of many resamples of the N.

    truth: (N, classes), 1 where an image has the label.
    """

    def __init__(self, probabilities: np.ndarray, truth: np.ndarray) -> None:
        self._order = np.argsort(-probabilities, axis=0, kind="stable")
        ranked = np.take_along_axis(probabilities, self._order, axis=0)
        self._truth = np.take_along_axis(truth, self._order, axis=0).astype(float)
        # Equal probabilities are accepted together: of each place, the last one with the same probability.
        ends = np.vstack([ranked[1:] != ranked[:-1], np.ones((1, ranked.shape[1]), bool)])
        places = np.where(ends, np.arange(len(ranked))[:, None], len(ranked))
        self._last = np.minimum.accumulate(places[::-1], axis=0)[::-1]

    def average_precisions(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the average precision of each class (classes,): the mean precision at each of its images, NaN of a
        class that has none. It is that of scikit-learn's `average_precision_score`.

        weights: (N,), how often each image counts; None: once.
        """
        counts = np.ones(self._order.shape) if weights is None else weights[self._order]
        positives = counts * self._truth
        hits, accepted = np.cumsum(positives, axis=0), np.cumsum(counts, axis=0)
        precision = hits / np.maximum(accepted, 1)
        total = positives.sum(axis=0)
        weighted = (positives * np.take_along_axis(precision, self._last, axis=0)).sum(axis=0)
        return np.asarray(np.divide(weighted, total, out=np.full(total.shape, np.nan), where=total > 0))


def f1_scores(predicted: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Return F1 of each class (classes,), NaN of one that no image has, and F1 over all labels of all images (micro).

    predicted, truth: (N, classes), bool or 0 and 1. weights: see `RankedScores.average_precisions`.
    """
    predicted, truth = predicted.astype(float), truth.astype(float)
    counts = np.ones(len(truth)) if weights is None else weights
    hits, made, there = counts @ (predicted * truth), counts @ predicted, counts @ truth
    by_class = np.divide(2 * hits, made + there, out=np.full(there.shape, np.nan), where=there > 0)
    all_labels = (made + there).sum()
    return by_class, float(2 * hits.sum() / all_labels) if all_labels else float("nan")


def mean_known(values: np.ndarray) -> float:
    """Return the mean of what is not NaN; NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def compute_scores(scores: Sequence[LabelScores], truth: np.ndarray) -> dict[str, float]:
    """Return mAP, macro F1 and micro F1. The first two are means over the classes that some image of `truth`
    (N, classes) has."""
    return {name: bootstrap_score(name, scores, truth)(np.arange(len(truth))) for name in (MAP, MACRO_F1, MICRO_F1)}


def bootstrap_score(metric: str, scores: Sequence[LabelScores], truth: np.ndarray) -> Score:
    """Return a function that computes `metric` of any resample of the images."""
    probabilities, predicted = stack_scores(scores)
    count = len(truth)
    if metric == MAP:
        ranked = RankedScores(probabilities, truth)
        return lambda rows: mean_known(ranked.average_precisions(np.bincount(rows, minlength=count)))
    if metric == MACRO_F1:
        return lambda rows: mean_known(f1_scores(predicted, truth, np.bincount(rows, minlength=count))[0])
    return lambda rows: f1_scores(predicted, truth, np.bincount(rows, minlength=count))[1]


def fit_thresholds(probabilities: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """Return for each class the threshold with the best F1 (Lipton et al. 2014, "Optimal thresholding of classifiers to
    maximize F1 measure"), half way between two probabilities; of several the one nearest to 0.5.

    probabilities, truth: (N, classes). A class that no image has, or that every one has, keeps DEFAULT_THRESHOLD.
    """
    return tuple(_fit_threshold(*columns) for columns in zip(probabilities.T, truth.T, strict=True))


def _fit_threshold(probabilities: np.ndarray, truth: np.ndarray) -> float:
    positives = int(truth.sum())
    if positives in (0, len(truth)):
        return DEFAULT_THRESHOLD
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order].astype(float), np.cumsum(truth[order])
    # What is below the last one accepted: the next probability, or 0.
    below = np.append(ranked[1:], 0.0)
    cuts = np.flatnonzero(ranked > below)
    f1 = 2 * hits[cuts] / (cuts + 1 + positives)
    middles = (ranked[cuts] + below[cuts]) / 2
    best = middles[np.isclose(f1, f1.max(), rtol=0, atol=1e-12)]
    return float(best[np.abs(best - DEFAULT_THRESHOLD).argmin()])


def describe_few_images(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say in a sentence which labels have thresholds that were fitted to few images; "" where none has. rows: as
    `analyze_labels` makes them."""
    few = [row for row in rows if "threshold" in row and row.get("images", MIN_IMAGES) < MIN_IMAGES]
    if not few:
        return ""
    rarest = sorted(few, key=lambda row: row["images"])[:MAX_NAMED]
    named = ", ".join(f"{row['label']} ({row['images']})" for row in rarest)
    more = f", and {len(few) - MAX_NAMED} more" if len(few) > MAX_NAMED else ""
    count = len(few)
    whose = f"the {'threshold' if count == 1 else 'thresholds'} of {counted(count, 'label')} {verb(count)}"
    return (
        f"{whose} uncertain, because fewer than {MIN_IMAGES} validation images have the label: {named}{more}. Add"
        " images of such labels, or compare the probabilities with thresholds of your own"
    )


def analyze_labels(
    scores: Sequence[LabelScores], truth: np.ndarray, classes: Sequence[str], thresholds: Sequence[float]
) -> dict[str, Any]:
    """Return {"by_class", "curves", "f1_curves"} of the classes that some image of `truth` (N, classes) has.

    curves: the precision at each of 101 recalls; f1_curves: F1 at each of 101 thresholds.
    """
    from sklearn.metrics import precision_recall_fscore_support

    probabilities, predicted = stack_scores(scores)
    ap = RankedScores(probabilities, truth).average_precisions()
    precision, recall, f1, images = precision_recall_fscore_support(
        truth, predicted, average=None, zero_division=np.nan
    )
    shown = np.flatnonzero(images).tolist()
    rows = [
        {
            "label": classes[number],
            "images": int(images[number]),
            "AP": float(ap[number]),
            "recall": float(recall[number]),
            "precision": None if np.isnan(precision[number]) else float(precision[number]),
            "f1": float(f1[number]),
            "threshold": float(thresholds[number]),
        }
        for number in shown
    ]
    columns = {classes[number]: (probabilities[:, number], truth[:, number]) for number in shown}
    return {
        "by_class": rows,
        "curves": {name: _precision_curve(*column) for name, column in columns.items()},
        "f1_curves": {name: _f1_curve(*column) for name, column in columns.items()},
    }


def _precision_curve(probabilities: np.ndarray, truth: np.ndarray) -> list[float]:
    """Return the best precision at each of CURVE_STEPS of recall, or more."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, probabilities)
    return [float(precision[recall >= step - 1e-12].max()) for step in CURVE_STEPS]


def _f1_curve(probabilities: np.ndarray, truth: np.ndarray) -> list[float]:
    """Return F1 at each of CURVE_STEPS of the threshold."""
    predicted = probabilities[:, None] >= CURVE_STEPS
    hits = truth.astype(float) @ predicted
    return [float(each) for each in 2 * hits / (predicted.sum(axis=0) + truth.sum())]
