"""The end of a training: the finished model, its metrics and its analysis, written into the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.compression.sparsity import check_sparsity
from keras_resnet.data.load import DatasetSplits
from keras_resnet.evaluation.analysis import analyze_model
from keras_resnet.evaluation.evaluate import validate
from keras_resnet.metrics.labels import MACRO_RECALL, metric_label
from keras_resnet.metrics.multilabel import describe_few_images
from keras_resnet.metrics.outcome import describe_baselines, format_value
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.documents import WARNING
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from keras_resnet.training.trainer import Trainer

# Details that are told beside the main metric, which may hide rare classes.
BESIDE = (MACRO_RECALL,)


def write_finished_model(run: Run, trainer: Trainer, data: DatasetSplits, log: Log) -> None:
    """Evaluate the finished model on the validation images and write it, its metrics and its analysis into `run`; the
    checkpoints are removed. Raises TrainingError if it has not the sparsity or the clusters that were asked for."""
    task, model = trainer.task, trainer.method.to_inference_model(trainer.model)
    sparsity = check_sparsity(model, trainer.method.spec.compress)
    if summary := sparsity.summary:
        log(f"compressed: {summary}")
    task, score = task.refit(validate(model, data, task))
    metrics = {"split": "validation", "metric": score.metric, "value": score.value, "samples": score.samples}
    beside = {name: score.metrics.details[name] for name in BESIDE if name in score.metrics.details}
    thresholds = task.output_metadata()["thresholds"]
    fitted = {"thresholds": list(thresholds)} if thresholds else {}
    intervals = score.metrics.intervals
    measured = {"intervals": intervals} if intervals else {}
    run.write_json(run.metrics_file, metrics | beside | measured | fitted | sparsity.as_dict())
    analysis = analyze_model(run, model, task, score, data)
    run.write_json(run.analysis_file, analysis)
    run.write_with(run.model_file, lambda path: model.save(path))
    run.remove_training_state()
    images = counted(score.samples, "validation image")
    shown = {score.metric: score.value} | beside
    values = [f"{metric_label(name)} {format_value(value, intervals.get(name))}" for name, value in shown.items()]
    log(f"{', '.join(values)} on {images}; model: {run.model_file}")
    if thresholds:
        log(
            f"thresholds: {min(thresholds):.2f} to {max(thresholds):.2f}, for each label the one with the best F1 on"
            f" the validation images; stored in {run.metrics_file.name} and in every exported file"
        )
    if few := describe_few_images(analysis["by_class"]):
        log(f"{WARNING}{few}")
    for line in describe_baselines(analysis["baselines"]):
        log(line)
