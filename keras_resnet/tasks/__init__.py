"""Tasks: what a network is asked to do."""

from __future__ import annotations

from typing import Any

from keras_resnet.config.spec import Spec
from keras_resnet.models.backbone import get_backbone
from keras_resnet.models.fpn import pyramid_sides
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.detection import Detection
from keras_resnet.tasks.instance_segmentation import Segmentation
from keras_resnet.tasks.localization import Localization

# Those that look at a network's feature pyramid, and from which of its levels on.
ON_PYRAMID = {"localize": (Localization, 1), "detect": (Detection, 0), "segment": (Segmentation, 0)}


def get_task(spec: Spec, classes: tuple[str, ...]) -> Any:
    """The task `spec` names, over the labels `classes`. All have the members of `Classification`."""
    if spec.task == "classify":
        return Classification(classes)
    assert spec.data.image_size is not None, "resolve the spec first"
    kind, first = ON_PYRAMID[spec.task]
    return kind(classes, pyramid_sides(spec.network, spec.data.image_size)[first:])


def parts_of(spec: Spec) -> tuple[str, ...]:
    """The names of all parts of the network of `spec`, from the image to the answers (see `networks.parts`)."""
    kind = Classification if spec.task == "classify" else ON_PYRAMID[spec.task][0]
    return (*get_backbone(spec.network).parts, *kind.parts)


def output_metadata(spec: Spec, classes: tuple[str, ...]) -> tuple[str, tuple[int, ...]]:
    """What a file has to say of its outputs: the task, and the cells of its pyramid, if it has one."""
    return spec.task, getattr(get_task(spec, classes), "cells", ())
