"""The task's own metrics, such as mAP, of a model that is still in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_resnet.data.load import DatasetSplits
from keras_resnet.evaluation.evaluate import evaluate, evaluation_batches, graph_predictor
from keras_resnet.training.trainer import Trainer


class ValidationEvaluator:
    """Evaluates the present weights on all validation images. on_batch: called before each batch.

    For tasks whose metrics are not means over images, so that steps cannot sum them.
    """

    def __init__(self, trainer: Trainer, data: DatasetSplits, on_batch: Callable[[], None]) -> None:
        self._task, self._on_batch = trainer.task, on_batch
        # Made once: each making leaves some of TensorFlow's functions behind.
        self._predict_batch, self._batches = graph_predictor(trainer.model, data.input_shape), evaluation_batches(data)

    @classmethod
    def create(cls, trainer: Trainer, data: DatasetSplits, on_batch: Callable[[], None]) -> ValidationEvaluator | None:
        """Return one, or None if the metrics of the steps are all that the task has."""
        return cls(trainer, data, on_batch) if trainer.task.eval_metric_names else None

    def evaluate(self) -> dict[str, float]:
        """Return the metrics by name."""
        return evaluate(self._predict, self._batches, self._task).metrics.values

    def _predict(self, images: np.ndarray) -> Any:
        self._on_batch()
        return self._predict_batch(images)
