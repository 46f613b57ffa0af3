"""How images with several labels each are trained where no recipe is named."""

from __future__ import annotations

from keras_resnet.config.spec import DataSpec, OptimizerSpec, Spec, TrainingSpec
from keras_resnet.config.task_rules import TASK_RULES


def multilabel_defaults() -> Spec:
    """Return AdamW, whose steps do not depend on the size of a loss: that of few labels among many is small; binary
    cross entropy without label smoothing."""
    rules = TASK_RULES["multilabel"]
    return Spec(
        task="multilabel",
        data=DataSpec(source=rules.default_data, annotations=rules.annotations),
        optimizer=OptimizerSpec(name="adamw", learning_rate=2e-3, weight_decay=0.05, label_smoothing=0.0),
        training=TrainingSpec(loss="bce"),
    )
