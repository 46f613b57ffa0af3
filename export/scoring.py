"""`kresnet evaluate`: score a run's model or an exported file on a run's data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_resnet.data import pipeline
from keras_resnet.data.sources import open_data
from keras_resnet.errors import RunError, UsageError
from keras_resnet.evaluate import evaluate, keras_predictor, load_model
from keras_resnet.export.exporting import EVALUATION_BATCH
from keras_resnet.export.predicting import is_file
from keras_resnet.export.runtime import TFLiteModel
from keras_resnet.run import Run
from keras_resnet.tasks import task_of


def score(target: str, of_run: str | None, split: str, home: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """{"model", "run", "split", "metric", "value", "samples"} of a run's Keras model or a .tflite file.

    A file is scored on the data of `of_run`, else of the run named inside it. Raises RunError if the
    labels differ and UsageError if the data has no such split.
    """
    model = TFLiteModel(Path(target)) if is_file(target) else None
    run = Run.find(home, (of_run or model.card.provenance["run"]) if model else target)
    if model and model.card.classes != run.classes():
        raise RunError(f"{target} has other labels than run {run.name}")
    predict = model or keras_predictor(load_model(run))
    data = open_data(run.spec().data, say)
    if split not in data.splits:
        raise UsageError(f"--split must be one of {', '.join(data.splits)}. Received: {split!r}")
    batches = pipeline.evaluation(data.splits[split], data.image_size, EVALUATION_BATCH)
    result = evaluate(predict, batches, task_of(run.spec(), data.classes))
    return {
        "model": target,
        "run": run.name,
        "split": split,
        "metric": result.metric,
        "value": result.value,
        "samples": result.samples,
    }
