"""Score whatever maps images to outputs, by the same code on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from keras_resnet.atomic_write import describe_error
from keras_resnet.data import pipeline
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import RunError
from keras_resnet.evaluation.gpu_memory import share_gpu_memory
from keras_resnet.metrics.result import Evaluation, GroundTruthT, OutputsT, PredictionT
from keras_resnet.models.layers import deep_graphs
from keras_resnet.progress import show_activity, track
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted
from keras_resnet.tasks import Task, get_task

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Outputs are kept of about so many images: those of a detector are large.
MAX_KEPT_OUTPUTS = 256
BATCH_SIZE = 64
# Characters of another library's message that are quoted.
MAX_QUOTED = 300
T = TypeVar("T")
Arrays = np.ndarray | dict[str, np.ndarray]


def evaluate(
    predict: Callable[[np.ndarray], OutputsT],
    batches: Iterable[tuple[tf.Tensor, tf.Tensor]],
    task: Task[OutputsT, GroundTruthT, PredictionT],
    description: str = "evaluating",
) -> Evaluation[OutputsT, GroundTruthT, PredictionT]:
    """Score `predict`, which maps uint8 images (B, H, W, C) to outputs (B, …) or a dict of them, on `batches` of
    (images, ground truth). Shows `description` meanwhile."""
    with track(batches, description, "batches") as tracked:
        return evaluate_each({description: predict}, tracked, task)[description]


def evaluate_each(
    predictors: Mapping[str, Callable[[np.ndarray], OutputsT]],
    batches: Iterable[tuple[Any, Any]],
    task: Task[OutputsT, GroundTruthT, PredictionT],
) -> dict[str, Evaluation[OutputsT, GroundTruthT, PredictionT]]:
    """Score several models on the same `batches`, which are read once: see `evaluate`."""
    predictions: dict[str, list[PredictionT]] = {name: [] for name in predictors}
    kept_outputs: dict[str, list[OutputsT]] = {name: [] for name in predictors}
    ground_truths = []
    for images, ground_truth in batches:
        pixels = np.asarray(images)
        ground_truths.append(_to_numpy(ground_truth))
        for name, predict in predictors.items():
            outputs = predict(pixels)
            if len(predictions[name]) < MAX_KEPT_OUTPUTS:
                kept_outputs[name].append(outputs)
            predictions[name].extend(task.postprocess(outputs, ground_truths[-1]))
    truth = _concatenate(ground_truths)
    return {
        name: Evaluation(task.compute_metrics(made, truth), made, _concatenate(kept_outputs[name]), truth)
        for name, made in predictions.items()
    }


def evaluation_batches(data: DatasetSplits, split: str = "validation") -> tf.data.Dataset:
    """Return one split of `data` as `evaluate` takes it, as often as it is asked."""
    return pipeline.evaluation_batches(data.splits[split], data.image_size, BATCH_SIZE)


def validate(model: keras.Model, data: DatasetSplits, task: Task) -> Evaluation:
    """Score a Keras model on the validation images of `data`."""
    return evaluate(keras_predictor(model), evaluation_batches(data), task)


def _to_numpy(values: tf.Tensor | dict[str, tf.Tensor]) -> Any:
    """Turn a tensor, or a dict of tensors, into an array or a dict of arrays."""
    return {key: np.asarray(each) for key, each in values.items()} if isinstance(values, dict) else np.asarray(values)


def _concatenate(parts: list[T]) -> T:
    """Join batches, or dicts of batches."""
    batches: list[Any] = parts
    if isinstance(batches[0], dict):
        return cast(T, {key: _concatenate([batch[key] for batch in batches]) for key in batches[0]})
    return cast(T, np.concatenate([np.asarray(batch) for batch in batches]))


def keras_predictor(model: keras.Model) -> Callable[[np.ndarray], Arrays]:
    """Return a Keras model as a callable on uint8 images (B, H, W, C), giving float32 outputs.

    It is traced once for batches of any size.
    """
    import tensorflow as tf

    # AutoGraph is off, as it is in Keras' own predict_on_batch.
    traced = tf.function(model.predict_step, autograph=False)
    functions: dict[tuple[int, ...], Any] = {}

    def predict(images: np.ndarray) -> Arrays:
        shape = images.shape[1:]
        if shape not in functions:
            functions[shape] = traced.get_concrete_function(tf.TensorSpec((None, *shape), images.dtype))
        outputs = functions[shape](tf.constant(images))
        if isinstance(outputs, dict):
            return {key: np.asarray(value, np.float32) for key, value in outputs.items()}
        return np.asarray(outputs, np.float32)

    return predict


def graph_predictor(model: keras.Model, input_shape: tuple[int, int, int]) -> Callable[[np.ndarray], Arrays]:
    """Return any model that can be called as a callable on uint8 images of `input_shape`, also while it is in training:
    on several devices, or with the variables of tf_keras."""
    import tensorflow as tf

    pixels = tf.TensorSpec((None, *input_shape), tf.uint8)

    @tf.function(input_signature=[pixels], autograph=False)  # type: ignore[untyped-decorator]
    def call(images: tf.Tensor) -> tf.Tensor:
        outputs = model(images, training=False)
        return tf.nest.map_structure(lambda each: tf.cast(each, tf.float32), outputs)

    return lambda images: tf.nest.map_structure(np.asarray, call(images))


def load_task(run: Run, classes: tuple[str, ...]) -> Task:
    """Return the task of a finished `run` over `classes`, with the thresholds, the temperature and the rule for unknown
    images that were fitted. Raises RunError if these cannot be read, or are not those of as many labels."""
    task = get_task(run.spec(), classes).with_confidence(run.confidence())
    if not task.output_metadata()["thresholds"]:
        return task
    thresholds = run.metrics().get("thresholds", [])
    if len(thresholds) != len(classes):
        raise RunError(
            f"run {run.name} is unreadable: {run.metrics_file} has {counted(len(thresholds), 'threshold')} for"
            f" {counted(len(classes), 'label')}"
        )
    return task.with_thresholds(thresholds)


def load_model(run: Run) -> keras.Model:
    """Load the run's finished Keras model, in float32. Raises RunError if it cannot be read."""
    run.require_finished()
    try:
        model = load_keras_file(run.model_file)
    except Exception as error:
        why = describe_error(error)[:MAX_QUOTED]
        raise RunError(f"the model of run {run.name} is unreadable: {run.model_file}: {why}") from error
    # Not its output_shape, which of several outputs is a list without their names.
    outputs = model.output.get("scores") if isinstance(model.output, dict) else model.output
    shape, classes = getattr(outputs, "shape", (0,)), len(run.classes())
    if shape[-1] != classes:
        raise RunError(
            f"the model of run {run.name} holds a different network: {run.model_file} tells"
            f" {counted(shape[-1], 'label')} apart, the run has {classes}"
        )
    return model


def load_keras_file(file: Path) -> keras.Model:
    """Load the Keras model in `file`, whose layers may be ours."""
    with show_activity(f"reading {file.name}"), deep_graphs():
        import keras

        import keras_resnet.compression.quantization.layers  # noqa: F401  registers them with Keras

        share_gpu_memory()
        return keras.saving.load_model(file, compile=False)
