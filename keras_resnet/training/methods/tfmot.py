"""Pruning, clustering and quantization-aware training by tensorflow-model-optimization, on a tf_keras model.

Our own steps train it; its weights are copied to a Keras model in the end.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from keras_resnet.compression.quantization.quantize import build_compressed_model
from keras_resnet.compression.tfmot import cluster, prune, qat
from keras_resnet.compression.tfmot.tf_keras_model import (
    TfKerasModel,
    build_tf_keras_network,
    copy_to_keras,
    copy_to_tf_keras,
)
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.models.layers import Layers
from keras_resnet.models.parameters import count_parameters
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.training.initialize import freeze
from keras_resnet.training.methods.base import TrainingMethod
from keras_resnet.training.methods.plain import uses_progressive_resizing

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_resnet.compression.tfmot.tf_keras_model import Network
    from keras_resnet.config.spec import Spec


class TfmotTraining(TrainingMethod[TfKerasModel]):
    """What the three have in common: a parent run, and a network that tfmot wraps."""

    precision: ClassVar[tuple[str, str] | None] = ("float32", "tensorflow-model-optimization trains in no other")

    @abstractmethod
    def wrap(self, network: Network, total_steps: int) -> Network:
        """Return `network`, which holds its trained weights, as tfmot trains it."""

    @abstractmethod
    def kernels(self, network: Network) -> dict[str, np.ndarray]:
        """Return the kernels by layer name that tfmot made and that are not a variable of the wrapped `network`."""

    def require_processes(self, count: int) -> None:
        """Raise UsageError for more than one process."""
        if count > 1:
            raise UsageError(f"tensorflow-model-optimization trains in one process. Received: {count} of them")

    def build_model(self, layers: Layers, total_steps: int) -> TfKerasModel:
        """Return the wrapped network, filled with the parent's weights: they decide what tfmot clusters and masks."""
        network, output_names = build_tf_keras_network(self.spec, self.task, uses_progressive_resizing(self.spec))
        copy_to_tf_keras(load_model(self._parent()), network)
        freeze(network, self.spec.start)
        parameters = count_parameters(network.weights)
        return TfKerasModel(self.wrap(network, total_steps), self.spec.data.normalization, parameters, output_names)

    def count_parameters(self, model: TfKerasModel) -> int:
        """Return those of the network before tfmot wrapped it."""
        return model.parameters

    def load_initial_weights(self, model: TfKerasModel, log: Log) -> None:
        """Say where the weights are from; `build_model` has loaded them."""
        log(f"weights: of run {self._parent().name}, in a copy of its network in tf_keras, which tfmot needs")

    def to_inference_model(self, model: TfKerasModel) -> keras.Model:
        """Return the Keras model with the weights that tfmot trained."""
        import keras

        served = build_compressed_model(self.spec, self.task, Layers(keras))
        copy_to_keras(model.network, self.kernels(model.network), served)
        return served

    def _parent(self) -> Run:
        assert self.spec.compress.parent is not None, "a compressed network has a parent"
        parent = Run(Path(self.spec.compress.parent))
        parent.require_finished()
        return parent


class Pruning(TfmotTraining):
    """Set the smallest weights to zero, more and more of them while training goes on."""

    @classmethod
    def applies_to(cls, spec: Spec) -> bool:
        """Return whether weights are pruned, and neither clustered nor quantized."""
        return spec.compress.method == "prune"

    def wrap(self, network: Network, total_steps: int) -> Network:
        """Return `network` with masks."""
        return prune.prune(network, self.spec.compress, total_steps)

    def on_train_step_begin(self, model: TfKerasModel, step: tf.Variable) -> None:
        """Tell tfmot the step, which its masks depend on."""
        prune.set_step(model.network, step)

    def kernels(self, network: Network) -> dict[str, np.ndarray]:
        """Return the masked kernels."""
        return prune.masked_kernels(network)


class Clustering(TfmotTraining):
    """Let each kernel share a few different weights."""

    @classmethod
    def applies_to(cls, spec: Spec) -> bool:
        """Return whether weights are clustered and not quantized."""
        return spec.compress.method == "cluster"

    def wrap(self, network: Network, total_steps: int) -> Network:
        """Return `network` with centroids."""
        return cluster.cluster(network, self.spec.compress)

    def kernels(self, network: Network) -> dict[str, np.ndarray]:
        """Return the kernels made of their centroids."""
        return cluster.clustered_kernels(network)


class TfmotQat(TfmotTraining):
    """Quantization-aware training by tfmot."""

    @classmethod
    def applies_to(cls, spec: Spec) -> bool:
        """Return whether tfmot trains with 8 bits."""
        return spec.compress.qat == "tfmot"

    def wrap(self, network: Network, total_steps: int) -> Network:
        """Return `network` with fake quantization."""
        return qat.quantize(network, self.spec.compress)

    def kernels(self, network: Network) -> dict[str, np.ndarray]:
        """Return the kernels whose centroids are kept."""
        return qat.clustered_kernels(network)

    def to_inference_model(self, model: TfKerasModel) -> keras.Model:
        """Return a quantized Keras model with the weights and the ranges that tfmot trained."""
        served = super().to_inference_model(model)
        qat.copy_ranges(model.network, served)
        return served
