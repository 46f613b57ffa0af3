"""The interface of training methods: how a network is made, trained, and turned into the model that a run keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from keras_resnet.models.parameters import count_parameters

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keras_resnet.config.spec import Spec
    from keras_resnet.models.layers import Layers
    from keras_resnet.progress import Log
    from keras_resnet.tasks import Task
    from keras_resnet.training.train_state import Tensors, Variable


class TrainableModel(Protocol):
    """What a training step needs of a model: a Keras one has it, and so has `TfKerasModel`."""

    @property
    def weights(self) -> list[Variable]: ...
    @property
    def variables(self) -> list[Variable]: ...
    @property
    def trainable_variables(self) -> list[Variable]: ...
    @property
    def losses(self) -> list[tf.Tensor]: ...
    def __call__(self, images: tf.Tensor, training: bool = False) -> Any: ...


Model = TypeVar("Model", bound=TrainableModel)


class TrainingMethod(ABC, Generic[Model]):
    """One way to train a network. An object serves one training, of the resolved `spec`, for `task`.

    precision: the only Keras dtype policy it can train in, with the reason; None for any.
    """

    precision: ClassVar[tuple[str, str] | None] = None

    def __init__(self, spec: Spec, task: Task) -> None:
        self.spec, self.task = spec, task

    @classmethod
    @abstractmethod
    def applies_to(cls, spec: Spec) -> bool:
        """Return whether `spec` asks for this method."""

    def require_processes(self, count: int) -> None:
        """Raise UsageError if the method cannot train in `count` processes together."""

    @abstractmethod
    def build_model(self, layers: Layers, total_steps: int) -> Model:
        """Return a new model, made of `layers`, that will be trained for `total_steps` steps."""

    @abstractmethod
    def load_initial_weights(self, model: Model, log: Log) -> None:
        """Fill `model` with the weights that the training starts from, where there is no checkpoint yet."""

    def on_train_step_begin(self, model: Model, step: tf.Variable) -> None:
        """Run as a part of each step's graph, before it; `step` counts from 0. Does nothing by default."""
        return None  # AutoGraph cannot transform a function without a statement

    def count_parameters(self, model: Model) -> int:
        """Return how many parameters the network has that training can change, without what the method adds."""
        return count_parameters(model.weights)

    def training_loss(self, losses: tf.Tensor, images: tf.Tensor, outputs: Tensors) -> tf.Tensor:
        """Return the losses (B,) to train by, made of the task's `losses` (B,) for the same images: them by default."""
        return losses

    @abstractmethod
    def to_inference_model(self, model: Model) -> keras.Model:
        """Return the finished Keras model, which computes in float32 whatever `model` was trained in."""
