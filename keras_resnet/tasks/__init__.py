"""Tasks: what a network is asked to do."""

from __future__ import annotations

from keras_resnet.spec import Spec
from keras_resnet.tasks.classify import Classification


def task_of(spec: Spec, classes: tuple[str, ...]) -> Classification:
    """The task `spec` names, over the labels `classes`."""
    tasks = {"classify": Classification}
    return tasks[spec.task](classes)
