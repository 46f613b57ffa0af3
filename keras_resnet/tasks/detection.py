"""Detection as a task: which objects an image shows, and where (COCO's first task)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_resnet.config.spec import Spec
from keras_resnet.data.annotations import decoded_mask, encoded_mask, require_shown, unpad_annotations
from keras_resnet.metrics import confidence_interval
from keras_resnet.metrics.coco import Prediction, bootstrap_ap, coco_metrics, curves
from keras_resnet.metrics.iou import iou
from keras_resnet.metrics.result import Metrics
from keras_resnet.metrics.voc import voc_numbers
from keras_resnet.models import build as catalog
from keras_resnet.models import fpn
from keras_resnet.models.layers import Layers
from keras_resnet.models.names import model_name
from keras_resnet.runtime.postprocess import (
    DISPLAY_THRESHOLD,
    Detections,
    decode_outputs,
    paste_masks_in_image,
    rle_encode,
    scale_boxes,
)

# Two models are compared by the objects that they are sure of; these agree from this overlap on.
SURE, RIGHT = 0.5, 0.5


@dataclass(frozen=True)
class Detection:
    """The objects of `classes` that an image shows, with their boxes; `cells` of each level of the pyramid."""

    classes: tuple[str, ...]
    cells: tuple[int, ...]

    followed: ClassVar[tuple[str, ...]] = ("iou", "quality")
    judged: ClassVar[tuple[str, ...]] = ("box mAP",)
    kind: ClassVar[str] = "bbox"
    parts: ClassVar[tuple[str, ...]] = ("neck", "class_head", "box_head")

    def build(self, bricks: Layers, spec: Spec, any_size: bool = False) -> Any:
        """The network of `spec`, as a model from pixels (B, H, W, 3) to its `outputs`."""
        size = spec.data.image_size
        assert size is not None and not any_size, "resolve the spec before building; sizes are fixed"
        _, pixels, stages = catalog.build_features(bricks, spec.network, (size, size, 3), spec.data.normalization)
        return bricks.model(pixels, self.outputs(bricks, stages, spec), name=model_name(spec.network))

    def outputs(self, bricks: Layers, stages: dict[str, Any], spec: Spec) -> dict[str, Any]:
        """The "scores" and "distances" (see `detections`) of the stages c2 … c5."""
        levels = fpn.build_pyramid(bricks, stages, self.cells)
        return fpn.build_heads(bricks, levels, len(self.classes), spec.head.convs)

    def encode(self, truth: dict[str, Any]) -> dict[str, Any]:
        """What the losses want of the truth: {"labels": (B, M), "boxes": (B, M, 4), "crowd": (B, M)}."""
        return {name: truth[name] for name in ("labels", "boxes", "crowd")}

    def assigned(self, targets: Any, outputs: Any) -> tuple[Any, Any]:
        """(boxes (B, N, 4), what their locations answer for, as `assign.Assigned`)."""
        from keras_resnet.tasks.assigner import assign, boxes_at

        boxes = boxes_at(outputs["distances"], self.cells)
        return boxes, assign(outputs["scores"], boxes, targets, self.cells)

    def loss(self, spec: Spec) -> Callable[[Any, Any], Any]:
        """(targets, outputs) → (B,) float32 (see `assign.detection_losses`)."""
        from keras_resnet.tasks.assigner import detection_losses

        def losses(targets: Any, outputs: Any) -> Any:
            boxes, found = self.assigned(targets, outputs)
            return detection_losses(outputs["scores"], boxes, targets, found)

        return losses

    def follow(self, targets: Any, outputs: Any) -> dict[str, Any]:
        """What is followed during training, per sample: the mean IoU of the boxes that answer for an object, and the
        mean probability that they give its class."""
        return self.followed_of(outputs, self.assigned(targets, outputs)[1])

    def followed_of(self, outputs: Any, found: Any) -> dict[str, Any]:
        """The same, of what is assigned."""
        import tensorflow as tf

        answers = tf.cast(found.objects >= 0, tf.float32)
        count = tf.maximum(tf.reduce_sum(answers, axis=1), 1.0)
        sure = tf.reduce_max(tf.sigmoid(tf.cast(outputs["scores"], tf.float32)), axis=2)
        return {
            "iou": tf.reduce_sum(found.overlap, axis=1) / count,
            "quality": tf.reduce_sum(sure * answers, axis=1) / count,
        }

    def read(self, outputs: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> list[Prediction]:
        """Outputs of a batch as answers: the objects found in each image, with their masks if there are any."""
        rows = zip(rows_of(outputs), truth["sizes"].tolist(), strict=True)
        return [in_pixels(*decode_outputs(row, self.cells), (width, height)) for row, (width, height) in rows]

    def judge(self, answers: list[Prediction], truth: dict[str, np.ndarray]) -> Metrics:
        """COCO's AP of the boxes, with its other numbers and VOC's beside it. Raises DataError if nothing is there."""
        require_shown(truth["labels"], truth["crowd"], "images")
        truths = unpad_annotations(truth)
        named, by_class = coco_metrics(truths, answers, self.classes)
        return Metrics({"box mAP": named["AP"]}, by_class, named | voc_numbers(truths, answers, self.classes))

    def findings(self, evaluation: Any) -> dict[str, Any]:
        """What a report tells of an `evaluate.Evaluation`: "by_class" and, by class, the "curves" of precision at an
        overlap of one half (see `coco.curves`)."""
        truths, by_class = unpad_annotations(evaluation.truth), evaluation.judgement.by_class
        labels = np.concatenate([each.labels[~each.crowd] for each in truths])
        objects = np.bincount(labels, minlength=len(self.classes))
        rows = [
            {"label": name, "objects": int(objects[self.classes.index(name)]), "AP": value}
            for name, value in by_class.items()
        ]
        return {"by_class": rows, "curves": curves(truths, evaluation.answers, self.classes, self.kind)}

    def pictures(self, evaluation: Any, count: int) -> list[tuple[int, list[dict[str, Any]], str]]:
        """(image, what is found in it, words) of `count` images, evenly spread over all."""
        answers = evaluation.answers
        rows = np.unique(np.linspace(0, len(answers) - 1, count).round().astype(int))
        truths, found = unpad_annotations({name: value[rows] for name, value in evaluation.truth.items()}), []
        for row, truth in zip(rows, truths, strict=True):
            shown = described(answers[row], self.classes, truth.size)
            found.append((int(row), shown, f"{len(shown)} found, {int((~truth.crowd).sum())} there"))
        return found

    def drop_interval(self, name: str, before: Any, after: Any) -> tuple[float, float]:
        """The 95% interval of the drop in the value `name` from one `evaluate.Evaluation` to another of the same
        images."""
        truths, kind = unpad_annotations(before.truth), "segm" if name == "mask mAP" else "bbox"
        was, found = (bootstrap_ap(truths, each.answers, self.classes, kind) for each in (before, after))
        return confidence_interval.bootstrap_ci(was, found, len(truths))

    def agreement(self, ours: list[Prediction], theirs: list[Prediction]) -> float:
        """The share of objects that two models find both, of one class and with boxes that overlap enough."""
        return agreement(ours, theirs)


def rows_of(outputs: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """The outputs of each image of a batch."""
    return ({name: value[row] for name, value in outputs.items()} for row in range(len(outputs["scores"])))


def in_pixels(found: Detections, logits: np.ndarray | None, size: tuple[int, int]) -> Prediction:
    """What was found, in pixels of the image of (width, height) `size`."""
    boxes = scale_boxes(found.boxes, size)
    masks = () if logits is None else tuple(map(encoded_mask, paste_masks_in_image(logits, boxes, size)))
    return Prediction(boxes, found.scores, found.labels, masks)


def described(answer: Prediction, classes: Sequence[str], size: tuple[int, int]) -> list[dict[str, Any]]:
    """The objects of which the network is SHOWN or more sure, as `detections.objects_of` has them."""
    objects: list[dict[str, Any]] = []
    for row in np.flatnonzero(answer.scores >= DISPLAY_THRESHOLD):
        name, share = classes[answer.labels[row]], float(answer.scores[row])
        objects.append({"label": name, "probability": share, "box": answer.boxes[row].tolist()})
        if answer.masks:
            mask = decoded_mask(answer.masks[row], size)
            objects[-1]["mask"] = {"size": list(mask.shape), "counts": rle_encode(mask > 0)}
    return objects


def agreement(ours: list[Prediction], theirs: list[Prediction]) -> float:
    """2 × objects found by both models / all that they find (an F1 score): those of which a model is SURE, matched one
    to one in the order of `ours`, of one class and with an IoU of RIGHT or more. 1 where neither finds any."""
    shared = total = 0
    for one, other in zip(ours, theirs, strict=True):
        first, second = one.scores >= SURE, other.scores >= SURE
        total += int(first.sum() + second.sum())
        overlap = iou(one.boxes[first][:, None], other.boxes[second][None])
        overlap = np.where(one.labels[first][:, None] == other.labels[second][None], overlap, 0)
        free = np.ones(overlap.shape[1], bool)
        for row in overlap:
            if (row * free).max(initial=0) >= RIGHT:
                free[int((row * free).argmax())] = False
                shared += 1
    return 2 * shared / total if total else 1.0
