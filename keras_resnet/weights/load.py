"""Bring weights from a file or a named source into a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import WeightsError
from keras_resnet.weights import sources
from keras_resnet.weights.files import read
from keras_resnet.weights.translate import Weights, translate

if TYPE_CHECKING:
    import keras

CLASSIFIER = "logits"
# With what the names of layers begin that a network of another task, or of other classes, does not have.
HEADS = (CLASSIFIER, "box")


@dataclass(frozen=True)
class Placed:
    """What became of weights. layers: how many were filled; unused: names that have no place in the network;
    replaced: whether the classifier was left as initialised because it has other classes or is missing."""

    layers: int
    unused: tuple[str, ...]
    replaced: bool

    def __str__(self) -> str:
        classifier = "; the classifier is new" if self.replaced else ""
        unused = f"; not placed: {', '.join(self.unused)}" if self.unused else ""
        return f"{self.layers} layers{classifier}{unused}"


def load_weights(model: keras.Model, origin: str | Path) -> Placed:
    """Fill `model`, a network of this package, from `origin`.

    `origin` is a file (.keras, .h5, .pth, .pt, .safetensors) or a named source: "keras:resnet50",
    "torchvision:resnet18" or "timm:resnet50.a1_in1k", which is downloaded, checked and kept. A classifier of
    another number of classes is left as it is. The preprocessing is not changed: build the network with
    `keras_resnet.weights.load.fetch(origin).normalization`. Raises UsageError for an unknown source, WeightsError for
    weights that cannot be had or are of another network.
    """
    return place(model, fetch(str(origin)), str(origin))


def fetch(origin: str) -> Weights:
    """The weights of `origin` (see `load_weights`) in our names, with their network and preprocessing."""
    if sources.is_named(origin):
        return sources.fetch(origin)
    try:
        return translate(read(Path(origin).expanduser()))
    except KeyError as error:
        raise WeightsError(f"weights {origin} are incomplete: {error.args[0]} is missing") from error


def place(model: keras.Model, weights: Weights, origin: str) -> Placed:
    """Fill `model` with `weights`. Raises WeightsError, before anything is changed, if a layer of the body is missing
    or of another shape; such heads stay as initialised."""
    wanted = {layer.name: layer for layer in model.layers if layer.weights}
    misfits = [name for name in wanted if not _fits(wanted[name], weights.layers.get(name))]
    replaced = CLASSIFIER in misfits
    if bad := [name for name in misfits if not name.startswith(HEADS)]:
        raise WeightsError(f"the weights {origin} are not of {model.name}: {_difference(wanted, weights, bad)}")
    kept = [name for name in wanted if name not in misfits]
    for name in kept:
        wanted[name].set_weights(weights.layers[name])
    surplus = sorted(set(weights.layers) - set(wanted))
    return Placed(len(kept), (*surplus, *weights.unused), replaced)


def _fits(layer: Any, arrays: list[np.ndarray] | None) -> bool:
    return arrays is not None and [a.shape for a in arrays] == [tuple(w.shape) for w in layer.weights]


def _difference(wanted: dict[str, Any], weights: Weights, bad: list[str]) -> str:
    name = bad[0]
    if name not in weights.layers:
        return f"they hold nothing for {len(bad)} of its layers, {name} first"
    shapes = [tuple(a.shape) for a in weights.layers[name]]
    expected = [tuple(w.shape) for w in wanted[name].weights]
    return f"{len(bad)} layers have other shapes, {name} first: {shapes}, not {expected}"
