"""Define what a task is: all that training, evaluation, export and reports ask of one, and nothing else.

A task is made once from a run's spec and labels (see `tasks.get_task`) and passed on. To add one, write a class below
`Task`, register it in `tasks.TASKS`, and declare its settings in `config.task_rules`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypedDict

import numpy as np

from keras_resnet.config.spec import Spec
from keras_resnet.metrics.result import Evaluation, GroundTruthT, Metrics, OutputsT, PredictionT
from keras_resnet.models.backbone import Backbone, Features
from keras_resnet.models.build import Outputs, build_model
from keras_resnet.models.layers import Layers
from keras_resnet.runtime.confidence import UNCALIBRATED, Confidence
from keras_resnet.runtime.predictions import POSTPROCESSORS
from keras_resnet.runtime.printable import make_printable

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Maps (targets or a teacher's outputs, outputs), tensors or dictionaries of them, to a loss for each sample, (B,).
Loss = Callable[["tf.Tensor | dict[str, tf.Tensor]", "tf.Tensor | dict[str, tf.Tensor]"], "tf.Tensor"]


@dataclass(frozen=True)
class Answer:
    """What a classifier answers to an image, for confidences with a temperature that is fitted later. logits: of each
    class. labeled: the label of the ground truth where another is predicted, else ""."""

    logits: tuple[float, ...]
    labeled: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as analysis.json has it."""
        return {"logits": list(self.logits)} | ({"labeled": make_printable(self.labeled)} if self.labeled else {})


@dataclass(frozen=True)
class SamplePrediction:
    """An image worth showing: its row in the split and a caption; the objects to draw into it, and those to draw into
    another copy beside it, the ground truth, where the task finds objects; the answer of a classifier."""

    row: int
    caption: str
    objects: list[dict[str, Any]] = field(default_factory=list)
    ground_truth: list[dict[str, Any]] | None = None
    answer: Answer | None = None


@dataclass(frozen=True)
class TypicalImage:
    """The image in which a class is predicted right with the most confidence: its row in the split and the label, and
    the answer of a classifier."""

    row: int
    label: str
    answer: Answer | None = None


class OutputMetadata(TypedDict):
    """What an exported file says of its outputs (see `runtime.metadata.ModelMetadata`)."""

    task: str
    postprocessing: str
    cells: tuple[int, ...]
    thresholds: tuple[float, ...]
    confidence: Confidence


@dataclass(frozen=True)
class Task(ABC, Generic[OutputsT, GroundTruthT, PredictionT]):
    """A task over `classes`, the labels in the order of the network's outputs."""

    classes: tuple[str, ...]

    # As in `--task` and in the spec; and as people read it, alone and in a sentence about a model.
    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    # What the Hugging Face hub calls the task nearest to it (huggingface.co/tasks).
    pipeline_tag: ClassVar[str]
    # What `train_metrics` gives, the first one drawn; what `compute_metrics` gives that is computed after each epoch
    # too, where nothing that is followed in training comes near it.
    train_metric_names: ClassVar[tuple[str, ...]]
    eval_metric_names: ClassVar[tuple[str, ...]] = ()
    # What has to be said of the curves of these metrics, a sentence or two; "" where they speak for themselves.
    curves_note: ClassVar[str] = ""
    # Parts of the network behind its backbone (see `models.parts`), and the fields of HeadSpec that shape them.
    head_parts: ClassVar[tuple[str, ...]]
    head_settings: ClassVar[tuple[str, ...]] = ()
    # A name in runtime.predictions.POSTPROCESSORS.
    postprocessing: ClassVar[str]
    # Whether predictions have masks; whether `sample_predictions` shows mistakes only.
    has_masks: ClassVar[bool] = False
    samples_are_mistakes: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: Spec, classes: tuple[str, ...]) -> Task:
        """Create the task of a resolved `spec`."""

    @classmethod
    @abstractmethod
    def default_config(cls) -> Spec:
        """Return the spec that is trained where no recipe is named."""

    @classmethod
    def finds_objects(cls) -> bool:
        """Return whether predictions have boxes."""
        return POSTPROCESSORS[cls.postprocessing].has_boxes

    @classmethod
    def has_one_label(cls) -> bool:
        """Return whether an image has one of the labels, as a whole."""
        return POSTPROCESSORS[cls.postprocessing].has_one_label

    @classmethod
    def lists_objects(cls) -> bool:
        """Return whether all objects are listed whose score is high enough."""
        return POSTPROCESSORS[cls.postprocessing].lists_objects

    @abstractmethod
    def build_heads(self, layers: Layers, backbone: Backbone, features: Features, spec: Spec) -> Outputs:
        """Build what stands on the features c2 … c5 of `backbone`, and return the network's outputs."""

    def build_model(self, layers: Layers, spec: Spec, any_size: bool = False) -> keras.Model:
        """Build the network of `spec`, from pixels (B, H, W, C) to outputs; with `any_size` for images of other sizes
        too."""
        return build_model(spec, self, layers, any_size)

    @abstractmethod
    def encode_targets(self, ground_truth: tf.Tensor | dict[str, tf.Tensor]) -> tf.Tensor | dict[str, tf.Tensor]:
        """Return what the loss wants of a batch's ground truth."""

    @abstractmethod
    def loss(self, spec: Spec) -> Loss:
        """Return a function (targets, outputs) → (B,) float32."""

    def distillation_loss(self, temperature: float) -> Loss:
        """Return a function (a teacher's outputs, outputs) → (B,) float32. Raises NotImplementedError where the task
        has none: its settings refuse a teacher."""
        raise NotImplementedError(f"no distillation for {self.name}")

    @abstractmethod
    def train_metrics(
        self, targets: tf.Tensor | dict[str, tf.Tensor], outputs: tf.Tensor | dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Compute what is logged in training, per sample: {name: (B,) float32}, in the order of
        `train_metric_names`."""

    @abstractmethod
    def postprocess(self, outputs: OutputsT, ground_truth: GroundTruthT) -> list[PredictionT]:
        """Make a batch's outputs predictions, one for each image. Of `ground_truth` the sizes of the images are used
        alone."""

    @abstractmethod
    def compute_metrics(self, predictions: list[PredictionT], ground_truth: GroundTruthT) -> Metrics:
        """Score the predictions of N images. Raises DataError where there is nothing to score by."""

    def with_thresholds(self, thresholds: Sequence[float]) -> Task:
        """Return the task with the thresholds of a finished run, by class; itself where it has none."""
        return self

    def with_confidence(self, confidence: Confidence) -> Task:
        """Return the task with what `kresnet calibrate` fitted to a finished run; itself where it has none of that."""
        return self

    def refit(
        self, evaluation: Evaluation[OutputsT, GroundTruthT, PredictionT]
    ) -> tuple[Task, Evaluation[OutputsT, GroundTruthT, PredictionT]]:
        """Return the task with what it fits to a finished model's predictions, such as thresholds, and the evaluation
        with that; both as they are where it fits nothing."""
        return self, evaluation

    @abstractmethod
    def analyze(self, evaluation: Evaluation[OutputsT, GroundTruthT, PredictionT]) -> dict[str, Any]:
        """Return what a report shows beyond the metrics, as JSON: "by_class", and what else the task has."""

    @abstractmethod
    def sample_predictions(
        self, evaluation: Evaluation[OutputsT, GroundTruthT, PredictionT], count: int
    ) -> list[SamplePrediction]:
        """Choose up to `count` images worth showing."""

    @abstractmethod
    def typical_images(
        self, evaluation: Evaluation[OutputsT, GroundTruthT, PredictionT], count: int
    ) -> list[TypicalImage]:
        """Choose the most confident right prediction of each class, of the `count` classes with the most images; in the
        order of the classes, without those of which none is right."""

    @abstractmethod
    def drop_confidence_interval(
        self,
        metric: str,
        before: Evaluation[OutputsT, GroundTruthT, PredictionT],
        after: Evaluation[OutputsT, GroundTruthT, PredictionT],
    ) -> tuple[float, float]:
        """Return the 95% interval of the drop in `metric` between two evaluations of the same samples."""

    @abstractmethod
    def agreement(self, predictions: list[PredictionT], others: list[PredictionT]) -> float:
        """Return the share, 0–1, of predictions that two models have in common."""

    def output_metadata(self) -> OutputMetadata:
        """Return what an exported file says of its outputs."""
        return {
            "task": self.name,
            "postprocessing": self.postprocessing,
            "cells": (),
            "thresholds": (),
            "confidence": UNCALIBRATED,
        }


def choose_typical(
    confidence: np.ndarray, images: np.ndarray, classes: Sequence[str], count: int
) -> list[TypicalImage]:
    """Choose the image of the highest `confidence` (N, classes), which is 0 where a class is not predicted right; of
    the `count` classes that the most `images` (classes,) show, in the order of the classes."""
    largest = sorted(np.argsort(-images, kind="stable")[:count].tolist())
    best = confidence.argmax(axis=0) if len(confidence) else np.zeros(len(classes), int)
    return [TypicalImage(int(best[each]), classes[each]) for each in largest if confidence[best[each], each] > 0]
