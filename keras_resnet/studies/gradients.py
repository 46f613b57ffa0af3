"""How large the gradient of each convolution is, at initialization and after training.

The lesson's "gradients flow back better": He et al. 2015, section 4.1, hold that with batch norm they vanish in
neither kind of network; here it can be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet.data import pipeline
from keras_resnet.data.load import DatasetSplits, load_dataset
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.models.layers import Layers
from keras_resnet.studies.plan import Trial
from keras_resnet.tasks import get_task

IMAGES = 128


@dataclass(frozen=True)
class Profile:
    """L2 norms of the loss's gradient with respect to each convolution of `net`, from the image to the logits."""

    net: str
    layers: tuple[str, ...]
    initial: np.ndarray
    trained: np.ndarray

    def rows(self) -> list[dict[str, Any]]:
        """One row a layer."""
        return [
            {"network": self.net, "layer": layer, "initial": float(initial), "trained": float(trained)}
            for layer, initial, trained in zip(self.layers, self.initial, self.trained, strict=True)
        ]

    def words(self) -> str:
        """What the profile says of the way back from the last convolutions to the first."""
        first, last = (float(np.median(part)) for part in np.array_split(self.initial, 4)[::3])
        then, now = (float(np.median(part)) for part in np.array_split(self.trained, 4)[::3])
        return (
            f"{self.net}: the median gradient of the first quarter of the convolutions is {_ratio(first, last)} times"
            f" that of the last quarter at initialization, {_ratio(then, now)} times after training."
        )


def profile(trial: Trial) -> Profile:
    """The gradients of `trial`'s network on a balanced sample of its training images, with batch statistics."""
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
    initial = _norms(model, loss, images, task.encode_targets(targets))
    model.set_weights(load_model(run).get_weights())
    return Profile(trial.net, layers, initial, _norms(model, loss, images, task.encode_targets(targets)))


def _sample(data: DatasetSplits) -> tuple[np.ndarray, np.ndarray]:
    split, classes = data.splits["train"], len(data.classes)
    images = pipeline.evaluation_batches(split, data.image_size, min(IMAGES, split.count))
    batch, labels = next(images.as_numpy_iterator())
    assert classes > 1
    return batch, labels


def _norms(model: Any, loss: Any, images: np.ndarray, targets: Any) -> np.ndarray:
    import tensorflow as tf

    kernels = [layer.kernel for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    before = model.get_weights()

    def measure() -> list[Any]:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(targets, model(tf.cast(images, tf.float32), training=True)))
        return [tf.norm(gradient) for gradient in tape.gradient(value, [kernel.value for kernel in kernels])]

    norms = np.array([float(norm) for norm in tf.function(measure)()])
    model.set_weights(before)  # the pass moved the norms' statistics
    return norms


def _ratio(first: float, last: float) -> str:
    return f"{float(f'{first / last:.2g}'):g}" if last else "∞"
