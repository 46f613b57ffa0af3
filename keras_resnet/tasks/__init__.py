"""Tasks: what a network is asked to do."""

from __future__ import annotations

from typing import Any

from keras_resnet.spec import Spec
from keras_resnet.tasks.classify import Classification
from keras_resnet.tasks.localize import Localization

TASKS = {"classify": Classification, "localize": Localization}


def task_of(spec: Spec, classes: tuple[str, ...]) -> Any:
    """The task `spec` names, over the labels `classes`. All have the members of `Classification`."""
    return TASKS[spec.task](classes)
