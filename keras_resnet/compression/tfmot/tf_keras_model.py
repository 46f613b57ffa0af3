"""The same network under tf_keras, the only Keras that tfmot accepts. The only importer of tf_keras."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from keras_resnet.compression.quantization.layers import FakeQuantizer
from keras_resnet.config.spec import Normalization, Spec
from keras_resnet.errors import ExportError
from keras_resnet.models.layers import Layers, deep_graphs
from keras_resnet.tasks import get_task

LEGACY = "TF_USE_LEGACY_KERAS"


class TwinBricks(Layers):
    """Layers of tf_keras, without the normalization of pixels, which `TfKerasModel` does outside: tfmot knows no
    Rescaling."""

    def normalize(self, x: Any, normalization: Normalization, *, name: str) -> Any:
        """`x` itself."""
        return x


class TfKerasModel:
    """What a step of training and validation needs of a model, for a tf_keras `network` of normalized images.

    parameters: how many the network has without what tfmot adds. names: of its outputs, where it has several.
    """

    def __init__(
        self, network: Any, normalization: Normalization, parameters: int, names: tuple[str, ...] = ()
    ) -> None:
        self.network, self.normalization, self._parameters, self.names = network, normalization, parameters, names

    def count_params(self) -> int:
        """The parameters of the network itself."""
        return self._parameters

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Pixels (B, H, W, 3) in 0–255 → logits (B, classes), or a dict of outputs."""
        import tensorflow as tf

        mean, std = (tf.constant(each, tf.float32) for each in (self.normalization.mean, self.normalization.std))
        outputs = self.network((tf.cast(images, tf.float32) - mean) / std, training=training)
        return dict(zip(self.names, outputs, strict=True)) if self.names else outputs

    def __getattr__(self, name: str) -> Any:
        if name in ("weights", "variables", "trainable_variables", "losses"):
            return getattr(self.network, name)
        raise AttributeError(name)


def tfmot() -> Any:
    """tensorflow-model-optimization, whose import decides for the whole process and its children which Keras
    `tf.keras` is; that is taken back."""
    import tf_keras  # noqa: F401 - before tfmot, which looks for it

    before = os.environ.get(LEGACY)
    import tensorflow_model_optimization

    if before is None:
        os.environ.pop(LEGACY, None)
    return tensorflow_model_optimization


def build_twin(spec: Spec, classes: tuple[str, ...], any_size: bool = False) -> tuple[Any, tuple[str, ...]]:
    """The network of `spec` as a float32 tf_keras model of normalized images, freshly initialised, and the names of its
    outputs where it has several: tfmot knows lists of them only."""
    import tf_keras

    network = get_task(spec, classes).build_model(TwinBricks(tf_keras), spec, any_size=any_size)
    if not isinstance(network.output, dict):
        return network, ()
    names = tuple(network.output)
    return tf_keras.Model(network.input, [network.output[name] for name in names], name=network.name), names


def rebuilt(network: Any, change: Any) -> Any:
    """A tf_keras functional model like `network`, of what `change` makes of each of its layers."""
    import tf_keras

    with deep_graphs():
        return tf_keras.models.clone_model(network, clone_function=change)


def copy_weights(source: Any, target: Any) -> None:
    """Copy the weights of a Keras model to a tf_keras build of the same network, by layer name.

    Raises ExportError if the layers with weights, or the shapes of their weights, differ.
    """
    theirs, ours = ({layer.name: layer for layer in model.layers if layer.weights} for model in (source, target))
    if odd := sorted(set(theirs) ^ set(ours)):
        raise ExportError(f"the two builds differ in their layers: {', '.join(odd)}")
    for name, layer in ours.items():
        weights = theirs[name].get_weights()
        expected = [w.shape for w in layer.get_weights()]
        if [np.shape(w) for w in weights] != expected:
            raise ExportError(f"layer {name} has weights of other shapes in the two builds: {expected}")
        layer.set_weights(weights)


def copy_home(network: Any, kernels: dict[str, np.ndarray], target: Any) -> None:
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
