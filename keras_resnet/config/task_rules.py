"""Declare what each task asks of the settings: annotations, and the augmentations that it knows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskRules:
    """annotations: what the images must be annotated with. mosaic, copy_paste: whether the task can be trained with
    these augmentations. default_data: the dataset that is used where none is named. losses: the values of
    `training.loss` that it can be trained with, its default first. balances_classes: whether classes can be weighed
    and sampled, for which every image needs one label."""

    annotations: str
    mosaic: bool = False
    copy_paste: bool = False
    default_data: str = "digits"
    losses: tuple[str, ...] = ("cross_entropy",)
    balances_classes: bool = False

    @property
    def has_boxes(self) -> bool:
        """Whether the task learns from boxes instead of labels of whole images."""
        return needs_boxes(self.annotations)


def needs_boxes(annotations: str) -> bool:
    """Return whether `annotations` are of objects in the images, instead of whole images."""
    return annotations not in ("labels", "label_sets")


# By the task's name; tasks.TASKS holds what a network of each does.
TASK_RULES = {
    "classify": TaskRules("labels", losses=("cross_entropy", "bce", "focal"), balances_classes=True),
    "multilabel": TaskRules("label_sets", default_data="digit_pairs", losses=("bce", "asymmetric")),
    "localize": TaskRules("object", default_data="shapes/single"),
    "detect": TaskRules("objects", mosaic=True, default_data="shapes"),
    "segment": TaskRules("masks", mosaic=True, copy_paste=True, default_data="shapes"),
}
