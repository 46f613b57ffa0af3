"""Metrics of several labels an image are scikit-learn's; thresholds are those with the best F1."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from keras_resnet.metrics.multilabel import (
    LabelScores,
    RankedScores,
    analyze_labels,
    bootstrap_score,
    compute_scores,
    describe_few_images,
    f1_scores,
    fit_thresholds,
)


def drawn(count=200, classes=6, steps=None, seed=0):
    """Probabilities that know something of the truth; with `steps` only so many different ones, as of 8 bits."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((count, classes)) < np.linspace(0.05, 0.6, classes)).astype(np.uint8)
    probabilities = np.clip(0.3 * truth + 0.7 * rng.random((count, classes)), 0, 1)
    return (np.round(probabilities * steps) / steps if steps else probabilities), truth


def scores_of(probabilities, threshold=0.5):
    return [LabelScores(row, row >= threshold) for row in probabilities]


@pytest.mark.parametrize("steps", [None, 7, 1])
def test_average_precision_is_that_of_scikit_learn(steps):
    probabilities, truth = drawn(steps=steps)
    ours = RankedScores(probabilities, truth).average_precisions()
    np.testing.assert_allclose(ours, average_precision_score(truth, probabilities, average=None), atol=1e-12)
    rows = np.random.default_rng(1).integers(len(truth), size=len(truth))
    resampled = RankedScores(probabilities, truth).average_precisions(np.bincount(rows, minlength=len(truth)))
    theirs = average_precision_score(truth[rows], probabilities[rows], average=None)
    np.testing.assert_allclose(resampled, theirs, atol=1e-12)


def test_scores_are_those_of_scikit_learn():
    probabilities, truth = drawn()
    predicted = probabilities >= 0.5
    assert compute_scores(scores_of(probabilities), truth) == {
        "mAP": pytest.approx(average_precision_score(truth, probabilities, average="macro")),
        "macro F1": pytest.approx(f1_score(truth, predicted, average="macro")),
        "micro F1": pytest.approx(f1_score(truth, predicted, average="micro")),
    }
    rows = np.random.default_rng(2).integers(len(truth), size=len(truth))
    for metric, average in (("macro F1", "macro"), ("micro F1", "micro")):
        ours = bootstrap_score(metric, scores_of(probabilities), truth)(rows)
        assert ours == pytest.approx(f1_score(truth[rows], predicted[rows], average=average))


def test_a_class_that_no_image_has_counts_in_no_mean():
    probabilities, truth = drawn()
    truth[:, 2] = 0
    there = [0, 1, 3, 4, 5]
    assert np.isnan(RankedScores(probabilities, truth).average_precisions()[2])
    by_class, _ = f1_scores(probabilities >= 0.5, truth)
    assert np.isnan(by_class[2])
    scores = compute_scores(scores_of(probabilities), truth)
    assert scores["mAP"] == pytest.approx(average_precision_score(truth[:, there], probabilities[:, there]))
    rows = analyze_labels(scores_of(probabilities), truth, "abcdef", [0.5] * 6)["by_class"]
    assert [row["label"] for row in rows] == list("abdef")


def test_thresholds_have_the_best_f1_of_all():
    probabilities, truth = drawn()
    fitted = fit_thresholds(probabilities, truth)
    for column, threshold in enumerate(fitted):
        ours = f1_score(truth[:, column], probabilities[:, column] >= threshold)
        every = [f1_score(truth[:, column], probabilities[:, column] >= each) for each in probabilities[:, column]]
        assert ours == pytest.approx(max(every))
        assert threshold not in probabilities[:, column]


def test_thresholds_of_classes_that_tell_nothing_stay_at_one_half():
    probabilities = np.array([[0.1, 0.9, 0.2], [0.3, 0.8, 0.9], [0.2, 0.7, 0.1]])
    truth = np.array([[0, 1, 0], [0, 1, 1], [0, 1, 0]])
    assert fit_thresholds(probabilities, truth) == (0.5, 0.5, pytest.approx(0.55))


def test_curves_end_where_all_labels_are_predicted():
    probabilities, truth = drawn()
    analysis = analyze_labels(scores_of(probabilities), truth, "abcdef", [0.5] * 6)
    share = truth[:, 0].mean()
    assert analysis["f1_curves"]["a"][0] == pytest.approx(2 * share / (1 + share))
    assert analysis["curves"]["a"][-1] == pytest.approx(share, abs=0.05) and len(analysis["curves"]["a"]) == 101
    row = analysis["by_class"][0]
    assert row["f1"] == pytest.approx(f1_score(truth[:, 0], probabilities[:, 0] >= 0.5))


def test_labels_whose_thresholds_few_images_decide_are_named():
    """The rarest first; a label that no image has is in no row."""
    probabilities, truth = drawn(count=100)
    truth[:, 0] = truth[:, 3] = 0
    truth[:9, 0] = truth[:1, 3] = 1
    thresholds = fit_thresholds(probabilities, truth)
    rows = analyze_labels(scores_of(probabilities), truth, list("abcdef"), thresholds)["by_class"]
    words = describe_few_images(rows)
    assert words.startswith(
        "the thresholds of 2 labels are uncertain, because fewer than 10 validation images have the"
    )
    assert ": d (1), a (9). Add images" in words
    assert describe_few_images([row for row in rows if row["images"] > 9]) == ""
    one = describe_few_images([{"label": "a", "images": 9, "threshold": 0.5}])
    assert one.startswith("the threshold of 1 label is uncertain")
    assert describe_few_images([{"label": "a", "images": 9, "recall": 0.5}]) == ""
    many = [{"label": str(number), "images": number, "threshold": 0.5} for number in range(1, 10)]
    assert "1 (1), 2 (2), 3 (3), 4 (4), 5 (5), and 4 more. Add" in describe_few_images(many)
