"""Load pretrained weights, from a file or a hub, into a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.errors import UsageError, WeightsError, describe_received
from keras_resnet.models.parts import BACKBONE, HEADS, NECK, find_lateral_layers, get_group, get_part, group_by_part
from keras_resnet.native_logs import quiet
from keras_resnet.pretrained import hub
from keras_resnet.pretrained.key_mapping import map_file
from keras_resnet.pretrained.readers import read_weights
from keras_resnet.pretrained.weights import Weights
from keras_resnet.runtime.plurals import counted, join_words, verb

if TYPE_CHECKING:
    import keras

# Names of unused layers in a message; of more only how many there are.
MAX_LISTED = 5


@dataclass(frozen=True)
class LoadReport:
    """What became of weights.

    filled: the layers that got theirs. new: those left as initialized, since weights of another task, of other classes
    or of another pyramid have none for them. unused: names that have no place in the model. adapted: what was done to
    the first convolution, in words, where the weights are for images of other channels.
    """

    filled: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]
    adapted: str = ""

    @property
    def layers(self) -> int:
        """How many layers were filled."""
        return len(self.filled)

    def __str__(self) -> str:
        filled = [part.title for part in group_by_part(self.filled)]
        words = [f"{counted(self.layers, 'layer')} of {join_words(filled)}", *self._describe_new()]
        words += [self.adapted] if self.adapted else []
        return "; ".join([*words, f"not placed: {', '.join(_list_unused(self.unused))}"] if self.unused else words)

    def _describe_new(self) -> list[str]:
        """Describe what is new: whole parts, then single layers of others, then what is not ours."""
        filled, new = group_by_part(self.filled), group_by_part(self.new)
        whole = [part for part in new if part not in filled]
        heads = [part.title for part in whole if part.group == HEADS]
        if len(heads) > 1 and not any(part.group == HEADS for part in filled):
            heads = ["the heads"]
        words = [_format_new([part.title for part in whole if part.group != HEADS] + heads)]
        words += [f"of {part.title} {_format_new(layers)}" for part, layers in new.items() if part not in whole]
        words += [_format_new([layer for layer in self.new if get_part(layer) is None])]
        return list(filter(None, words))


@quiet
def load_weights(model: keras.Model, origin: str | Path) -> LoadReport:
    """Fill `model`, a network of this package, from `origin`.

    `origin` is a file (.keras, .h5, .pth, .pt, .safetensors) or a named source: "keras:resnet50",
    "torchvision:resnet18", "timm:resnet50.a1_in1k" or "hf:USER/NAME", which is downloaded, checked and kept. A
    classifier of another number of classes is left as it is, as are a detector's neck and heads where the weights are
    not of a detector. The preprocessing is not changed: build the network with `fetch_weights(origin).normalization`.
    Raises UsageError for an unknown source, WeightsError for weights that cannot be had, are of another network, or
    claim far more memory than `model` takes.
    """
    if not hasattr(model, "weights"):
        raise UsageError(f"load_weights takes a Keras model first. Received: {describe_received(model)}")
    if not isinstance(origin, (str, Path)):
        raise UsageError(
            f"weights must be a source or a file, as a str or a path. Received: {describe_received(origin)}"
        )
    model_size = sum(int(np.prod(weight.shape)) * np.dtype("float32").itemsize for weight in model.weights)
    return assign_weights(model, fetch_weights(str(origin), model_size), str(origin))


def fetch_weights(origin: str, model_size: int | None = None) -> Weights:
    """Return the weights of `origin` (see `load_weights`) by our names, with their network and preprocessing.

    model_size: bytes of the weights of the model that they are for, if it is known.
    """
    if hub.is_hub_name(origin):
        return hub.fetch_from_hub(origin)
    return map_file(read_weights(Path(origin).expanduser(), model_size), origin)


def assign_weights(model: keras.Model, weights: Weights, origin: str) -> LoadReport:
    """Fill `model` with `weights`. Raises WeightsError, before anything is changed, unless the backbone is
    theirs, layer for layer.

    The neck is filled if it takes up the same stages, heads if they stand on such a neck or on the backbone; of
    them what depends on the classes, or is built otherwise, stays as initialized, and so does what is no part of ours.
    """
    weights, adapted = adapt_to_channels(model, weights)
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    fitting = {name for name in layers if _has_shapes_of(layers[name], weights.layers.get(name))}
    _require_backbone(model, layers, weights, fitting, origin)
    links = find_lateral_layers(layers)
    on_same = links <= fitting and links == find_lateral_layers(weights.layers)
    groups = (BACKBONE, NECK, HEADS) if on_same else (BACKBONE,)
    filled = tuple(name for name in layers if name in fitting and get_group(name) in groups)
    for name in filled:
        layers[name].set_weights(weights.layers[name])
    surplus = sorted(name for name in set(weights.layers) - set(filled) if name not in layers)
    new = tuple(name for name in layers if name not in filled)
    return LoadReport(filled, new, (*surplus, *weights.unused), adapted)


def adapt_to_channels(model: keras.Model, weights: Weights) -> tuple[Weights, str]:
    """Return `weights` with a first convolution for the channels of the images that `model` takes, and what was done to
    it in words; unchanged where these are the same, or where it is no such convolution that differs.

    As timm does (`adapt_input_conv`): for gray images kernels are summed over their channels; for others they are
    repeated, and made smaller by as much as there are more of them.
    """
    first = next((layer for layer in model.layers if len(getattr(layer, "kernel", np.zeros(0)).shape) == 4), None)
    arrays = weights.layers.get(first.name) if first is not None else None
    if first is None or not arrays or arrays[0].ndim != 4:
        return weights, ""
    wanted, (*_, channels, _) = tuple(first.kernel.shape), arrays[0].shape
    count = wanted[2]
    if count == channels or model.input_shape[-1] != count or arrays[0].shape != (*wanted[:2], channels, wanted[3]):
        return weights, ""
    if count == 1:
        kernel, how = arrays[0].sum(axis=2, keepdims=True), "summed"
    else:
        repeats = -(-count // channels)
        kernel, how = np.tile(arrays[0], (1, 1, repeats, 1))[:, :, :count] * (channels / count), "repeated and scaled"
    layers = {**weights.layers, first.name: [kernel.astype(arrays[0].dtype), *arrays[1:]]}
    words = f"kernels of {first.name} {how}, from {counted(channels, 'channel')} to {count}"
    return replace(weights, layers=layers), words


def _require_backbone(
    model: keras.Model, layers: dict[str, keras.Layer], weights: Weights, fitting: set[str], origin: str
) -> None:
    """Raise WeightsError unless the layers of the backbone, of the parts that `model` has, are the same."""
    backbone = [name for name in layers if get_group(name) == BACKBONE]
    if not backbone:
        raise WeightsError(f"{model.name} takes no weights: it has no stem, stages or blocks of a network of kresnet")
    refused = f"the weights {origin} are not of {model.name}"
    if bad := [name for name in backbone if name not in fitting]:
        raise WeightsError(f"{refused}: {_describe_mismatch(layers, weights, bad)}")
    parts = {get_part(name) for name in backbone}
    more = sorted(name for name in weights.layers if get_part(name) in parts and name not in layers)
    if more := [name for name in more if not _is_range(weights.layers[name])]:
        raise WeightsError(f"{refused}: they have {counted(len(more), 'layer')} more, {more[0]} first")


def _has_shapes_of(layer: keras.Layer, arrays: list[np.ndarray] | None) -> bool:
    return arrays is not None and [a.shape for a in arrays] == [tuple(w.shape) for w in layer.weights]


def _is_range(arrays: list[np.ndarray]) -> bool:
    """Return whether these are the ends of a range that quantization-aware training has learned."""
    return all(each.ndim == 0 for each in arrays)


def _describe_mismatch(layers: dict[str, keras.Layer], weights: Weights, bad: list[str]) -> str:
    name = bad[0]
    if name not in weights.layers:
        return f"they hold nothing for {len(bad)} of its layers, {name} first"
    shapes = [tuple(a.shape) for a in weights.layers[name]]
    expected = [tuple(w.shape) for w in layers[name].weights]
    differ = verb(len(bad), "has another shape", "have other shapes")
    return f"{counted(len(bad), 'layer')} {differ}, {name} first: {shapes}, not {expected}"


def _list_unused(names: Iterable[str]) -> list[str]:
    """Return the names of what has no place, ours by their parts and of others the first."""
    ours = [part.title for part in group_by_part(names)]
    others = [name for name in names if get_part(name) is None]
    more = [f"{len(others) - MAX_LISTED} more"] if len(others) > MAX_LISTED else []
    return [*ours, *others[:MAX_LISTED], *more]


def _format_new(words: list[str]) -> str:
    """Return "a and b are new", or "" of nothing."""
    single = len(words) == 1 and words != ["the heads"]
    return f"{join_words(words)} {'is' if single else 'are'} new" if words else ""
