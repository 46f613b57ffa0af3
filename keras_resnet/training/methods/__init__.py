"""The training methods, and the one that a spec asks for."""

from __future__ import annotations

from typing import Any

from keras_resnet.config.spec import Spec
from keras_resnet.tasks import Task
from keras_resnet.training.methods.base import TrainingMethod
from keras_resnet.training.methods.distillation import Distillation
from keras_resnet.training.methods.native_qat import NativeQat
from keras_resnet.training.methods.plain import PlainTraining
from keras_resnet.training.methods.tfmot import Clustering, Pruning, TfmotQat

# To add one: write its class in a file of this folder and name it here. Each spec has exactly one of them.
TRAINING_METHODS: tuple[type[TrainingMethod[Any]], ...] = (PlainTraining, NativeQat, TfmotQat, Pruning, Clustering)
# Those that add something to one of the above, outermost last.
WRAPPERS: tuple[type[Distillation], ...] = (Distillation,)


def get_method_class(spec: Spec) -> type[TrainingMethod[Any]]:
    """Return the class of the method by which `spec` trains, without what wraps it."""
    return next(method for method in TRAINING_METHODS if method.applies_to(spec))


def create_training_method(spec: Spec, task: Task) -> TrainingMethod[Any]:
    """Return the method by which `spec`, which must be resolved, trains a network for `task`."""
    method: TrainingMethod[Any] = get_method_class(spec)(spec, task)
    for wrapper in WRAPPERS:
        if wrapper.applies_to(spec):
            method = wrapper(method)
    return method
