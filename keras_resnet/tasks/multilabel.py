"""Classify images by several labels each: a logit for each label, binary losses, mAP and F1, thresholds by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_resnet.config.recipes.multilabel import multilabel_defaults
from keras_resnet.config.spec import Spec
from keras_resnet.errors import DataError
from keras_resnet.metrics.confidence_interval import bootstrap_ci
from keras_resnet.metrics.labels import MAP
from keras_resnet.metrics.multilabel import (
    DEFAULT_THRESHOLD,
    LabelScores,
    RankedScores,
    analyze_labels,
    bootstrap_score,
    compute_scores,
    fit_thresholds,
    stack_scores,
)
from keras_resnet.metrics.result import Evaluation, Metrics
from keras_resnet.models.backbone import Backbone, Features
from keras_resnet.models.build import build_logits
from keras_resnet.models.layers import Layers, Tensor
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.predictions import predict_labels, sigmoid
from keras_resnet.tasks.base import Loss, OutputMetadata, SamplePrediction, Task, TypicalImage, choose_typical

if TYPE_CHECKING:
    import tensorflow as tf

# Ridnik et al. 2021 ("Asymmetric Loss For Multi-Label Classification"), as set for MS-COCO: easy negatives weigh
# less by this power, positives by none, and negatives of less than this probability not at all.
GAMMA_NEGATIVE, GAMMA_POSITIVE, PROBABILITY_MARGIN = 4.0, 0.0, 0.05
# Logarithms begin here, as in the authors' code.
EPSILON = 1e-8
# Labels that a caption names.
MAX_NAMED = 4
MultilabelEvaluation = Evaluation[np.ndarray, np.ndarray, LabelScores]


@dataclass(frozen=True)
class Multilabel(Task[np.ndarray, np.ndarray, LabelScores]):
    """Which of `classes` an image has, any number of them. Outputs are logits (B, classes), the ground truth is uint8
    (B, classes), 1 where an image has the label. thresholds: of each class the probability from which it is predicted;
    () before they are fitted."""

    thresholds: tuple[float, ...] = ()

    name: ClassVar[str] = "multilabel"
    title: ClassVar[str] = "multi-label classification"
    summary: ClassVar[str] = "Classification of images with several labels each"
    pipeline_tag: ClassVar[str] = "image-classification"
    train_metric_names: ClassVar[tuple[str, ...]] = ("f1",)
    eval_metric_names: ClassVar[tuple[str, ...]] = (MAP,)
    curves_note: ClassVar[str] = (
        f"These curves count F1 at a threshold of {DEFAULT_THRESHOLD:g}, before thresholds are fitted; tiles and tables"
        " use the fitted ones. F1 is the mean over images, macro F1 that over labels; micro F1 counts all labels of all"
        " images together."
    )
    head_parts: ClassVar[tuple[str, ...]] = ("logits",)
    preprocessing: ClassVar[str] = "center_crop"
    postprocessing: ClassVar[str] = "label_set"
    samples_are_mistakes: ClassVar[bool] = True

    @classmethod
    def from_spec(cls, spec: Spec, classes: tuple[str, ...]) -> Multilabel:
        """Create the task of `spec`, without thresholds."""
        return cls(classes)

    @classmethod
    def default_config(cls) -> Spec:
        """Return the spec that is trained where no recipe is named."""
        return multilabel_defaults()

    def with_thresholds(self, thresholds: Sequence[float]) -> Multilabel:
        """Return the task with the thresholds of a finished run."""
        return replace(self, thresholds=tuple(thresholds))

    @property
    def used_thresholds(self) -> tuple[float, ...]:
        """Return `thresholds`, or 0.5 of each class before they are fitted."""
        return self.thresholds or (DEFAULT_THRESHOLD,) * len(self.classes)

    def build_heads(self, layers: Layers, backbone: Backbone, features: Features, spec: Spec) -> Tensor:
        """Build a classifier on the last of the features: logits (B, classes)."""
        return build_logits(layers, backbone, features, len(self.classes))

    def encode_targets(self, ground_truth: tf.Tensor) -> tf.Tensor:
        """Turn label sets (B, classes) into float32, which can be mixed."""
        import tensorflow as tf

        return tf.cast(ground_truth, tf.float32)

    def loss(self, spec: Spec) -> Loss:
        """Return binary cross entropy or the asymmetric loss, the sum over the classes; with label smoothing, targets
        are moved toward one half, as Keras does for binary targets."""
        smoothing = spec.optimizer.label_smoothing
        of_labels = asymmetric_loss if spec.training.loss == "asymmetric" else _binary_cross_entropy

        def losses(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            return of_labels((1 - smoothing) * targets + smoothing / 2, logits)

        return losses

    def distillation_loss(self, temperature: float) -> Loss:
        """Return the binary cross entropy with a teacher's probabilities, logits divided by `temperature`, times its
        square (Hinton et al. 2015, section 2)."""
        import keras

        def losses(teacher_logits: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            soft = _binary_cross_entropy(keras.ops.sigmoid(teacher_logits / temperature), logits / temperature)
            return temperature**2 * soft

        return losses

    def train_metrics(self, targets: tf.Tensor, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Compute F1 over the labels of each sample at a threshold of 0.5, 1 where none is there and none predicted."""
        import tensorflow as tf

        there, made = targets >= DEFAULT_THRESHOLD, outputs >= 0
        hits = tf.math.count_nonzero(there & made, axis=1, dtype=tf.float32)
        both = tf.math.count_nonzero(there, axis=1, dtype=tf.float32) + tf.math.count_nonzero(
            made, axis=1, dtype=tf.float32
        )
        return {"f1": tf.where(both > 0, 2 * hits / tf.maximum(both, 1.0), 1.0)}

    def postprocess(self, outputs: np.ndarray, ground_truth: np.ndarray) -> list[LabelScores]:
        """Return the probabilities of each image's labels, and which are predicted."""
        probabilities = sigmoid(outputs)
        predicted = predict_labels(probabilities, self.used_thresholds)
        return [LabelScores(*row) for row in zip(probabilities, predicted, strict=True)]

    def refit(self, evaluation: MultilabelEvaluation) -> tuple[Multilabel, MultilabelEvaluation]:
        """Fit the thresholds to a finished model's predictions, and score these again with them."""
        probabilities, _ = stack_scores(evaluation.predictions)
        task = self.with_thresholds(fit_thresholds(probabilities, evaluation.ground_truth))
        predicted = predict_labels(probabilities, task.used_thresholds)
        predictions = [LabelScores(*row) for row in zip(probabilities, predicted, strict=True)]
        metrics = task.compute_metrics(predictions, evaluation.ground_truth)
        return task, replace(evaluation, metrics=metrics, predictions=predictions)

    def compute_metrics(self, predictions: list[LabelScores], ground_truth: np.ndarray) -> Metrics:
        """Compute mAP, macro F1 and micro F1; beside them the share of images whose labels are all right. Raises
        DataError if no image has a label."""
        if not ground_truth.any():
            raise DataError(
                f"none of {counted(len(ground_truth), 'image')} has a label: there is nothing to evaluate on"
            )
        probabilities, predicted = stack_scores(predictions)
        ap = RankedScores(probabilities, ground_truth).average_precisions()
        by_class = {self.classes[row]: float(ap[row]) for row in np.flatnonzero(~np.isnan(ap))}
        exact = float((predicted == ground_truth.astype(bool)).all(axis=1).mean())
        return Metrics(compute_scores(predictions, ground_truth), by_class, {"all labels right": exact})

    def analyze(self, evaluation: MultilabelEvaluation) -> dict[str, Any]:
        """Return numbers by class, precision-recall curves and F1 by threshold (see `multilabel.analyze_labels`)."""
        scores, truth = evaluation.predictions, evaluation.ground_truth
        return analyze_labels(scores, truth, self.classes, self.used_thresholds)

    def sample_predictions(self, evaluation: MultilabelEvaluation, count: int) -> list[SamplePrediction]:
        """Choose up to `count` images with wrong labels, those of which the network was surest first."""
        probabilities, predicted = stack_scores(evaluation.predictions)
        there = evaluation.ground_truth.astype(bool)
        doubt = np.where(predicted != there, np.abs(probabilities - there), 0).max(axis=1)
        first = np.argsort(-doubt, kind="stable")[:count]
        return [
            SamplePrediction(int(row), self._describe_mistake(probabilities[row], predicted[row], there[row]))
            for row in first
            if doubt[row] > 0
        ]

    def drop_confidence_interval(
        self, metric: str, before: MultilabelEvaluation, after: MultilabelEvaluation
    ) -> tuple[float, float]:
        """Return the 95% interval of the drop in `metric` between two evaluations of the same images."""
        truth = before.ground_truth
        score_before, score_after = (bootstrap_score(metric, each.predictions, truth) for each in (before, after))
        return bootstrap_ci(score_before, score_after, len(truth))

    def agreement(self, predictions: list[LabelScores], others: list[LabelScores]) -> float:
        """Return the share of images for which two models predict the same labels, all of them."""
        ours, theirs = stack_scores(predictions)[1], stack_scores(others)[1]
        return float((ours == theirs).all(axis=1).mean())

    def output_metadata(self) -> OutputMetadata:
        """Return what an exported file says of its input and outputs."""
        return {**super().output_metadata(), "thresholds": self.used_thresholds}

    def _describe_mistake(self, probabilities: np.ndarray, predicted: np.ndarray, there: np.ndarray) -> str:
        """Describe what is wrong with an image's labels, each (classes,): "predicted star (97%); missed moon (3%);
        labeled moon, ring"."""
        missed = there & ~predicted
        return "; ".join(
            [
                f"predicted {self._name(predicted, probabilities)}",
                *([f"missed {self._name(missed, probabilities)}"] if missed.any() else []),
                f"labeled {self._name(there)}",
            ]
        )

    def typical_images(self, evaluation: MultilabelEvaluation, count: int) -> list[TypicalImage]:
        """Choose an image of each label."""
        probabilities, predicted = stack_scores(evaluation.predictions)
        there = evaluation.ground_truth.astype(bool)
        return choose_typical(np.where(there & predicted, probabilities, 0), there.sum(axis=0), self.classes, count)

    def _name(self, labels: np.ndarray, probabilities: np.ndarray | None = None) -> str:
        """Name labels, bool (classes,); with their `probabilities` the most likely first."""
        numbers = np.flatnonzero(labels)
        names = [self.classes[number] for number in numbers]
        if probabilities is not None:
            order = np.argsort(-probabilities[numbers], kind="stable")
            names = [f"{names[place]} ({probabilities[numbers[place]]:.0%})" for place in order]
        return (", ".join(names[:MAX_NAMED]) or "nothing") + ", …" * (len(names) > MAX_NAMED)


def _binary_cross_entropy(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return (B,), the sum over the classes."""
    import tensorflow as tf

    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(targets, tf.cast(logits, tf.float32)), axis=1)


def asymmetric_loss(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return the asymmetric loss (B,) of Ridnik et al. 2021, sections 2.2 to 2.4: binary cross entropy, in which
    negatives of probability p count as max(p - PROBABILITY_MARGIN, 0) and each term is focused by its own power.

    targets: float32 (B, classes), 0–1; logits: (B, classes). It is the sum over the classes, as in the authors' code.
    """
    import tensorflow as tf

    positive = tf.sigmoid(tf.cast(logits, tf.float32))
    negative = tf.minimum(1 - positive + PROBABILITY_MARGIN, 1.0)
    cross_entropy = targets * tf.math.log(tf.maximum(positive, EPSILON))
    cross_entropy += (1 - targets) * tf.math.log(tf.maximum(negative, EPSILON))
    wrong = 1 - positive * targets - negative * (1 - targets)
    focus = GAMMA_POSITIVE * targets + GAMMA_NEGATIVE * (1 - targets)
    # A power of 0 has no slope at 0, which would be NaN.
    return -tf.reduce_sum(cross_entropy * tf.pow(tf.maximum(wrong, EPSILON), focus), axis=1)
