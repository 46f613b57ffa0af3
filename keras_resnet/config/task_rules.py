"""Declare what each task asks of the settings: annotations, and the augmentations that it knows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskRules:
    """annotations: what the images must be annotated with. mosaic, copy_paste: whether the task can be trained with
    these augmentations. default_data: the data set that is used where none is named."""

    annotations: str
    mosaic: bool = False
    copy_paste: bool = False
    default_data: str = "digits"

    @property
    def has_boxes(self) -> bool:
        """Whether the task learns from boxes instead of labels of whole images."""
        return self.annotations != "labels"


# By the task's name; tasks.TASKS holds what a network of each does.
TASK_RULES = {
    "classify": TaskRules("labels"),
    "localize": TaskRules("object", default_data="shapes/single"),
    "detect": TaskRules("objects", mosaic=True, default_data="shapes"),
    "segment": TaskRules("masks", mosaic=True, copy_paste=True, default_data="shapes"),
}
