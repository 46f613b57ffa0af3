"""Detect objects: their classes and boxes (COCO's first task)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_resnet.config.recipes.detection import detection_defaults
from keras_resnet.config.spec import Spec
from keras_resnet.data.annotations import Annotation, decode_rle, encode_rle, require_objects, unpad_annotations
from keras_resnet.metrics.classification import describe_confusion
from keras_resnet.metrics.coco import Prediction, bootstrap_ap, coco_metrics, precision_recall_curves
from keras_resnet.metrics.confidence_interval import bootstrap_ci
from keras_resnet.metrics.detection import describe_matches, f1_curves, match_any_class, match_by_class
from keras_resnet.metrics.iou import iou
from keras_resnet.metrics.result import Evaluation, Metrics
from keras_resnet.metrics.voc import voc_metrics
from keras_resnet.models import fpn
from keras_resnet.models.backbone import Backbone, Features
from keras_resnet.models.layers import Layers, Tensor
from keras_resnet.runtime.confidence import UNCALIBRATED, Confidence
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.postprocess import (
    DISPLAY_THRESHOLD,
    Detections,
    decode_outputs,
    paste_masks_in_image,
    rle_encode,
    scale_boxes,
)
from keras_resnet.tasks.base import Loss, OutputMetadata, SamplePrediction, Task, TypicalImage, choose_typical

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_resnet.tasks.assigner import Assignment

# Two models are compared by the objects of which they are this confident; boxes match from this IoU on.
AGREEMENT_CONFIDENCE, MATCH_IOU = 0.5, 0.5
# The last row and column of a confusion matrix: what is no object.
BACKGROUND = "background"
Arrays = dict[str, np.ndarray]
DetectionEvaluation = Evaluation[Arrays, Arrays, Prediction]


@dataclass(frozen=True)
class Detection(Task[Arrays, Arrays, Prediction]):
    """The objects of `classes` that an image shows, with their boxes. Outputs are those of a feature pyramid with
    `cells` to a side of each level (see `runtime.postprocess`), the ground truth is `GroundTruth.as_dict`. confidence:
    the score thresholds that `kresnet calibrate` fitted, which exported files have; metrics and analyses are without
    them."""

    cells: tuple[int, ...]
    confidence: Confidence = UNCALIBRATED

    name: ClassVar[str] = "detect"
    title: ClassVar[str] = "object detection"
    summary: ClassVar[str] = "Detection of objects"
    pipeline_tag: ClassVar[str] = "object-detection"
    train_metric_names: ClassVar[tuple[str, ...]] = ("iou", "quality")
    eval_metric_names: ClassVar[tuple[str, ...]] = ("box mAP",)
    head_parts: ClassVar[tuple[str, ...]] = ("neck", "class_head", "box_head")
    head_settings: ClassVar[tuple[str, ...]] = ("convs",)
    postprocessing: ClassVar[str] = "objects"
    # What COCO's evaluation compares: "bbox" or "segm".
    iou_type: ClassVar[str] = "bbox"
    # The finest level of the pyramid that is looked at.
    first_level: ClassVar[int] = 0
    # How many classes of one object are guessed; 0 lists all objects.
    guesses: ClassVar[int] = 0

    @classmethod
    def from_spec(cls, spec: Spec, classes: tuple[str, ...]) -> Detection:
        """Create the task of a resolved `spec`."""
        assert isinstance(spec.data.image_size, int), "resolve the spec first; images with objects become squares"
        return cls(classes, fpn.pyramid_sides(spec.network, spec.data.image_size)[cls.first_level :])

    @classmethod
    def default_config(cls) -> Spec:
        """Return the spec that is trained where no recipe is named."""
        return detection_defaults(cls.name)

    def with_confidence(self, confidence: Confidence) -> Detection:
        """Return the task with what was fitted."""
        return replace(self, confidence=confidence)

    def build_heads(self, layers: Layers, backbone: Backbone, features: Features, spec: Spec) -> dict[str, Tensor]:
        """Build neck and heads on the features: {"scores": (B, N, classes), "distances": (B, N, 4)}."""
        pyramid = fpn.build_pyramid(layers, features, self.cells)
        return fpn.build_heads(layers, pyramid, len(self.classes), spec.head.convs)

    def encode_targets(self, ground_truth: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Choose what the losses want: {"labels": (B, M), "boxes": (B, M, 4), "iscrowd": (B, M)}."""
        return {name: ground_truth[name] for name in ("labels", "boxes", "iscrowd")}

    def assign_targets(
        self, targets: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, Assignment]:
        """Return the boxes (B, N, 4) of all locations, and the objects that these answer for."""
        from keras_resnet.tasks.assigner import assign, decode_boxes

        boxes = decode_boxes(outputs["distances"], self.cells)
        return boxes, assign(outputs["scores"], boxes, targets, self.cells)

    def loss(self, spec: Spec) -> Loss:
        """Return quality focal loss of the scores and GIoU loss of the boxes (see `assigner.detection_losses`)."""
        from keras_resnet.tasks.assigner import detection_losses

        def losses(targets: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]) -> tf.Tensor:
            boxes, assignment = self.assign_targets(targets, outputs)
            return detection_losses(outputs["scores"], boxes, targets, assignment)

        return losses

    def train_metrics(self, targets: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Compute the mean IoU of the boxes that answer for an object, and the mean confidence in its class."""
        return self.assignment_metrics(outputs, self.assign_targets(targets, outputs)[1])

    def assignment_metrics(self, outputs: dict[str, tf.Tensor], assignment: Assignment) -> dict[str, tf.Tensor]:
        """Compute `train_metrics` of targets that are assigned already."""
        import tensorflow as tf

        positive = tf.cast(assignment.objects >= 0, tf.float32)
        count = tf.maximum(tf.reduce_sum(positive, axis=1), 1.0)
        confidence = tf.reduce_max(tf.sigmoid(tf.cast(outputs["scores"], tf.float32)), axis=2)
        return {
            "iou": tf.reduce_sum(assignment.iou, axis=1) / count,
            "quality": tf.reduce_sum(confidence * positive, axis=1) / count,
        }

    def postprocess(self, outputs: Arrays, ground_truth: Arrays) -> list[Prediction]:
        """Decode the objects of each image of a batch, with their masks if there are any."""
        rows = zip(split_batch(outputs), ground_truth["sizes"].tolist(), strict=True)
        return [
            to_image_pixels(*decode_outputs(row, self.cells, guesses=self.guesses), (width, height))
            for row, (width, height) in rows
        ]

    def compute_metrics(self, predictions: list[Prediction], ground_truth: Arrays) -> Metrics:
        """Compute COCO's AP of the boxes; beside it COCO's other numbers and VOC's. Raises DataError if no image shows
        an object."""
        require_objects(ground_truth["labels"], ground_truth["iscrowd"], "images")
        annotations = unpad_annotations(ground_truth)
        numbers, by_class = coco_metrics(annotations, predictions, self.classes)
        details = numbers | voc_metrics(annotations, predictions, self.classes)
        return Metrics({"box mAP": numbers["AP"]}, by_class, details)

    def analyze(self, evaluation: DetectionEvaluation) -> dict[str, Any]:
        """Return numbers "by_class", the confusion matrix with the background, and of each class the precision-recall
        "curves" and "f1_curves". All but AP is at an IoU of 0.5, and all but the curves at the confidence from which
        objects are displayed, "threshold"."""
        annotations = unpad_annotations(evaluation.ground_truth)
        data = (annotations, evaluation.predictions, self.classes)
        curves = precision_recall_curves(*data, self.iou_type)
        matches = match_by_class(*data, self.iou_type)
        numbers = describe_matches(matches, DISPLAY_THRESHOLD)
        rows = [
            {"label": name, "objects": matches[name].objects, "AP": value, "AP50": float(np.mean(curves[name]))}
            | numbers[name]
            for name, value in evaluation.metrics.by_class.items()
        ]
        pairs = match_any_class(*data, DISPLAY_THRESHOLD, self.iou_type)
        return {
            "by_class": rows,
            "curves": curves,
            "f1_curves": f1_curves(matches),
            "threshold": DISPLAY_THRESHOLD,
            **describe_confusion(*pairs, (*self.classes, BACKGROUND)),
        }

    def sample_predictions(self, evaluation: DetectionEvaluation, count: int) -> list[SamplePrediction]:
        """Choose `count` images, evenly spread over those with an object, labeled or predicted, with their ground
        truth; over all images where there is no object at all."""
        predictions = evaluation.predictions
        is_labeled = (evaluation.ground_truth["labels"] >= 0).any(axis=1)
        is_predicted = np.array([(each.scores >= DISPLAY_THRESHOLD).any() for each in predictions], bool)
        shown = np.flatnonzero(np.logical_or(is_labeled, is_predicted))
        places = shown if len(shown) else np.arange(len(predictions))
        rows = places[np.unique(np.linspace(0, len(places) - 1, count).round().astype(int))]
        annotations = unpad_annotations({name: value[rows] for name, value in evaluation.ground_truth.items()})
        samples: list[SamplePrediction] = []
        for row, annotation in zip(rows, annotations, strict=True):
            objects = describe_confident_objects(predictions[row], self.classes, annotation.size)
            truth = annotated_objects(annotation, self.classes)
            caption = f"{counted(len(objects), 'object')} predicted, {len(truth)} labeled"
            samples.append(SamplePrediction(int(row), caption, objects, truth))
        return samples

    def typical_images(self, evaluation: DetectionEvaluation, count: int) -> list[TypicalImage]:
        """Choose an image with an object of each class whose box overlaps enough."""
        annotations, predictions = unpad_annotations(evaluation.ground_truth), evaluation.predictions
        confidence = np.zeros((len(predictions), len(self.classes)))
        shown = np.zeros(confidence.shape, bool)
        for row, (annotation, prediction) in enumerate(zip(annotations, predictions, strict=True)):
            shown[row, annotation.labels[~annotation.iscrowd]] = True
            for label in np.unique(prediction.labels):
                # The most confident object of a class is the one that a heat map explains.
                best = int(np.flatnonzero(prediction.labels == label)[0])
                there = annotation.boxes[(annotation.labels == label) & ~annotation.iscrowd]
                if len(there) and iou(prediction.boxes[best][None], there).max() >= MATCH_IOU:
                    confidence[row, label] = prediction.scores[best]
        return choose_typical(confidence, shown.sum(axis=0), self.classes, count)

    def drop_confidence_interval(
        self, metric: str, before: DetectionEvaluation, after: DetectionEvaluation
    ) -> tuple[float, float]:
        """Return the 95% interval of the drop in `metric`, a mAP, between two evaluations of the same images."""
        annotations = unpad_annotations(before.ground_truth)
        iou_type = "segm" if metric == "mask mAP" else "bbox"
        score_before, score_after = (
            bootstrap_ap(annotations, each.predictions, self.classes, iou_type) for each in (before, after)
        )
        return bootstrap_ci(score_before, score_after, len(annotations))

    def agreement(self, predictions: list[Prediction], others: list[Prediction]) -> float:
        """Return the share of objects that two models detect both (see `detection_agreement`)."""
        return detection_agreement(predictions, others)

    def output_metadata(self) -> OutputMetadata:
        """Return what an exported file says of its input and outputs."""
        return {**super().output_metadata(), "cells": self.cells, "confidence": self.confidence}


def split_batch(outputs: Arrays) -> Iterator[Arrays]:
    """Yield the outputs of each image of a batch."""
    return ({name: value[row] for name, value in outputs.items()} for row in range(len(outputs["scores"])))


def to_image_pixels(detections: Detections, mask_logits: np.ndarray | None, size: tuple[int, int]) -> Prediction:
    """Scale boxes and masks to the pixels of an image of (width, height) `size`."""
    boxes = scale_boxes(detections.boxes, size)
    masks = () if mask_logits is None else tuple(map(encode_rle, paste_masks_in_image(mask_logits, boxes, size)))
    return Prediction(boxes, detections.scores, detections.labels, masks)


def describe_confident_objects(
    prediction: Prediction, classes: Sequence[str], size: tuple[int, int]
) -> list[dict[str, Any]]:
    """List the objects that are confident enough to be drawn, as `postprocess.describe_objects` does."""
    objects: list[dict[str, Any]] = []
    for row in np.flatnonzero(prediction.scores >= DISPLAY_THRESHOLD):
        label, probability = classes[prediction.labels[row]], float(prediction.scores[row])
        objects.append({"label": label, "probability": probability, "box": prediction.boxes[row].tolist()})
        if prediction.masks:
            objects[-1]["mask"] = _to_json_mask(prediction.masks[row], size)
    return objects


def annotated_objects(annotation: Annotation, classes: Sequence[str]) -> list[dict[str, Any]]:
    """List the objects of an image's ground truth as `describe_confident_objects` does, without probabilities; crowds
    are left out."""
    objects: list[dict[str, Any]] = []
    for row in np.flatnonzero(~annotation.iscrowd):
        objects.append({"label": classes[annotation.labels[row]], "box": annotation.boxes[row].tolist()})
        if annotation.masks:
            objects[-1]["mask"] = _to_json_mask(annotation.masks[row], annotation.size)
    return objects


def _to_json_mask(counts: bytes, size: tuple[int, int]) -> dict[str, Any]:
    """Return a mask, counts of a compressed run-length code, as COCO's uncompressed one."""
    mask = decode_rle(counts, size)
    return {"size": list(mask.shape), "counts": rle_encode(mask > 0)}


def detection_agreement(predictions: list[Prediction], others: list[Prediction]) -> float:
    """Compute 2 × objects that both models detect / all that they detect (an F1 score), 1 where neither detects any.

    Objects count from a confidence of AGREEMENT_CONFIDENCE on; they are matched one to one in the order of
    `predictions`, of one class and with an IoU of MATCH_IOU or more."""
    shared = total = 0
    for one, other in zip(predictions, others, strict=True):
        first, second = one.scores >= AGREEMENT_CONFIDENCE, other.scores >= AGREEMENT_CONFIDENCE
        total += int(first.sum() + second.sum())
        overlap = iou(one.boxes[first][:, None], other.boxes[second][None])
        overlap = np.where(one.labels[first][:, None] == other.labels[second][None], overlap, 0)
        free = np.ones(overlap.shape[1], bool)
        for row in overlap:
            if (row * free).max(initial=0) >= MATCH_IOU:
                free[int((row * free).argmax())] = False
                shared += 1
    return 2 * shared / total if total else 1.0
