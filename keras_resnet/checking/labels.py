"""Suspect labels and outliers by what a trained network makes of the images; outliers by cleanlab (extra: check).

A label is suspected where it is more probably wrong than right: by Bayes' rule, with the predictions of a network that
was not trained on the image as likelihoods. Of the training images, classifiers on the network's features give these,
see `unlearned`. Confident learning (Northcutt et al. 2021) names more labels, most of them wrongly where the network is
weak: with one that predicts half of the labels, 499 of 1,200 for 56 wrong ones, and this rule 120.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from keras_resnet.checking.facts import identify
from keras_resnet.checking.features import FeatureExtractor, Features
from keras_resnet.checking.findings import Finding
from keras_resnet.checking.unlearned import Knowledge, LabeledFeatures, choose_depth, cross_validate
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.metrics.classification import softmax
from keras_resnet.progress import show_activity
from keras_resnet.run import Run

# Share of labels that are taken to be wrong beforehand. Northcutt, Athalye & Mueller (2021, "Pervasive Label Errors in
# Test Sets") found 3.3% in ten usual test sets, where people had looked before.
WRONG_LABELS = 0.05
# An outlier's score is below this share of the median: the default of cleanlab's Datalab. Of most datasets that holds
# for some images, so that only the farthest are listed, at most this share.
OUTLIER_SHARE, MAX_OUTLIERS = 0.37037037, 0.01


def find_label_issues(run: Run, data: DatasetSplits) -> tuple[list[Finding], str]:
    """Return a finding for each image of `data` whose label the model of `run` doubts, and for each outlier; and by
    which features labels of training images were checked, and why."""
    from keras_resnet.evaluation.evaluate import load_model

    extractor = FeatureExtractor(load_model(run), data.image_size)
    features = {name: extractor.extract(split) for name, split in data.splits.items()}
    labeled = {name: LabeledFeatures(each, data.splits[name].labels) for name, each in features.items()}
    probabilities = {name: softmax(list(each.outputs)) for name, each in features.items()}
    with show_activity("looking for label errors"):
        depth, known = choose_depth(labeled["train"], labeled["validation"])
        checking = features["train"].up_to(depth)
        probabilities["train"] = cross_validate(checking, labeled["train"].labels, len(data.classes))
        found = [_suspect(split, data.classes, probabilities[name]) for name, split in data.splits.items()]
        findings = [*chain.from_iterable(found), *_find_outliers(data, features)]
    return findings, describe_choice(extractor.describe(depth), known, depth == features["train"].depths)


def describe_choice(features: str, last: Knowledge, is_last: bool) -> str:
    """Say by which `features` labels of training images were checked, and why; `last`: what the last ones know."""
    learned, others = f"{last.learned:.1%} of the training labels", f"{last.held_out:.1%} of the validation labels"
    checked = f"labels of training images were checked with {features}"
    if is_last:
        return (
            f"{checked}: they predict {learned} correctly and {others}, which is no sign that they have memorized"
            " training labels"
        )
    return (
        f"{checked}: the last features predict {learned} correctly but only {others}, a sign that they have memorized"
        " training labels"
    )


def _suspect(split: Split, classes: tuple[str, ...], probabilities: np.ndarray) -> Iterator[Finding]:
    """Yield the images whose labels are more probably wrong than right, the most doubtful first. probabilities:
    (count, classes) of a network that was not trained on them."""
    own, best = probabilities[np.arange(split.count), split.labels], probabilities.max(axis=1)
    doubtful = WRONG_LABELS * best > (1 - WRONG_LABELS) * own
    for row in sorted(np.flatnonzero(doubtful).tolist(), key=lambda each: float(own[each])):
        likely = int(probabilities[row].argmax())
        yield Finding(
            "label_error",
            (identify(split, row, classes),),
            f"looks like {classes[likely]} ({best[row]:.0%}), labeled {classes[split.labels[row]]}",
        )


def _find_outliers(data: DatasetSplits, features: dict[str, Features]) -> Iterator[Finding]:
    """Yield images that lie far from all others in the space of the features (Kuan & Mueller 2022)."""
    from cleanlab.outlier import OutOfDistribution

    last = np.concatenate([each.last for each in features.values()])
    scores = OutOfDistribution().fit_score(features=last, verbose=False)
    places = [(split, row) for split in data.splits.values() for row in range(split.count)]
    limit = OUTLIER_SHARE * float(np.median(scores))
    most = max(1, round(MAX_OUTLIERS * len(scores)))
    for place in np.argsort(scores, kind="stable")[:most].tolist():
        if scores[place] < limit:
            split, row = places[place]
            yield Finding("outlier", (identify(split, row, data.classes),))
