"""How images with several labels each are trained where no recipe is named."""

from __future__ import annotations

from keras_resnet.config.spec import DataSpec, OptimizerSpec, Spec, TrainingSpec
from keras_resnet.config.task_rules import TASK_RULES


def multilabel_defaults() -> Spec:
    """Return the classifier's defaults, with binary cross entropy and without label smoothing."""
    rules = TASK_RULES["multilabel"]
    return Spec(
        task="multilabel",
        data=DataSpec(source=rules.default_data, annotations=rules.annotations),
        optimizer=OptimizerSpec(label_smoothing=0.0),
        training=TrainingSpec(loss=rules.losses[0]),
    )
