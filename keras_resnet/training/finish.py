"""The end of a training: the finished model, its metrics and its analysis, written into the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.compression.sparsity import check_sparsity
from keras_resnet.config.spec import Spec
from keras_resnet.data.load import DatasetSplits
from keras_resnet.evaluation.analysis import analyze_model
from keras_resnet.evaluation.evaluate import validate
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import describe_baselines
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted
from keras_resnet.tasks import get_task

if TYPE_CHECKING:
    import keras


def write_finished_model(run: Run, spec: Spec, data: DatasetSplits, model: keras.Model, log: Log) -> None:
    """Evaluate `model` on the validation images and write it, its metrics and its analysis into `run`; the
    checkpoints are removed. Raises TrainingError if it has not the sparsity or the clusters that `spec` asks for."""
    sparsity = check_sparsity(model, spec.compress)
    if summary := sparsity.summary:
        log(f"compressed: {summary}")
    task = get_task(spec, data.classes)
    score = validate(model, data, task)
    metrics = {"split": "validation", "metric": score.metric, "value": score.value, "samples": score.samples}
    run.write_json(run.metrics_file, metrics | sparsity.as_dict())
    analysis = analyze_model(run, model, task, score, data)
    run.write_json(run.analysis_file, analysis)
    run.write_with(run.model_file, lambda path: model.save(path))
    run.remove_training_state()
    images = counted(score.samples, "validation image")
    log(f"{metric_label(score.metric)} {score.value:.2%} on {images}; model: {run.model_file}")
    for line in describe_baselines(analysis["baselines"]):
        log(line)
