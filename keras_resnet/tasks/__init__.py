"""Tasks: what a network is asked to do."""

from __future__ import annotations

from typing import Any

from keras_resnet.networks.pyramid import cells_of
from keras_resnet.spec import Spec
from keras_resnet.tasks.classify import Classification
from keras_resnet.tasks.detect import Detection
from keras_resnet.tasks.localize import Localization
from keras_resnet.tasks.segment import Segmentation

TASKS = {"classify": Classification, "localize": Localization}
# Those that look at a network's feature pyramid.
ON_PYRAMID = {"detect": Detection, "segment": Segmentation}


def task_of(spec: Spec, classes: tuple[str, ...]) -> Any:
    """The task `spec` names, over the labels `classes`. All have the members of `Classification`."""
    if spec.task in TASKS:
        return TASKS[spec.task](classes)
    assert spec.data.image_size is not None, "resolve the spec first"
    cells = cells_of(spec.network, spec.data.image_size)
    return ON_PYRAMID[spec.task](classes, cells)


def placing(spec: Spec, classes: tuple[str, ...]) -> tuple[str, tuple[int, ...]]:
    """What a file has to say of its outputs: the task, and the cells of its pyramid, if it has one."""
    return spec.task, getattr(task_of(spec, classes), "cells", ())
