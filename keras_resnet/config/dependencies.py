"""Settings that have an effect only beside another one: asked for without it, they are errors instead of being ignored.

Only what was asked for is looked at: a recipe's settings may lose their use when an option changes another one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter

from keras_resnet.config.settings import iterate_settings
from keras_resnet.config.spec import Spec
from keras_resnet.config.task_rules import TASK_RULES
from keras_resnet.errors import SettingError
from keras_resnet.runtime.plurals import join_words


@dataclass(frozen=True)
class Needed:
    """The setting `key` that another one needs, at one of `values`; () is any value at all."""

    key: str
    values: tuple[str, ...] = ()


_HAVE_BOXES = tuple(name for name, rules in TASK_RULES.items() if rules.has_boxes)
_CLASSIFY = tuple(name for name in TASK_RULES if name not in _HAVE_BOXES)
# A setting of which the help says "only of …" gets a line here.
NEEDED = {
    "training.focal_gamma": Needed("training.loss", ("focal",)),
    "augment.min_crop_area": Needed("augment.crop", ("resized",)),
    "augment.scaled_decoding": Needed("augment.crop", ("resized",)),
    **dict.fromkeys(
        ("augment.operations", "augment.magnitude", "augment.magnitude_std"),
        Needed("augment.auto_augment", ("randaugment",)),
    ),
    **dict.fromkeys(("distill.weight", "distill.temperature"), Needed("distill.teacher")),
    **dict.fromkeys(("optimizer.momentum", "optimizer.nesterov"), Needed("optimizer.name", ("sgd", "muon"))),
    **dict.fromkeys(
        ("optimizer.beta_1", "optimizer.beta_2", "optimizer.epsilon"),
        Needed("optimizer.name", ("adamw", "lamb", "muon")),
    ),
    "optimizer.milestones": Needed("optimizer.schedule", ("step",)),
    "optimizer.power": Needed("optimizer.schedule", ("polynomial",)),
    "optimizer.final_lr_ratio": Needed("optimizer.schedule", ("cosine", "polynomial")),
    "optimizer.label_smoothing": Needed("task", _CLASSIFY),
    "head.masks": Needed("task", ("segment",)),
    "data.crowds": Needed("task", _HAVE_BOXES),
}
_OPTIONS = {each.key: each.option.flag for each in iterate_settings(Spec) if each.option}


def require_effect(spec: Spec, asked: Collection[str]) -> None:
    """Raise SettingError for a key among those `asked` for that has no effect in `spec`, with what it needs."""
    for key in asked:
        if needed := NEEDED.get(key):
            value = attrgetter(needed.key)(spec)
            if value not in needed.values if needed.values else value is None:
                here = f"; here it is {value}" if value is not None else ""
                raise SettingError(f"{key} has an effect only with {_describe(needed)}{here}")
    if {"training.steps", "training.epochs"} <= set(asked):
        raise SettingError("training.steps decides the number of epochs; it takes no training.epochs")


def _describe(needed: Needed) -> str:
    """Return what to type: "--loss focal", "--set optimizer.schedule=step"."""
    values = join_words(needed.values, "or")
    if flag := _OPTIONS.get(needed.key):
        return f"{flag} {values}".strip()
    return f"--set {needed.key}={values}"
