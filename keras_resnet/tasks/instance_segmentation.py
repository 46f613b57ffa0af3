"""Instance segmentation as a task: which objects an image shows, where, and which pixels are theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_resnet.config.spec import Spec
from keras_resnet.data.annotations import require_shown, unpad_annotations
from keras_resnet.metrics.coco import Prediction, coco_metrics
from keras_resnet.metrics.result import Metrics
from keras_resnet.metrics.voc import voc_numbers
from keras_resnet.models import fpn
from keras_resnet.models.layers import Layers
from keras_resnet.runtime.postprocess import CONDINST_COEFFICIENTS, CONDINST_PROTOTYPES
from keras_resnet.tasks.detection import Detection

# Prototypes and coefficients of each way to make masks.
KINDS = {"condinst": (CONDINST_PROTOTYPES, CONDINST_COEFFICIENTS), "yolact": (32, 32)}


@dataclass(frozen=True)
class Segmentation(Detection):
    """Detection, and the mask of each object."""

    followed: ClassVar[tuple[str, ...]] = ("iou", "quality", "mask")
    kind: ClassVar[str] = "segm"
    parts: ClassVar[tuple[str, ...]] = (*Detection.parts, "mask_head")
    judged: ClassVar[tuple[str, ...]] = ("mask mAP", "box mAP")

    def outputs(self, bricks: Layers, stages: dict[str, Any], spec: Spec) -> dict[str, Any]:
        """As detection, with "coefficients" and "prototypes"."""
        prototypes, coefficients = KINDS[spec.head.masks]
        levels = fpn.build_pyramid(bricks, stages, self.cells)
        found = fpn.build_heads(bricks, levels, len(self.classes), spec.head.convs, coefficients)
        return found | {"prototypes": fpn.build_prototypes(bricks, levels, stages, spec.head.convs, prototypes)}

    def encode(self, truth: dict[str, Any]) -> dict[str, Any]:
        """As detection, with "ids" (B, S, S), n + 1 where the n-th object is."""
        return {**super().encode(truth), "ids": truth["ids"]}

    def loss(self, spec: Spec) -> Callable[[Any, Any], Any]:
        """(targets, outputs) → (B,) float32: detection's, and what masks lack of their objects'."""
        from keras_resnet.tasks.assigner import detection_losses
        from keras_resnet.tasks.mask_loss import mask_losses

        def losses(targets: Any, outputs: Any) -> Any:
            boxes, found = self.assigned(targets, outputs)
            of_masks, _ = mask_losses(outputs, targets["ids"], found, self.cells)
            return detection_losses(outputs["scores"], boxes, targets, found) + of_masks

        return losses

    def follow(self, targets: Any, outputs: Any) -> dict[str, Any]:
        """As detection, and the mean IoU of masks with their objects'."""
        from keras_resnet.tasks.mask_loss import mask_losses

        _, found = self.assigned(targets, outputs)
        _, overlap = mask_losses(outputs, targets["ids"], found, self.cells)
        return {**self.followed_of(outputs, found), "mask": overlap}

    def judge(self, answers: list[Prediction], truth: dict[str, np.ndarray]) -> Metrics:
        """COCO's AP of the masks, and that of the boxes, with their other numbers and VOC's beside them. Raises
        DataError if nothing is there."""
        require_shown(truth["labels"], truth["crowd"], "images")
        truths = unpad_annotations(truth)
        masks, by_class = coco_metrics(truths, answers, self.classes, "segm")
        boxes, _ = coco_metrics(truths, answers, self.classes)
        boxes |= voc_numbers(truths, answers, self.classes)
        details = {f"{kind} {name}": v for kind, each in (("mask", masks), ("box", boxes)) for name, v in each.items()}
        return Metrics({"mask mAP": masks["AP"], "box mAP": boxes["AP"]}, by_class, details)
