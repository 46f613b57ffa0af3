"""Classify images: logits over the labels, cross entropy, top-1 accuracy.

The reference for a task: `tasks.base.Task` says what each member is for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_resnet.config.spec import Spec
from keras_resnet.metrics.classification import analyze_classification, softmax
from keras_resnet.metrics.confidence_interval import mean_proportion_ci, paired_mean_proportion_ci, paired_proportion_ci
from keras_resnet.metrics.labels import MACRO_RECALL
from keras_resnet.metrics.result import Evaluation, Metrics, accuracy_by_class
from keras_resnet.models.backbone import Backbone, Features
from keras_resnet.models.build import build_logits
from keras_resnet.models.layers import Layers, Tensor
from keras_resnet.runtime.confidence import UNCALIBRATED, Confidence
from keras_resnet.tasks.base import Answer, Loss, OutputMetadata, SamplePrediction, Task, TypicalImage, choose_typical

if TYPE_CHECKING:
    import tensorflow as tf

TOP = 5
# Of the logits in analysis.json: confidences are shown with two.
LOGIT_DECIMALS = 4
ClassificationEvaluation = Evaluation[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Classification(Task[np.ndarray, np.ndarray, np.ndarray]):
    """Which of `classes` an image shows. Outputs are logits (B, classes), the ground truth labels (B,), a prediction
    the logits (classes,) of one image. confidence: what `kresnet calibrate` fitted, which exported files have; metrics
    and analyses are of the logits as they are."""

    confidence: Confidence = UNCALIBRATED

    name: ClassVar[str] = "classify"
    title: ClassVar[str] = "image classification"
    summary: ClassVar[str] = "Image classification"
    pipeline_tag: ClassVar[str] = "image-classification"
    train_metric_names: ClassVar[tuple[str, ...]] = ("accuracy",)
    head_parts: ClassVar[tuple[str, ...]] = ("logits",)
    postprocessing: ClassVar[str] = "top_k"
    samples_are_mistakes: ClassVar[bool] = True

    @classmethod
    def from_spec(cls, spec: Spec, classes: tuple[str, ...]) -> Classification:
        """Create the task of `spec`."""
        return cls(classes)

    @classmethod
    def default_config(cls) -> Spec:
        """Return the spec that is trained where no recipe is named."""
        return Spec()

    def with_confidence(self, confidence: Confidence) -> Classification:
        """Return the task with what was fitted."""
        return replace(self, confidence=confidence)

    def output_metadata(self) -> OutputMetadata:
        """Return what an exported file says of its outputs."""
        return {**super().output_metadata(), "confidence": self.confidence}

    def build_heads(self, layers: Layers, backbone: Backbone, features: Features, spec: Spec) -> Tensor:
        """Build a classifier on the last of the features: logits (B, classes)."""
        return build_logits(layers, backbone, features, len(self.classes))

    def encode_targets(self, ground_truth: tf.Tensor) -> tf.Tensor:
        """Encode labels (B,) int64 as one-hot targets (B, classes) float32, which can be smoothed and mixed."""
        import tensorflow as tf

        return tf.one_hot(ground_truth, len(self.classes), dtype=tf.float32)

    def loss(self, spec: Spec) -> Loss:
        """Return cross entropy, categorical, binary for each class (Wightman et al. 2021, section 2) or focal (Lin et
        al. 2017, equation 4), with label smoothing (Szegedy et al. 2016, section 7), times the weight of the label's
        class where the classes have weights."""
        import keras
        import tensorflow as tf

        smoothing, training = spec.optimizer.label_smoothing, spec.training
        cross_entropy: Callable[..., tf.Tensor] = {
            "cross_entropy": keras.losses.categorical_crossentropy,
            "bce": keras.losses.binary_crossentropy,
            "focal": partial(keras.losses.categorical_focal_crossentropy, alpha=1.0, gamma=training.focal_gamma),
        }[training.loss]

        def losses(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            smooth = (1 - smoothing) * targets + smoothing / len(self.classes)
            values = cross_entropy(smooth, logits, from_logits=True)
            if not training.weights_by_class:
                return values
            # Of mixed images, whose targets are of several classes, the mean of their weights.
            return values * tf.linalg.matvec(targets, tf.constant(training.weights_by_class, targets.dtype))

        return losses

    def distillation_loss(self, temperature: float) -> Loss:
        """Return the cross entropy with a teacher's logits, both divided by `temperature`, times its square (Hinton et
        al. 2015, section 2)."""
        import keras

        def losses(teacher_logits: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            targets = keras.ops.softmax(teacher_logits / temperature)
            soft = keras.losses.categorical_crossentropy(targets, logits / temperature, from_logits=True)
            return temperature**2 * soft

        return losses

    def train_metrics(self, targets: tf.Tensor, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Compute the accuracy of each sample, 0 or 1."""
        import keras

        return {"accuracy": keras.metrics.categorical_accuracy(targets, outputs)}

    def postprocess(self, outputs: np.ndarray, ground_truth: np.ndarray) -> list[np.ndarray]:
        """Split logits (B, classes) into B of (classes,)."""
        return list(outputs)

    def compute_metrics(self, predictions: list[np.ndarray], ground_truth: np.ndarray) -> Metrics:
        """Compute the top-1 accuracy on labels (N,); beside it the macro recall, the mean of the classes' accuracies
        (balanced accuracy), and of more than five classes the top-5 accuracy."""
        logits = np.stack(predictions)
        correct = np.argmax(logits, axis=-1) == ground_truth
        by_class = accuracy_by_class(correct, ground_truth, self.classes)
        details = {MACRO_RECALL: float(np.mean(list(by_class.values())))}
        if len(self.classes) > TOP:
            best = np.argpartition(-logits, TOP, axis=-1)[:, :TOP]
            details["top5"] = float((best == ground_truth[:, None]).any(axis=-1).mean())
        intervals = {
            "top1": mean_proportion_ci(correct, np.zeros(len(correct), int)),
            MACRO_RECALL: mean_proportion_ci(correct, ground_truth),
        }
        return Metrics({"top1": float(correct.mean())}, by_class, details, correct, intervals)

    def analyze(self, evaluation: ClassificationEvaluation) -> dict[str, Any]:
        """Return numbers by class, the confusion matrix and the calibration (see
        `classification.analyze_classification`)."""
        return analyze_classification(softmax(evaluation.predictions), evaluation.ground_truth, self.classes)

    def sample_predictions(self, evaluation: ClassificationEvaluation, count: int) -> list[SamplePrediction]:
        """Choose the `count` most confident mistakes."""
        probabilities, labels = softmax(evaluation.predictions), evaluation.ground_truth
        predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        wrong = np.flatnonzero(~evaluation.metrics.is_correct)
        samples = []
        for row in wrong[np.argsort(-confidence[wrong], kind="stable")][:count]:
            labeled = self.classes[labels[row]]
            caption = describe_mistake(self.classes[predicted[row]], confidence[row], labeled)
            answer = _keep_answer(evaluation.predictions[row], labeled)
            samples.append(SamplePrediction(int(row), caption, answer=answer))
        return samples

    def typical_images(self, evaluation: ClassificationEvaluation, count: int) -> list[TypicalImage]:
        """Choose an image of each class."""
        confidence = softmax(evaluation.predictions).max(axis=1)
        images = np.bincount(evaluation.ground_truth, minlength=len(self.classes))
        # Of many classes only those that are chosen, for a matrix of all would be large.
        largest = np.sort(np.argsort(-images, kind="stable")[:count])
        shown = evaluation.ground_truth[:, None] == largest
        right = shown & evaluation.metrics.is_correct[:, None]
        names = [self.classes[label] for label in largest]
        typical = choose_typical(np.where(right, confidence[:, None], 0), images[largest], names, count)
        return [replace(each, answer=_keep_answer(evaluation.predictions[each.row])) for each in typical]

    def drop_confidence_interval(
        self, metric: str, before: ClassificationEvaluation, after: ClassificationEvaluation
    ) -> tuple[float, float]:
        """Return the 95% interval of the drop in accuracy, or in macro recall, between two evaluations of the same
        samples."""
        if metric == MACRO_RECALL:
            return paired_mean_proportion_ci(before.metrics.is_correct, after.metrics.is_correct, before.ground_truth)
        return paired_proportion_ci(before.metrics.is_correct, after.metrics.is_correct)

    def agreement(self, predictions: list[np.ndarray], others: list[np.ndarray]) -> float:
        """Return the share of images of which two models predict the same class."""
        return float((np.argmax(predictions, axis=-1) == np.argmax(others, axis=-1)).mean())


def _keep_answer(logits: np.ndarray, labeled: str = "") -> Answer:
    return Answer(tuple(np.round(logits.astype(np.float64), LOGIT_DECIMALS).tolist()), labeled)


def describe_mistake(predicted: str, confidence: float, labeled: str) -> str:
    """Describe a wrong prediction: "predicted town 82%, labeled symbols"."""
    return f"predicted {predicted} {confidence:.0%}, labeled {labeled}"
