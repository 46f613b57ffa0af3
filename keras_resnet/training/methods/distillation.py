"""Knowledge distillation: a finished network teaches another (Hinton et al. 2015)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet.compression.quantization.quantize import build_compressed_model
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.models.layers import Layers
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted
from keras_resnet.tasks import get_task
from keras_resnet.training.methods.base import TrainableModel, TrainingMethod
from keras_resnet.training.methods.plain import uses_progressive_resizing

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keras_resnet.config.spec import Spec
    from keras_resnet.training.train_state import Tensors


class Distillation(TrainingMethod[TrainableModel]):
    """Any other method, `student`, with a teacher's outputs as a part of its loss."""

    def __init__(self, student: TrainingMethod[Any]) -> None:
        super().__init__(student.spec, student.task)
        self._student = student
        self._soft_loss = student.task.distillation_loss(self.spec.distill.temperature)
        self._weight = self.spec.distill.weight
        self._teacher: keras.Model | None = None

    @classmethod
    def applies_to(cls, spec: Spec) -> bool:
        """Return whether `spec` names a teacher."""
        return spec.distill.teacher is not None

    def require_processes(self, count: int) -> None:
        """Raise as the student's method does."""
        self._student.require_processes(count)

    def build_model(self, layers: Layers, total_steps: int) -> TrainableModel:
        """Return the student; the teacher, built of the same layers, is loaded as well."""
        model: TrainableModel = self._student.build_model(layers, total_steps)
        self._teacher = self._load_teacher(layers)
        return model

    def load_initial_weights(self, model: TrainableModel, log: Log) -> None:
        """Load the student's."""
        self._student.load_initial_weights(model, log)

    def on_train_step_begin(self, model: TrainableModel, step: tf.Variable) -> None:
        """Run the student's."""
        self._student.on_train_step_begin(model, step)

    def training_loss(self, losses: tf.Tensor, images: tf.Tensor, outputs: Tensors) -> tf.Tensor:
        """Return the weighted sum of the losses and of those against the teacher's outputs."""
        import tensorflow as tf

        assert self._teacher is not None, "build the model first"
        losses = self._student.training_loss(losses, images, outputs)
        teacher_outputs = tf.stop_gradient(self._teacher(images, training=False))
        return (1 - self._weight) * losses + self._weight * self._soft_loss(teacher_outputs, outputs)

    def to_inference_model(self, model: TrainableModel) -> keras.Model:
        """Return the student's."""
        return self._student.to_inference_model(model)

    def _load_teacher(self, layers: Layers) -> keras.Model:
        """Return the model of the run `spec.distill.teacher`, in the student's precision. Raises as
        `require_matching_teacher` does."""
        require_matching_teacher(self.spec, self.task.classes)
        assert self.spec.distill.teacher is not None
        run = Run(Path(self.spec.distill.teacher))
        teacher_spec = run.spec()
        task = get_task(teacher_spec, self.task.classes)
        teacher = build_compressed_model(teacher_spec, task, layers, uses_progressive_resizing(self.spec))
        teacher.set_weights(load_model(run).get_weights())
        teacher.trainable = False
        return teacher


def require_matching_teacher(spec: Spec, classes: tuple[str, ...]) -> None:
    """Raise UsageError if the run that `spec` names as its teacher has other labels than `classes`, or another input
    than `spec`, in which the data's are filled in."""
    if spec.distill.teacher is None:
        return
    run = Run(Path(spec.distill.teacher))
    wanted, found = (each.data.input_words for each in (spec, run.spec()))
    if run.classes() != classes or wanted != found:
        raise UsageError(
            f"--teacher {run.name} must have the labels and the image size of the data"
            f" ({counted(len(classes), 'label')}, {wanted}). Received: {counted(len(run.classes()), 'label')}, {found}"
        )
