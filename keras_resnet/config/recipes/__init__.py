"""Named specs: how others trained, each with its source, and each able to make itself quick."""

from __future__ import annotations

from dataclasses import replace

from keras_resnet.config.recipes.classification import CLASSIFICATION_RECIPES
from keras_resnet.config.recipes.detection import DETECTION_RECIPES
from keras_resnet.config.spec import Spec
from keras_resnet.errors import UsageError, did_you_mean

__all__ = ["RECIPES", "get_recipe", "with_epochs"]

RECIPES = CLASSIFICATION_RECIPES | DETECTION_RECIPES


def get_recipe(name: str, quick: bool = False) -> Spec:
    """The spec called `name`. Raises UsageError, naming the nearest, for an unknown one."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}.{did_you_mean(name, RECIPES)} Known: {', '.join(RECIPES)}")
    chosen = RECIPES[name]
    return chosen.quick(chosen.spec) if quick else chosen.spec


def with_epochs(spec: Spec, epochs: int) -> Spec:
    """`spec` for so many epochs, its warm-up in proportion."""
    optimizer, training = spec.optimizer, spec.training
    if optimizer.warmup_epochs is not None and training.steps is None:
        optimizer = replace(optimizer, warmup_epochs=optimizer.warmup_epochs * epochs / training.epochs)
    return replace(spec, optimizer=optimizer, training=replace(training, epochs=epochs, steps=None))
