"""Predictions on training images by classifiers that have not learned their labels.

A network knows the labels of its training images, wrong ones too, and so do its last features: whoever asks these finds
no error. Logistic regressions on features that know no more of training labels than of others, each fitted without the
images that it checks, take the network's place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.checking.features import Features

FOLDS = 5
# Images of either kind by which the depth is chosen.
MAX_IMAGES = 4000
SEED = 0


@dataclass(frozen=True)
class LabeledFeatures:
    """What a network makes of N images, and their labels int64 (N,)."""

    features: Features
    labels: np.ndarray

    def sample(self) -> LabeledFeatures:
        """Return MAX_IMAGES of them at most, drawn by a fixed seed."""
        if len(self.labels) <= MAX_IMAGES:
            return self
        rows = np.random.default_rng(SEED).permutation(len(self.labels))[:MAX_IMAGES]
        return LabeledFeatures(self.features.subset(rows), self.labels[rows])


@dataclass(frozen=True)
class Knowledge:
    """How well labels are predicted by the features up to a depth: of training images without the image itself
    (`learned`), and of images held out (`held_out`), 0–1; `error`: the standard error of their difference."""

    learned: float
    held_out: float
    error: float

    @property
    def gap(self) -> float:
        """By how much the features know training labels better than others."""
        return self.learned - self.held_out


def choose_depth(train: LabeledFeatures, held_out: LabeledFeatures) -> tuple[int, Knowledge]:
    """Return the depth of the features to check training images by (see `Features.up_to`), and what the last features
    know.

    Features that do not know wrong labels by heart name fewer of the training labels than of those held out, in the
    measure of wrong ones among them; the better they know them, the larger is the gap. It is the deepest one whose gap
    is not clearly larger than the least: by less than two standard errors.
    """
    train, held_out = train.sample(), held_out.sample()
    known = {depth: measure(train, held_out, depth) for depth in range(1, train.features.depths + 1)}
    least = min(each.gap for each in known.values())
    depth = max(depth for depth, each in known.items() if each.gap <= least + 2 * each.error)
    return depth, known[train.features.depths]


def measure(train: LabeledFeatures, held_out: LabeledFeatures, depth: int) -> Knowledge:
    """Return what the features of `depth` know of labels."""
    ours, theirs = train.features.up_to(depth), held_out.features.up_to(depth)
    probabilities = cross_validate(ours, train.labels, int(train.labels.max()) + 1)
    learned = float((probabilities.argmax(axis=1) == train.labels).mean())
    new = float((_classifier(train.labels).fit(ours, train.labels).predict(theirs) == held_out.labels).mean())
    both = (learned * len(ours) + new * len(theirs)) / (len(ours) + len(theirs))
    return Knowledge(learned, new, math.sqrt(both * (1 - both) * (1 / len(ours) + 1 / len(theirs))))


def cross_validate(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return probabilities (N, classes), each from a classifier that was fitted without the image.

    Of a class's only image nothing is known without it: its label is taken to be right.
    """
    probabilities = np.zeros((len(labels), classes))
    probabilities[np.arange(len(labels)), labels] = 1
    rows = np.flatnonzero(np.bincount(labels, minlength=classes)[labels] > 1)
    if len(np.unique(labels[rows])) < 2:
        return probabilities
    folds = _assign_folds(labels[rows])
    for fold in np.unique(folds):
        fitted_on, left_out = rows[folds != fold], rows[folds == fold]
        classifier = _classifier(labels[fitted_on]).fit(features[fitted_on], labels[fitted_on])
        probabilities[left_out] = 0
        probabilities[np.ix_(left_out, classifier.classes_)] = classifier.predict_proba(features[left_out])
    return probabilities


def _assign_folds(labels: np.ndarray) -> np.ndarray:
    """Return which of FOLDS folds each image is in, int (N,): as many of each class in each, neighbors together, for
    frames of a video look alike."""
    _, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(numbers, kind="stable")
    of_class = numbers[order]
    places = np.arange(len(labels)) - (np.cumsum(counts) - counts)[of_class]
    folds = np.empty(len(labels), int)
    folds[order] = places * FOLDS // counts[of_class]
    return folds


def _classifier(labels: np.ndarray) -> Any:
    """Return a logistic regression; of `labels` that are all the same what always names these."""
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) < 2:
        return DummyClassifier()
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
