"""One evaluator: whatever maps images to outputs is scored by the same code on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.atomic_write import reason
from keras_resnet.config.spec import Spec
from keras_resnet.data import pipeline
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import RunError
from keras_resnet.metrics.result import Metrics
from keras_resnet.models.layers import deep_graphs
from keras_resnet.progress import track, waiting
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted
from keras_resnet.tasks import get_task

# Of so many images at most outputs are kept: of a detector's they are large.
KEPT = 256
BATCH = 64
# Letters of another library's words that are told.
LONGEST = 300


@dataclass(frozen=True)
class Evaluation:
    """What a predictor answered. answers: one for each sample, as the task reads outputs. outputs: float32 (N, …) or a
    dict of them, of the first KEPT samples or a batch more. truth: what is true of all samples, (N, …) or a dict."""

    judgement: Metrics
    answers: list[Any]
    outputs: Any
    truth: Any

    @property
    def metric(self) -> str:
        """The name of the task's number."""
        return next(iter(self.judgement.values))

    @property
    def value(self) -> float:
        """That number, 0–1."""
        return self.judgement.values[self.metric]

    @property
    def samples(self) -> int:
        """How many images were judged."""
        return len(self.answers)


def evaluate(
    predict: Callable[[np.ndarray], Any], batches: Iterable[tuple[Any, Any]], task: Any, words: str = "evaluating"
) -> Evaluation:
    """Score `predict`, which maps uint8 images (B, H, W, 3) to outputs (B, …) or a dict of them, on `batches` of
    (images, truth). `words` are shown meanwhile."""
    answers: list[Any] = []
    kept, truths = [], []
    with track(batches, words, "batches") as counted:
        for images, truth in counted:
            outputs = predict(np.asarray(images))
            truths.append(_arrays(truth))
            if len(answers) < KEPT:
                kept.append(outputs)
            answers.extend(task.read(outputs, truths[-1]))
    truth = _joined(truths)
    return Evaluation(task.judge(answers, truth), answers, _joined(kept), truth)


def batches_of(data: DatasetSplits, split: str = "validation") -> Any:
    """One split of `data` as `evaluate` takes it, as often as it is asked."""
    return pipeline.evaluation(data.splits[split], data.image_size, BATCH)


def validate(model: Any, data: DatasetSplits, spec: Spec) -> Evaluation:
    """The score of a Keras model on the validation images of `data`."""
    return evaluate(keras_predictor(model), batches_of(data), get_task(spec, data.classes))


def _arrays(truth: Any) -> Any:
    """A tensor or a dict of tensors as NumPy has them."""
    return {key: np.asarray(value) for key, value in truth.items()} if isinstance(truth, dict) else np.asarray(truth)


def _joined(parts: list[Any]) -> Any:
    """Batches, or dicts of batches, one after another."""
    if isinstance(parts[0], dict):
        return {key: _joined([part[key] for part in parts]) for key in parts[0]}
    return np.concatenate([np.asarray(part) for part in parts])


def keras_predictor(model: Any) -> Callable[[np.ndarray], Any]:
    """A Keras model as a callable on uint8 images (B, H, W, 3), giving float32 outputs."""

    def predict(images: np.ndarray) -> Any:
        outputs = model.predict_on_batch(images)
        if isinstance(outputs, dict):
            return {key: np.asarray(value, np.float32) for key, value in outputs.items()}
        return np.asarray(outputs, np.float32)

    return predict


def graph_predictor(model: Any, image_size: int) -> Callable[[np.ndarray], Any]:
    """The same of any model that can be called, also while it is in training: on several devices or with the variables
    of tf_keras. `image_size` is that of the images."""
    import tensorflow as tf

    pixels = tf.TensorSpec((None, image_size, image_size, 3), tf.uint8)

    @tf.function(input_signature=[pixels])  # type: ignore[untyped-decorator]
    def answer(images: Any) -> Any:
        outputs = model(images, training=False)
        return tf.nest.map_structure(lambda each: tf.cast(each, tf.float32), outputs)

    return lambda images: tf.nest.map_structure(np.asarray, answer(images))


def load_model(run: Run) -> Any:
    """The run's finished Keras model, in float32. Raises RunError if it cannot be read."""
    run.require_finished()
    try:
        model = read_model(run.model_file)
    except Exception as error:
        why = reason(error)[:LONGEST]
        raise RunError(f"the model of run {run.name} is unreadable: {run.model_file}: {why}") from error
    # Not its output_shape, which of several outputs is a list without their names.
    outputs = model.output.get("scores") if isinstance(model.output, dict) else model.output
    answers = getattr(outputs, "shape", (0,))
    if answers[-1] != (count := len(run.classes())):
        raise RunError(
            f"the model of run {run.name} is of another network: {run.model_file} tells"
            f" {counted(answers[-1], 'label')} apart, the"
            f" run has {count}"
        )
    return model


def read_model(file: Path) -> Any:
    """The Keras model in `file`, with layers of ours."""
    with waiting(f"reading {file.name}"), deep_graphs():
        import keras

        import keras_resnet.compression.quantization.layers  # noqa: F401  makes them known to Keras

        return keras.saving.load_model(file, compile=False)
