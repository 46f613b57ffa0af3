"""The gradient norm of each convolution, at initialization and after training.

The lesson's "gradients flow back better": He et al. 2015, section 4.1, hold that with batch norm they vanish in
neither kind of network; here it can be measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_resnet.data import pipeline
from keras_resnet.data.load import DatasetSplits, load_dataset
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.models.layers import Layers
from keras_resnet.studies.plan import Trial
from keras_resnet.tasks import get_task

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_resnet.tasks.base import Loss

SAMPLE_SIZE = 128


@dataclass(frozen=True)
class GradientProfile:
    """L2 norms of the loss's gradient with respect to each convolution of `network`, from the image to the logits."""

    network: str
    layers: tuple[str, ...]
    initial: np.ndarray
    trained: np.ndarray

    def rows(self) -> list[dict[str, str | float]]:
        """Return one row for each layer."""
        return [
            {"network": self.network, "layer": layer, "initial": float(initial), "trained": float(trained)}
            for layer, initial, trained in zip(self.layers, self.initial, self.trained, strict=True)
        ]

    def describe(self) -> str:
        """Return a sentence that compares the first convolutions with the last."""
        first, last = (float(np.median(part)) for part in np.array_split(self.initial, 4)[::3])
        then, now = (float(np.median(part)) for part in np.array_split(self.trained, 4)[::3])
        return (
            f"{self.network}: the median gradient of the first quarter of the convolutions is"
            f" {_format_ratio(first, last)} times that of the last quarter at initialization,"
            f" {_format_ratio(then, now)} times after training."
        )


def measure_gradients(trial: Trial) -> GradientProfile:
    """Measure the gradients of `trial`'s network, with batch statistics, on the first SAMPLE_SIZE of its training
    images."""
    run = trial.run
    assert run is not None
    spec = run.spec()
    data = load_dataset(spec.data, lambda message: None, ("train",))
    task = get_task(spec, data.classes)
    images, targets = _sample(data)
    keras.utils.set_random_seed(spec.training.seed)
    model = task.build_model(Layers(keras), spec)
    loss = task.loss(spec)
    layers = tuple(layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    encoded = task.encode_targets(targets)
    initial = _gradient_norms(model, loss, images, encoded)
    model.set_weights(load_model(run).get_weights())
    return GradientProfile(trial.network, layers, initial, _gradient_norms(model, loss, images, encoded))


def _sample(data: DatasetSplits) -> tuple[np.ndarray, np.ndarray]:
    split = data.splits["train"]
    batch: tuple[np.ndarray, np.ndarray] = next(
        pipeline.evaluation_batches(split, data.image_size, min(SAMPLE_SIZE, split.count)).as_numpy_iterator()
    )
    return batch


def _gradient_norms(model: keras.Model, loss: Loss, images: np.ndarray, targets: tf.Tensor) -> np.ndarray:
    import tensorflow as tf

    kernels = [layer.kernel for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    before = model.get_weights()

    def measure() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(targets, model(tf.cast(images, tf.float32), training=True)))
        return [tf.norm(gradient) for gradient in tape.gradient(value, [kernel.value for kernel in kernels])]

    norms = np.array([float(norm) for norm in tf.function(measure, autograph=False)()])
    model.set_weights(before)  # the pass moved the norms' statistics
    return norms


def _format_ratio(first: float, last: float) -> str:
    return f"{float(f'{first / last:.2g}'):g}" if last else "∞"
