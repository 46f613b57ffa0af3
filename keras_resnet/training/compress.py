"""Training by tensorflow-model-optimization: our engine trains the tf_keras twin, and its weights come home."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_resnet.compression.quantization.quantize import network_of
from keras_resnet.compression.tfmot import cluster, prune, qat
from keras_resnet.compression.tfmot.tf_keras_model import Twin, build_twin, copy_home, copy_weights
from keras_resnet.config.spec import Spec
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.models.layers import Bricks
from keras_resnet.run import Run
from keras_resnet.training.initialize import freeze
from keras_resnet.training.train import Method, trained_in_sizes

Say = Callable[[str], None]


def method_of(spec: Spec) -> Method:
    """How `spec` is trained."""
    return Method(_make, _start, _before, _finish) if spec.compress.by_tfmot else Method()


def _make(spec: Spec, classes: tuple[str, ...], bricks: Bricks, steps: int) -> Twin:
    """The twin, filled with the parent's weights: what tfmot clusters and masks is decided by them."""
    network, names = build_twin(spec, classes, trained_in_sizes(spec))
    copy_weights(load_model(_parent_of(spec)), network)
    freeze(network, spec.start)
    parameters = network.count_params()
    if spec.compress.does == "prune":
        network = prune.prune(network, spec.compress, steps)
    elif spec.compress.does == "cluster":
        network = cluster.cluster(network, spec.compress)
    else:
        network = qat.quantize(network, spec.compress)
    return Twin(network, spec.data.normalization, parameters, names)


def _parent_of(spec: Spec) -> Run:
    assert spec.compress.parent is not None, "a compressed network has a parent"
    parent = Run(Path(spec.compress.parent))
    parent.require_finished()
    return parent


def _start(model: Twin, spec: Spec, classes: tuple[str, ...], say: Say) -> None:
    say(f"weights: of run {_parent_of(spec).name}, on the tf_keras twin")


def _before(model: Twin, spec: Spec) -> Callable[[Any], None] | None:
    return prune.before_step(model.network) if spec.compress.does == "prune" else None


def _finish(model: Twin, spec: Spec, classes: tuple[str, ...]) -> Any:
    """The Keras model: for 8 bits one that `quantize` makes, with tfmot's ranges."""
    served = network_of(spec, classes, Bricks(keras))
    methods = {"prune": prune, "cluster": cluster, "quantize": qat}
    copy_home(model.network, methods[spec.compress.does].kernels_of(model.network), served)
    if spec.compress.learned:
        qat.copy_ranges(model.network, served)
    return served
