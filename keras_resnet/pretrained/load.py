"""Bring weights from a file or a named source into a network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import WeightsError
from keras_resnet.models.parts import BACKBONE, HEADS, NECK, find_lateral_layers, get_group, get_part, group_by_part
from keras_resnet.pretrained import hub
from keras_resnet.pretrained.key_mapping import Weights, map_keys
from keras_resnet.pretrained.readers import read_weights
from keras_resnet.runtime.plurals import counted, verb

if TYPE_CHECKING:
    import keras

# So many names of what has no place are told; of others how many there are.
MAX_LISTED = 5


@dataclass(frozen=True)
class LoadReport:
    """What became of weights: the names of the layers that were `filled`; `new`: those left as initialised, which a
    network of another task, of other classes or on another pyramid does not have; `unused`: names that have no place
    in the network."""

    filled: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def layers(self) -> int:
        """How many layers were filled."""
        return len(self.filled)

    def __str__(self) -> str:
        filled = [part.title for part in group_by_part(self.filled)]
        told = [f"{counted(self.layers, 'layer')} of {join_words(filled)}", *self._told_new()]
        return "; ".join([*told, f"not placed: {', '.join(_list_unused(self.unused))}"] if self.unused else told)

    def _told_new(self) -> list[str]:
        """What is new, in words: whole parts, then layers of others, then what is not ours."""
        filled, new = group_by_part(self.filled), group_by_part(self.new)
        whole = [part for part in new if part not in filled]
        heads = [part.title for part in whole if part.group == HEADS]
        if len(heads) > 1 and not any(part.group == HEADS for part in filled):
            heads = ["the heads"]
        told = [_format_new([part.title for part in whole if part.group != HEADS] + heads)]
        told += [f"of {part.title} {_format_new(layers)}" for part, layers in new.items() if part not in whole]
        told += [_format_new([layer for layer in self.new if get_part(layer) is None])]
        return list(filter(None, told))


def load_weights(model: keras.Model, origin: str | Path) -> LoadReport:
    """Fill `model`, a network of this package, from `origin`.

    `origin` is a file (.keras, .h5, .pth, .pt, .safetensors) or a named source: "keras:resnet50",
    "torchvision:resnet18" or "timm:resnet50.a1_in1k", which is downloaded, checked and kept. A classifier of
    another number of classes is left as it is, as are a detector's neck and heads where the weights are not of a
    detector. The preprocessing is not changed: build the network with
    `fetch_weights(origin).normalization`. Raises UsageError for an unknown source, WeightsError for weights that cannot
    be had, are of another network, or claim far more memory than `model` takes.
    """
    needed = sum(int(np.prod(weight.shape)) * np.dtype("float32").itemsize for weight in model.weights)
    return assign_weights(model, fetch_weights(str(origin), needed), str(origin))


def fetch_weights(origin: str, needed: int | None = None) -> Weights:
    """The weights of `origin` (see `load_weights`) in our names, with their network and preprocessing. `needed`: bytes
    of the network that they are for, if it is known."""
    if hub.is_hub_name(origin):
        return hub.fetch_from_hub(origin)
    values = read_weights(Path(origin).expanduser(), needed)
    try:
        return map_keys(values)
    except KeyError as error:
        raise WeightsError(f"weights {origin} are incomplete: {error.args[0]} is missing") from error
    except WeightsError as error:
        raise WeightsError(f"cannot use weights {origin}: {error}") from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(f"cannot use weights {origin}: its arrays have not the shapes of a network's") from error


def assign_weights(model: keras.Model, weights: Weights, origin: str) -> LoadReport:
    """Fill `model` with `weights`. Raises WeightsError, before anything is changed, unless the body is theirs, layer
    for layer.

    The neck is filled if it takes up the same stages, heads if they stand on such a neck or on the body; of them what
    depends on the classes, or is made otherwise, stays as initialised, and so does what is no part of ours.
    """
    wanted = {layer.name: layer for layer in model.layers if layer.weights}
    fitting = {name for name in wanted if _has_shapes_of(wanted[name], weights.layers.get(name))}
    _require_backbone(model, wanted, weights, fitting, origin)
    links = find_lateral_layers(wanted)
    on_same = links <= fitting and links == find_lateral_layers(weights.layers)
    groups = (BACKBONE, NECK, HEADS) if on_same else (BACKBONE,)
    filled = tuple(name for name in wanted if name in fitting and get_group(name) in groups)
    for name in filled:
        wanted[name].set_weights(weights.layers[name])
    surplus = sorted(name for name in set(weights.layers) - set(filled) if name not in wanted)
    new = tuple(name for name in wanted if name not in filled)
    return LoadReport(filled, new, (*surplus, *weights.unused))


def _require_backbone(model: Any, wanted: dict[str, Any], weights: Weights, fitting: set[str], origin: str) -> None:
    """Raises WeightsError unless the layers of the body, of the parts that `model` has, are the same."""
    body = [name for name in wanted if get_group(name) == BACKBONE]
    if not body:
        raise WeightsError(f"{model.name} takes no weights: it has no stem, stages or blocks of a network of kresnet")
    refused = f"the weights {origin} are not of {model.name}"
    if bad := [name for name in body if name not in fitting]:
        raise WeightsError(f"{refused}: {_describe_mismatch(wanted, weights, bad)}")
    parts = {get_part(name) for name in body}
    more = sorted(name for name in weights.layers if get_part(name) in parts and name not in wanted)
    if more := [name for name in more if not _is_range(weights.layers[name])]:
        raise WeightsError(f"{refused}: they have {counted(len(more), 'layer')} more, {more[0]} first")


def _has_shapes_of(layer: Any, arrays: list[np.ndarray] | None) -> bool:
    return arrays is not None and [a.shape for a in arrays] == [tuple(w.shape) for w in layer.weights]


def _is_range(arrays: list[np.ndarray]) -> bool:
    """Whether these are the ends of a range that a training with 8 bits has learned."""
    return all(each.ndim == 0 for each in arrays)


def _describe_mismatch(wanted: dict[str, Any], weights: Weights, bad: list[str]) -> str:
    name = bad[0]
    if name not in weights.layers:
        return f"they hold nothing for {len(bad)} of its layers, {name} first"
    shapes = [tuple(a.shape) for a in weights.layers[name]]
    expected = [tuple(w.shape) for w in wanted[name].weights]
    differ = verb(len(bad), "has another shape", "have other shapes")
    return f"{counted(len(bad), 'layer')} {differ}, {name} first: {shapes}, not {expected}"


def _list_unused(names: Iterable[str]) -> list[str]:
    """The names of what has no place, ours by their parts and of others the first."""
    ours = [part.title for part in group_by_part(names)]
    others = [name for name in names if get_part(name) is None]
    more = [f"{len(others) - MAX_LISTED} more"] if len(others) > MAX_LISTED else []
    return [*ours, *others[:MAX_LISTED], *more]


def _format_new(words: list[str]) -> str:
    """ "a and b are new"; nothing of nothing."""
    single = len(words) == 1 and words != ["the heads"]
    return f"{join_words(words)} {'is' if single else 'are'} new" if words else ""


def join_words(words: list[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
