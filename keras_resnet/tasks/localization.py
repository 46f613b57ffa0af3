"""Localize an image's main object: its class and its box (ILSVRC's second task)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_resnet.metrics.classification import compute_calibration, describe_confusion
from keras_resnet.metrics.coco import Prediction
from keras_resnet.metrics.confidence_interval import paired_proportion_ci
from keras_resnet.metrics.iou import iou
from keras_resnet.metrics.result import Metrics, accuracy_by_class
from keras_resnet.runtime.postprocess import MAX_GUESSES
from keras_resnet.tasks.base import SamplePrediction
from keras_resnet.tasks.classification import describe_mistake
from keras_resnet.tasks.detection import (
    MATCH_IOU,
    Arrays,
    Detection,
    DetectionEvaluation,
)

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Localization(Detection):
    """Detection of the largest object alone, so without the finest level of the pyramid. A prediction has the
    MAX_GUESSES most probable classes, each with its best box."""

    name: ClassVar[str] = "localize"
    title: ClassVar[str] = "localization"
    summary: ClassVar[str] = "Localization of an image's main object"
    pipeline_tag: ClassVar[str] = "object-detection"
    eval_metric_names: ClassVar[tuple[str, ...]] = ("localized",)
    postprocessing: ClassVar[str] = "main_object"
    samples_are_mistakes: ClassVar[bool] = True
    first_level: ClassVar[int] = 1
    guesses: ClassVar[int] = MAX_GUESSES

    def encode_targets(self, ground_truth: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Choose what the losses want: as detection, of the first object."""
        return {name: value[:, :1] for name, value in super().encode_targets(ground_truth).items()}

    def compute_metrics(self, predictions: list[Prediction], ground_truth: Arrays) -> Metrics:
        """Compute the share of images whose first guess has the right class and a box that overlaps enough; beside it
        the share in which one of five has (Russakovsky et al. 2015, section 4.2), that of right classes alone, and the
        mean IoU of the first boxes."""
        labels, sides = ground_truth["labels"][:, 0], ground_truth["sizes"].max(axis=1)
        boxes = ground_truth["boxes"][:, 0] * sides[:, None]
        overlaps = [iou(each.boxes, box[None]) for each, box in zip(predictions, boxes, strict=True)]
        same_class = [each.labels == label for each, label in zip(predictions, labels, strict=True)]
        hits = [same & (overlap >= MATCH_IOU) for same, overlap in zip(same_class, overlaps, strict=True)]
        correct = np.array([each[0] for each in hits])
        details = {
            "top5": float(np.mean([each.any() for each in hits])),
            "class": float(np.mean([each[0] for each in same_class])),
            "IoU": float(np.mean([each[0] for each in overlaps])),
        }
        by_class = accuracy_by_class(correct, labels, self.classes)
        return Metrics({"localized": float(correct.mean())}, by_class, details, correct)

    def analyze(self, evaluation: DetectionEvaluation) -> dict[str, Any]:
        """Return the share localized "by_class", the confusion matrix of the classes guessed first, whatever their
        boxes, and the "calibration" of these guesses."""
        metrics, labels = evaluation.metrics, evaluation.ground_truth["labels"][:, 0]
        images = dict(zip(self.classes, np.bincount(labels, minlength=len(self.classes)).tolist(), strict=True))
        rows = [{"label": name, "images": images[name], "localized": share} for name, share in metrics.by_class.items()]
        guessed = np.array([each.labels[0] for each in evaluation.predictions])
        confidence = np.array([each.scores[0] for each in evaluation.predictions])
        return {
            "by_class": rows,
            "calibration": compute_calibration(confidence, metrics.is_correct),
            **describe_confusion(labels, guessed, self.classes),
        }

    def sample_predictions(self, evaluation: DetectionEvaluation, count: int) -> list[SamplePrediction]:
        """Choose the `count` most confident mistakes, with the main object of the ground truth."""
        predictions, labels = evaluation.predictions, evaluation.ground_truth["labels"][:, 0]
        wrong = np.flatnonzero(~evaluation.metrics.is_correct)
        samples: list[SamplePrediction] = []
        for row in sorted(wrong, key=lambda row: -predictions[row].scores[0])[:count]:
            prediction, label = predictions[row], self.classes[labels[row]]
            box = evaluation.ground_truth["boxes"][row, 0] * evaluation.ground_truth["sizes"][row].max()
            guess = {"label": self.classes[prediction.labels[0]], "probability": float(prediction.scores[0])}
            caption = describe_mistake(guess["label"], prediction.scores[0], label)
            overlap = float(iou(prediction.boxes[0], box))
            samples.append(
                SamplePrediction(
                    int(row),
                    f"{caption}, IoU {overlap:.0%}",
                    [{**guess, "box": prediction.boxes[0].tolist()}],
                    [{"label": label, "box": box.tolist()}],
                )
            )
        return samples

    def drop_confidence_interval(
        self, metric: str, before: DetectionEvaluation, after: DetectionEvaluation
    ) -> tuple[float, float]:
        """Return the 95% interval of the drop in the share localized between two evaluations of the same images."""
        return paired_proportion_ci(before.metrics.is_correct, after.metrics.is_correct)

    def agreement(self, predictions: list[Prediction], others: list[Prediction]) -> float:
        """Return the share of images of which two models name the same class first, in boxes that overlap enough."""
        same = [
            one.labels[0] == other.labels[0] and iou(one.boxes[0], other.boxes[0]) >= MATCH_IOU
            for one, other in zip(predictions, others, strict=True)
        ]
        return float(np.mean(same))
