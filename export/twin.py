"""The same network under tf_keras, the only Keras that tfmot accepts. The only importer of tf_keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet.bricks import Bricks
from keras_resnet.errors import ExportError
from keras_resnet.spec import Spec
from keras_resnet.tasks import task_of


def build_twin(spec: Spec, classes: tuple[str, ...]) -> Any:
    """The network of `spec` as a float32 tf_keras model, freshly initialised."""
    import tf_keras

    return task_of(spec, classes).build(Bricks(tf_keras), spec)


def copy_weights(source: Any, target: Any) -> None:
    """Copy all weights between two builds of one network, by layer name, in either direction.

    Raises ExportError if the layers or the shapes of their weights differ.
    """
    theirs = {layer.name: layer for layer in source.layers}
    ours = {layer.name: layer for layer in target.layers}
    if odd := sorted(set(theirs) ^ set(ours)):
        raise ExportError(f"the two builds differ in their layers: {', '.join(odd)}")
    for name, layer in ours.items():
        weights = theirs[name].get_weights()
        expected = [w.shape for w in layer.get_weights()]
        if [np.shape(w) for w in weights] != expected:
            raise ExportError(f"layer {name} has weights of other shapes in the two builds: {expected}")
        layer.set_weights(weights)
