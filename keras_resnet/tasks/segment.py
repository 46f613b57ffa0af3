"""Instance segmentation as a task: which objects an image shows, where, and which pixels are theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_resnet.bricks import Bricks
from keras_resnet.coco import Answer, numbers
from keras_resnet.data.objects import unpacked
from keras_resnet.detections import DYNAMIC_COEFFICIENTS, SHARED
from keras_resnet.judgement import Judgement
from keras_resnet.networks import catalog, pyramid
from keras_resnet.networks.names import name_of
from keras_resnet.spec import Spec
from keras_resnet.tasks.detect import Detection

# Prototypes and coefficients of each way to make masks.
KINDS = {"condinst": (SHARED, DYNAMIC_COEFFICIENTS), "yolact": (32, 32)}


@dataclass(frozen=True)
class Segmentation(Detection):
    """Detection, and the mask of each object."""

    followed: ClassVar[tuple[str, ...]] = ("iou", "quality", "mask")

    def build(self, bricks: Bricks, spec: Spec, any_size: bool = False) -> Any:
        """The network of `spec`, as a model from pixels (B, H, W, 3) to "scores", "distances", "coefficients" and
        "prototypes" (see `detections`)."""
        size = spec.data.image_size
        assert size is not None and not any_size, "resolve the spec before building; sizes are fixed"
        prototypes, coefficients = KINDS[spec.head.masks]
        pixels, stages = catalog.body(bricks, spec.network, (size, size, 3), spec.data.normalization)
        levels = pyramid.levels_of(bricks, stages, self.cells)
        outputs = pyramid.heads_of(bricks, levels, len(self.classes), spec.head.convs, coefficients)
        outputs["prototypes"] = pyramid.prototypes_of(bricks, levels, stages, spec.head.convs, prototypes)
        return bricks.model(pixels, outputs, name=name_of(spec.network))

    def encode(self, truth: dict[str, Any]) -> dict[str, Any]:
        """As detection, with "ids" (B, S, S), n + 1 where the n-th object is."""
        return {**super().encode(truth), "ids": truth["ids"]}

    def loss(self, spec: Spec) -> Callable[[Any, Any], Any]:
        """(targets, outputs) → (B,) float32: detection's, and what masks lack of their objects'."""
        from keras_resnet.tasks.assign import assign, boxes_at, detection_losses
        from keras_resnet.tasks.masks import mask_losses

        def losses(targets: Any, outputs: Any) -> Any:
            boxes = boxes_at(outputs["distances"], self.cells)
            found = assign(outputs["scores"], boxes, targets, self.cells)
            of_boxes = detection_losses(outputs["scores"], boxes, targets, found)
            of_masks, _ = mask_losses(outputs, targets["ids"], found, self.cells)
            return of_boxes + of_masks

        return losses

    def follow(self, targets: Any, outputs: Any) -> dict[str, Any]:
        """As detection, and the mean IoU of masks with their objects'."""
        from keras_resnet.tasks.assign import assign, boxes_at
        from keras_resnet.tasks.masks import mask_losses

        found = assign(outputs["scores"], boxes_at(outputs["distances"], self.cells), targets, self.cells)
        _, overlap = mask_losses(outputs, targets["ids"], found, self.cells)
        return {**super().follow(targets, outputs), "mask": overlap}

    def judge(self, answers: list[Answer], truth: dict[str, np.ndarray]) -> Judgement:
        """COCO's AP of the masks, and that of the boxes, with their other numbers beside them."""
        truths = unpacked(truth)
        masks, by_class = numbers(truths, answers, self.classes, "segm")
        boxes, _ = numbers(truths, answers, self.classes)
        details = {f"{kind} {name}": v for kind, each in (("mask", masks), ("box", boxes)) for name, v in each.items()}
        return Judgement({"mask mAP": masks["AP"], "box mAP": boxes["AP"]}, by_class, details)
