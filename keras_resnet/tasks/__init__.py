"""Tasks: what a network is asked to do."""

from __future__ import annotations

from typing import Any

from keras_resnet.networks.parts import body_of
from keras_resnet.networks.pyramid import cells_of
from keras_resnet.spec import Spec
from keras_resnet.tasks.classify import Classification
from keras_resnet.tasks.detect import Detection
from keras_resnet.tasks.localize import Localization
from keras_resnet.tasks.segment import Segmentation

# Those that look at a network's feature pyramid, and from which of its levels on.
ON_PYRAMID = {"localize": (Localization, 1), "detect": (Detection, 0), "segment": (Segmentation, 0)}


def task_of(spec: Spec, classes: tuple[str, ...]) -> Any:
    """The task `spec` names, over the labels `classes`. All have the members of `Classification`."""
    if spec.task == "classify":
        return Classification(classes)
    assert spec.data.image_size is not None, "resolve the spec first"
    kind, first = ON_PYRAMID[spec.task]
    return kind(classes, cells_of(spec.network, spec.data.image_size)[first:])


def parts_of(spec: Spec) -> tuple[str, ...]:
    """The names of all parts of the network of `spec`, from the image to the answers (see `networks.parts`)."""
    kind = Classification if spec.task == "classify" else ON_PYRAMID[spec.task][0]
    return (*body_of(spec.network), *kind.parts)


def placing(spec: Spec, classes: tuple[str, ...]) -> tuple[str, tuple[int, ...]]:
    """What a file has to say of its outputs: the task, and the cells of its pyramid, if it has one."""
    return spec.task, getattr(task_of(spec, classes), "cells", ())
