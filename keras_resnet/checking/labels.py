"""Suspect labels and outliers by what a trained network makes of the images, by cleanlab (extra: check).

Confident learning (Northcutt et al. 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels") asks for
predictions on images that a model was not trained on. Of the training images, cross-validated logistic regressions on
the network's features give these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from keras_resnet.checking.facts import identify
from keras_resnet.checking.findings import Finding
from keras_resnet.data import pipeline
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.metrics.classification import softmax
from keras_resnet.progress import show_activity, track
from keras_resnet.run import Run

FOLDS, BATCH_SIZE = 5, 64
# An outlier's score is below this share of the median: the default of cleanlab's Datalab. Of most data sets that holds
# for some images, so that only the farthest are listed, at most this share.
OUTLIER_SHARE, MAX_OUTLIERS = 0.37037037, 0.01


@dataclass(frozen=True)
class _Outputs:
    """What a network gives for N images: features (N, F) and probabilities (N, classes)."""

    features: np.ndarray
    probabilities: np.ndarray


def find_label_issues(run: Run, data: DatasetSplits) -> Iterator[Finding]:
    """Yield a finding for each image of `data` whose label the model of `run` doubts, and for each outlier."""
    outputs = {name: _predict(run, data, split) for name, split in data.splits.items()}
    with show_activity("looking for label errors"):
        for name, split in data.splits.items():
            found = outputs[name]
            if name == "train":
                found = _Outputs(found.features, _cross_validate(found.features, split.labels, len(data.classes)))
            yield from _suspect(split, data.classes, found.probabilities)
        yield from _find_outliers(data, outputs)


def _predict(run: Run, data: DatasetSplits, split: Split) -> _Outputs:
    """Return the features before the classifier, and the probabilities, of all images of `split`."""
    import keras

    from keras_resnet.evaluation.evaluate import load_model

    model = load_model(run)
    before = model.get_layer("logits").input
    both = keras.Model(model.input, [before, model.output])
    features: list[np.ndarray] = []
    logits: list[np.ndarray] = []
    batches = pipeline.evaluation_batches(split, data.image_size, BATCH_SIZE)
    with track(batches, f"predicting {split.name}", "batches") as tracked:
        for images, _ in tracked:
            one, other = both.predict_on_batch(np.asarray(images))
            features.append(np.asarray(one, np.float32).reshape(len(images), -1))
            logits.extend(np.asarray(other, np.float32))
    return _Outputs(np.concatenate(features), softmax(logits))


def _cross_validate(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return probabilities (N, classes), each from a model that was fitted without the image."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    present, counts = np.unique(labels, return_counts=True)
    probabilities = np.zeros((len(labels), classes))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    folds = int(min(FOLDS, counts.min()))
    if folds < 2:  # of a single image nothing is known without it
        probabilities[np.arange(len(labels)), labels] = 1
        return probabilities
    probabilities[:, present] = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")
    return probabilities


def _suspect(split: Split, classes: tuple[str, ...], probabilities: np.ndarray) -> Iterator[Finding]:
    from cleanlab.filter import find_label_issues as find_issues

    if len(np.unique(split.labels)) < 2:
        return
    rows = find_issues(split.labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    for row in np.asarray(rows).tolist():
        best = int(probabilities[row].argmax())
        label = int(split.labels[row])
        if best != label:
            yield Finding(
                "label_error",
                (identify(split, row, classes),),
                f"looks like {classes[best]} ({probabilities[row, best]:.0%}), labeled {classes[label]}",
            )


def _find_outliers(data: DatasetSplits, outputs: dict[str, _Outputs]) -> Iterator[Finding]:
    """Yield images that lie far from all others in the space of the features (Kuan & Mueller 2022)."""
    from cleanlab.outlier import OutOfDistribution

    features = np.concatenate([each.features for each in outputs.values()])
    scores = OutOfDistribution().fit_score(features=features, verbose=False)
    places = [(split, row) for split in data.splits.values() for row in range(split.count)]
    limit = OUTLIER_SHARE * float(np.median(scores))
    most = max(1, round(MAX_OUTLIERS * len(scores)))
    for place in np.argsort(scores, kind="stable")[:most].tolist():
        if scores[place] < limit:
            split, row = places[place]
            yield Finding("outlier", (identify(split, row, data.classes),))
