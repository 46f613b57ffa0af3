"""Networks built under tf_keras, the only Keras that tfmot accepts, and their weights copied back and forth."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer
from keras_resnet.config.spec import Normalization, Spec
from keras_resnet.errors import ExportError
from keras_resnet.models.layers import Layers, deep_graphs
from keras_resnet.tasks import Task

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# tf_keras models and layers: the package has no types.
Network: TypeAlias = Any
Layer: TypeAlias = Any

LEGACY_VARIABLE = "TF_USE_LEGACY_KERAS"


class TfKerasLayers(Layers):
    """Layers of tf_keras, without the normalization of pixels, which `TfKerasModel` does outside: tfmot knows no
    Rescaling."""

    def normalize(self, x: Any, normalization: Normalization, *, name: str) -> Any:
        """Return `x` itself."""
        return x


class TfKerasModel:
    """What a step of training and validation needs of a model, for a tf_keras `network` of normalized images.

    parameters: how many the network has that training can change, without what tfmot adds. output_names: where it has
    several outputs.
    """

    def __init__(
        self, network: Network, normalization: Normalization, parameters: int, output_names: tuple[str, ...] = ()
    ) -> None:
        self.network, self.normalization, self.parameters = network, normalization, parameters
        self.output_names = output_names

    def __call__(self, images: tf.Tensor, training: bool = False) -> Any:
        """Map pixels (B, H, W, C) in 0–255 to logits (B, classes), or a dict of outputs."""
        import tensorflow as tf

        mean, std = (tf.constant(each, tf.float32) for each in (self.normalization.mean, self.normalization.std))
        outputs = self.network((tf.cast(images, tf.float32) - mean) / std, training=training)
        return dict(zip(self.output_names, outputs, strict=True)) if self.output_names else outputs

    @property
    def weights(self) -> list[tf.Variable]:
        """All of the network's weights."""
        return list(self.network.weights)

    @property
    def variables(self) -> list[tf.Variable]:
        """The same, as tf_keras has them."""
        return list(self.network.variables)

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """Those that are trained."""
        return list(self.network.trainable_variables)

    @property
    def losses(self) -> list[tf.Tensor]:
        """The regularization losses of the last call."""
        return list(self.network.losses)


def import_tfmot() -> Any:
    """Return tensorflow-model-optimization, whose import decides for the whole process and its children which Keras
    `tf.keras` is; that is taken back."""
    import tf_keras  # noqa: F401 - before tfmot, which looks for it

    before = os.environ.get(LEGACY_VARIABLE)
    import tensorflow_model_optimization

    if before is None:
        os.environ.pop(LEGACY_VARIABLE, None)
    return tensorflow_model_optimization


def build_tf_keras_network(spec: Spec, task: Task, any_size: bool = False) -> tuple[Network, tuple[str, ...]]:
    """Return the task's network for `spec` and, if it has several outputs, their names: tfmot knows lists of them only.

    It is a float32 tf_keras model of normalized images, freshly initialized.
    """
    import tf_keras

    network = task.build_model(TfKerasLayers(tf_keras), spec, any_size=any_size)
    if not isinstance(network.output, dict):
        return network, ()
    names = tuple(network.output)
    return tf_keras.Model(network.input, [network.output[name] for name in names], name=network.name), names


def wrap_layers(network: Network, wrap: Callable[[Layer], Layer]) -> Network:
    """Return a tf_keras functional model like `network`, of what `wrap` makes of each of its layers."""
    import tf_keras

    with deep_graphs():
        return tf_keras.models.clone_model(network, clone_function=wrap)


def copy_to_tf_keras(source: keras.Model, target: Network) -> None:
    """Copy the weights of a Keras model to a tf_keras build of the same network, by layer name.

    Raises ExportError if the layers with weights, or the shapes of their weights, differ.
    """
    from_layers, to_layers = (
        {layer.name: layer for layer in model.layers if layer.weights} for model in (source, target)
    )
    if odd := sorted(set(from_layers) ^ set(to_layers)):
        raise ExportError(f"the two builds differ in their layers: {', '.join(odd)}")
    for name, layer in to_layers.items():
        weights = from_layers[name].get_weights()
        expected = [w.shape for w in layer.get_weights()]
        if [np.shape(w) for w in weights] != expected:
            raise ExportError(f"layer {name} has weights of other shapes in the two builds: {expected}")
        layer.set_weights(weights)


def copy_to_keras(network: Network, kernels: dict[str, np.ndarray], target: keras.Model) -> None:
    """Copy the weights of a tf_keras `network`, wrapped by tfmot or not, to the Keras build `target`, by layer name;
    `kernels` instead of the variables where there are some. Raises ExportError for a weight that is missing."""
    values = {variable.name.removesuffix(":0"): variable for variable in network.weights}
    values |= {f"{name}/kernel": kernel for name, kernel in kernels.items()}
    for layer in target.layers:
        if isinstance(layer, FakeQuantizer):
            continue
        for variable in layer.weights:
            name = f"{layer.name}/{variable.name}"
            if name not in values:
                raise ExportError(f"the tf_keras network has no weight {name}")
            variable.assign(np.asarray(values[name]))
