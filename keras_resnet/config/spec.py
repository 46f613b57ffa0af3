"""What to build, on what data, how to train: the spec of a run, frozen, and saved with it.

Values left at None or "auto" are decided when a run starts (see `resolve.resolve`), printed with
their reason and written back, so that a saved spec of a run is always complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Self

from pydantic import Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from keras_resnet.config.data import AugmentSpec, DataSpec
from keras_resnet.config.families import FAMILIES
from keras_resnet.config.image_size import format_size
from keras_resnet.config.network import HeadSpec, NetworkSpec, Normalization
from keras_resnet.config.option_groups import COMMON
from keras_resnet.config.section import STRICT, Section, not_allowed, override, parse_section
from keras_resnet.config.settings import OneOf, Option, setting
from keras_resnet.config.task_rules import TASK_RULES
from keras_resnet.config.training import CompressSpec, DistillSpec, LogSpec, OptimizerSpec, StartSpec, TrainingSpec
from keras_resnet.errors import SettingError
from keras_resnet.runtime.plurals import join_words

__all__ = [
    "AugmentSpec",
    "CompressSpec",
    "DataSpec",
    "DistillSpec",
    "HeadSpec",
    "LogSpec",
    "NetworkSpec",
    "Normalization",
    "OptimizerSpec",
    "Spec",
    "StartSpec",
    "TrainingSpec",
    "spec_schema",
]

# Augmentations that only images with objects take, and those that only classified ones take.
_FOR_OBJECTS = ("scales", "color_jitter", "mosaic", "copy_paste")
_FOR_CLASSIFICATION = ("mixup", "cutmix", "random_erase", "auto_augment", "train_sizes")
# Settings of a training that need one label an image.
_CLASS_BALANCE = ("class_weights", "weights_by_class", "sampling")


def _takes(task: str, augmentation: str) -> bool:
    """Return whether a task can be trained with an augmentation that not all take."""
    rules = TASK_RULES[task]
    if augmentation in ("mosaic", "copy_paste"):
        return bool(getattr(rules, augmentation))
    return rules.has_boxes if augmentation in _FOR_OBJECTS else not rules.has_boxes


@dataclass(frozen=True, config=STRICT)
class Spec(Section):
    """All settings of a run. `Spec()` is the default: a ResNet-50 on the bundled digits."""

    task: Annotated[str, OneOf(tuple(TASK_RULES))] = setting(
        "classify",
        "Task: classify, multilabel (several labels per image), localize (the main object), detect or segment.",
        Option("--task", COMMON),
    )
    network: NetworkSpec = Field(default_factory=NetworkSpec)
    head: HeadSpec = Field(default_factory=HeadSpec)
    data: DataSpec = Field(default_factory=DataSpec)
    augment: AugmentSpec = Field(default_factory=AugmentSpec)
    start: StartSpec = Field(default_factory=StartSpec)
    distill: DistillSpec = Field(default_factory=DistillSpec)
    compress: CompressSpec = Field(default_factory=CompressSpec)
    optimizer: OptimizerSpec = Field(default_factory=OptimizerSpec)
    training: TrainingSpec = Field(default_factory=TrainingSpec)
    log: LogSpec = Field(default_factory=LogSpec)

    @model_validator(mode="after")
    def _require_what_goes_together(self) -> Self:
        needed = TASK_RULES[self.task].annotations
        if self.data.annotations != needed:
            raise not_allowed("data.annotations", self.data.annotations, f"{needed} for {self.task}")
        if not TASK_RULES[self.task].has_boxes:
            self._require_for_classification()
        else:
            self._require_for_objects()
        self._require_loss()
        self._require_fitting_lengths()
        self._require_for_tfmot()
        return self

    def _require_for_classification(self) -> None:
        """Raise SettingError for what only detectors take."""
        if self.head != HeadSpec():
            changed = next(name for name in ("convs", "masks") if getattr(self.head, name) != getattr(HeadSpec(), name))
            raise self._not_for_task(f"head.{changed}", [name for name, each in TASK_RULES.items() if each.has_boxes])
        self._refuse_augmentations(_FOR_OBJECTS)

    def _require_for_objects(self) -> None:
        """Raise SettingError for what a training on boxes cannot have yet, or at all."""
        rules = TASK_RULES[self.task]
        unknown = [name for name in ("mosaic", "copy_paste") if not getattr(rules, name)]
        self._refuse_augmentations((*_FOR_CLASSIFICATION, *unknown))
        self._require_letterbox()
        if self.augment.crop != "pad":
            raise not_allowed("augment.crop", self.augment.crop, f"pad for {self.task}")
        if self.distill.teacher is not None:
            raise self._not_for_task(
                "distill.teacher", [name for name, each in TASK_RULES.items() if not each.has_boxes]
            )
        possible = [name for name, family in FAMILIES.items() if family.has_pyramid]
        if self.network.family not in possible:
            raise not_allowed("network.family", self.network.family, f"{' or '.join(possible)} for {self.task}")

    def _require_letterbox(self) -> None:
        """Raise SettingError for images of which boxes in a padded square cannot tell."""
        if self.data.fit not in (None, "pad"):
            raise not_allowed("data.fit", self.data.fit, f"pad for {self.task}")
        if isinstance(self.data.image_size, tuple):
            raise not_allowed(
                "data.image_size",
                format_size(self.data.image_size),
                f"one number for {self.task}, whose images are padded to squares",
            )

    def _require_loss(self) -> None:
        """Raise SettingError for a loss that the task has not, and for a balance of classes that it cannot have."""
        rules = TASK_RULES[self.task]
        if self.training.loss not in rules.losses:
            raise not_allowed("training.loss", self.training.loss, f"{' or '.join(rules.losses)} for {self.task}")
        for name in () if rules.balances_classes else _CLASS_BALANCE:
            if getattr(self.training, name) != getattr(TrainingSpec(), name):
                known = [task for task, each in TASK_RULES.items() if each.balances_classes]
                raise self._not_for_task(f"training.{name}", known, ", in which each image has one label")

    def _refuse_augmentations(self, names: Iterable[str]) -> None:
        """Raise SettingError unless the augmentations called `names` are at their default."""
        for name in names:
            if getattr(self.augment, name) != getattr(AugmentSpec(), name):
                raise self._not_for_task(f"augment.{name}", [task for task in TASK_RULES if _takes(task, name)])

    def _not_for_task(self, key: str, tasks: list[str], why: str = "") -> SettingError:
        """Return the error for the setting `key`, which only the `tasks` take: what it is for, and what to do."""
        return SettingError(f"{key} is for --task {join_words(tasks, 'or')}{why}; leave it out with --task {self.task}")

    def _require_fitting_lengths(self) -> None:
        """Raise SettingError for a warm-up longer than the training, and for training images of other sizes."""
        warmup, training = self.optimizer.warmup_epochs, self.training
        if warmup is not None and training.steps is None and warmup >= training.epochs:
            raise not_allowed("optimizer.warmup_epochs", warmup, f"below training.epochs ({training.epochs})")
        sizes, image_size = self.augment.train_sizes, self.data.image_size
        if sizes and isinstance(image_size, tuple):
            raise not_allowed("augment.train_sizes", sizes, "left out for images that are not square")
        if sizes and FAMILIES[self.network.family].has_fixed_size:
            raise not_allowed(
                "augment.train_sizes",
                sizes,
                f"left out for a {self.network.family} network, whose images have one size",
            )
        if isinstance(image_size, int) and any(size > image_size for size in sizes):
            raise not_allowed("augment.train_sizes", sizes, f"at most data.image_size ({image_size})")

    def _require_for_tfmot(self) -> None:
        """Raise SettingError for what a training by tensorflow-model-optimization cannot have."""
        training, compress = self.training, self.compress
        if self.optimizer.name == "muon" and (compress.sparsity > 0 or compress.uses_tfmot):
            raise not_allowed(
                "optimizer.name", "muon", "sgd, adamw or lamb here: muon moves the zeros of a pruned network"
            )
        if not compress.uses_tfmot:
            return
        reason = "for pruning, clustering and tfmot's 8 bits"
        if training.precision not in ("auto", "float32"):
            raise not_allowed("training.precision", training.precision, f"float32 {reason}")
        if training.ema is not None:
            raise not_allowed("training.ema", training.ema, f"left out {reason}")
        if training.patience is not None:
            raise not_allowed("training.patience", training.patience, f"left out {reason}")
        if training.recompute:
            raise not_allowed("training.recompute", training.recompute, f"left out {reason}")

    def override(self, key: str, value: object) -> Spec:
        """Return a copy in which one dotted `key`, such as "optimizer.learning_rate", has another value.

        Raises SettingError for an unknown key (naming the nearest) or a value that is not allowed.
        """
        return override(self, {key: value})

    def override_all(self, changes: Mapping[str, object]) -> Spec:
        """Return a copy with other values at all the dotted keys of `changes`, checked together."""
        return override(self, changes)

    def to_json(self) -> str:
        """Return the spec as an indented JSON object."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Return the spec written by `to_json`. Raises SettingError for unknown keys and values not allowed."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, raw: object) -> Spec:
        """Return the spec of a JSON object that is read already. Raises SettingError as `from_json` does."""
        return parse_section(cls, raw)


def spec_schema() -> dict[str, Any]:
    """Return the JSON schema of a spec, with the option of each setting that has one."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(Spec).json_schema()}
