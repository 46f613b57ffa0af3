"""Tasks: what a network is asked to do. `TASKS` registers them."""

from __future__ import annotations

from keras_resnet.config.spec import Spec
from keras_resnet.errors import SettingError, one_of_sentence
from keras_resnet.models.backbone import get_backbone
from keras_resnet.tasks.base import Task
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.detection import Detection
from keras_resnet.tasks.instance_segmentation import InstanceSegmentation
from keras_resnet.tasks.localization import Localization
from keras_resnet.tasks.multilabel import Multilabel

__all__ = ["TASKS", "Task", "default_config", "get_task", "parts_of"]

# By the name that `--task` takes. A new task is one line here, and one in config.task_rules.
TASKS: dict[str, type[Task]] = {
    each.name: each for each in (Classification, Multilabel, Localization, Detection, InstanceSegmentation)
}


def get_task(spec: Spec, classes: tuple[str, ...]) -> Task:
    """Create the task of a resolved `spec` over the labels `classes`."""
    return TASKS[spec.task].from_spec(spec, classes)


def default_config(task: str) -> Spec:
    """Return how `task` is trained where no recipe is named. Raises SettingError for an unknown one."""
    if task not in TASKS:
        raise SettingError(one_of_sentence("task", task, tuple(TASKS)))
    return TASKS[task].default_config()


def parts_of(spec: Spec) -> tuple[str, ...]:
    """Return the names of all parts of the network of `spec`, from the image to the outputs (see `models.parts`)."""
    return (*get_backbone(spec.network).parts, *TASKS[spec.task].head_parts)
