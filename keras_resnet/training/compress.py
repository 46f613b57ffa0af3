"""Training by tensorflow-model-optimization: our engine trains the tf_keras twin, and its weights come home."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_resnet.compression.quantization.quantize import build_model
from keras_resnet.compression.tfmot import cluster, prune, qat
from keras_resnet.compression.tfmot.tf_keras_model import TfKerasModel, build_twin, copy_home, copy_weights
from keras_resnet.config.spec import Spec
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.models.layers import Layers
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.training.initialize import freeze
from keras_resnet.training.train import TrainingMethod, uses_progressive_resizing


def method_of(spec: Spec) -> TrainingMethod:
    """How `spec` is trained."""
    return TrainingMethod(_make, _start, _before, _finish) if spec.compress.uses_tfmot else TrainingMethod()


def _make(spec: Spec, classes: tuple[str, ...], bricks: Layers, steps: int) -> TfKerasModel:
    """The twin, filled with the parent's weights: what tfmot clusters and masks is decided by them."""
    network, names = build_twin(spec, classes, uses_progressive_resizing(spec))
    copy_weights(load_model(_parent_of(spec)), network)
    freeze(network, spec.start)
    parameters = network.count_params()
    if spec.compress.method == "prune":
        network = prune.prune(network, spec.compress, steps)
    elif spec.compress.method == "cluster":
        network = cluster.cluster(network, spec.compress)
    else:
        network = qat.quantize(network, spec.compress)
    return TfKerasModel(network, spec.data.normalization, parameters, names)


def _parent_of(spec: Spec) -> Run:
    assert spec.compress.parent is not None, "a compressed network has a parent"
    parent = Run(Path(spec.compress.parent))
    parent.require_finished()
    return parent


def _start(model: TfKerasModel, spec: Spec, classes: tuple[str, ...], log: Log) -> None:
    log(f"weights: of run {_parent_of(spec).name}, on the tf_keras twin")


def _before(model: TfKerasModel, spec: Spec) -> Callable[[Any], None] | None:
    return prune.before_step(model.network) if spec.compress.method == "prune" else None


def _finish(model: TfKerasModel, spec: Spec, classes: tuple[str, ...]) -> Any:
    """The Keras model: for 8 bits one that `quantize` makes, with tfmot's ranges."""
    served = build_model(spec, classes, Layers(keras))
    methods = {"prune": prune, "cluster": cluster, "quantize": qat}
    copy_home(model.network, methods[spec.compress.method].kernels_of(model.network), served)
    if spec.compress.is_qat:
        qat.copy_ranges(model.network, served)
    return served
