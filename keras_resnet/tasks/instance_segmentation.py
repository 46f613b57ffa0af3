"""Segment instances: the objects of an image, their boxes and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from keras_resnet.config.spec import Spec
from keras_resnet.data.annotations import require_objects, unpad_annotations
from keras_resnet.metrics.coco import Prediction, coco_metrics
from keras_resnet.metrics.result import Metrics
from keras_resnet.metrics.voc import voc_metrics
from keras_resnet.models import fpn
from keras_resnet.models.backbone import Backbone, Features
from keras_resnet.models.layers import Layers, Tensor
from keras_resnet.runtime.postprocess import CONDINST_COEFFICIENTS, CONDINST_PROTOTYPES
from keras_resnet.tasks.base import Loss
from keras_resnet.tasks.detection import Arrays, Detection

if TYPE_CHECKING:
    import tensorflow as tf

# (prototypes, coefficients) of each kind of mask head, by the name in HeadSpec.masks.
MASK_HEADS = {"condinst": (CONDINST_PROTOTYPES, CONDINST_COEFFICIENTS), "yolact": (32, 32)}


@dataclass(frozen=True)
class InstanceSegmentation(Detection):
    """Detection, and the mask of each object."""

    name: ClassVar[str] = "segment"
    title: ClassVar[str] = "instance segmentation"
    summary: ClassVar[str] = "Detection of objects and their masks"
    pipeline_tag: ClassVar[str] = "image-segmentation"
    train_metric_names: ClassVar[tuple[str, ...]] = ("iou", "quality", "mask")
    eval_metric_names: ClassVar[tuple[str, ...]] = ("mask mAP", "box mAP")
    head_parts: ClassVar[tuple[str, ...]] = (*Detection.head_parts, "mask_head")
    head_settings: ClassVar[tuple[str, ...]] = ("convs", "masks")
    iou_type: ClassVar[str] = "segm"
    has_masks: ClassVar[bool] = True

    def build_heads(self, layers: Layers, backbone: Backbone, features: Features, spec: Spec) -> dict[str, Tensor]:
        """Build the heads of detection, with "coefficients" (B, N, C) and "prototypes" (B, h, w, P)."""
        prototypes, coefficients = MASK_HEADS[spec.head.masks]
        pyramid = fpn.build_pyramid(layers, features, self.cells)
        outputs = fpn.build_heads(layers, pyramid, len(self.classes), spec.head.convs, coefficients)
        return outputs | {"prototypes": fpn.build_prototypes(layers, pyramid, features, spec.head.convs, prototypes)}

    def encode_targets(self, ground_truth: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Choose what the losses want: as detection, with "ids" (B, S, S), n + 1 where the n-th object is."""
        return {**super().encode_targets(ground_truth), "ids": ground_truth["ids"]}

    def loss(self, spec: Spec) -> Loss:
        """Return the loss of detection plus Dice loss of the masks (see `mask_loss.mask_losses`)."""
        from keras_resnet.tasks.assigner import detection_losses
        from keras_resnet.tasks.mask_loss import mask_losses

        def losses(targets: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]) -> tf.Tensor:
            boxes, assignment = self.assign_targets(targets, outputs)
            dice, _ = mask_losses(outputs, targets["ids"], assignment, self.cells)
            return detection_losses(outputs["scores"], boxes, targets, assignment) + dice

        return losses

    def train_metrics(self, targets: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Compute the metrics of detection, and the mean IoU of masks with those of their objects."""
        from keras_resnet.tasks.mask_loss import mask_losses

        _, assignment = self.assign_targets(targets, outputs)
        _, mask_iou = mask_losses(outputs, targets["ids"], assignment, self.cells)
        return {**self.assignment_metrics(outputs, assignment), "mask": mask_iou}

    def compute_metrics(self, predictions: list[Prediction], ground_truth: Arrays) -> Metrics:
        """Compute COCO's AP of the masks and of the boxes; beside them COCO's other numbers and VOC's. Raises DataError
        if no image shows an object."""
        require_objects(ground_truth["labels"], ground_truth["iscrowd"], "images")
        annotations = unpad_annotations(ground_truth)
        masks, by_class = coco_metrics(annotations, predictions, self.classes, "segm")
        boxes, _ = coco_metrics(annotations, predictions, self.classes)
        values = {"mask mAP": masks["AP"], "box mAP": boxes["AP"]}
        boxes |= voc_metrics(annotations, predictions, self.classes)
        details = {f"mask {name}": value for name, value in masks.items()}
        details |= {f"box {name}": value for name, value in boxes.items()}
        return Metrics(values, by_class, details)
