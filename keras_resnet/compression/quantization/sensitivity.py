"""What 8 bits cost, part by part: a network of which one part is rounded at a time, all others computing in floats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_resnet.compression.quantization.activation_ranges import BATCH, channel_min_max
from keras_resnet.compression.quantization.layers import FakeQuantizer, QuantizedNorm, RoundedKernel
from keras_resnet.compression.quantization.quantize import quantize
from keras_resnet.progress import track


@dataclass(frozen=True)
class Part:
    """One operation of a file: kernel and stored result. layer: the first of ours that is fused into it."""

    layer: str
    switches: tuple[Any, ...]
    result: FakeQuantizer | None


@dataclass(frozen=True)
class LayerSensitivity:
    """What rounding one part alone did.

    agreement: share of the float network's answers that stay. error: mean absolute change of an output, as a share of
    its standard deviation; of the output that changed most. low, high: the range of its result; spread: how many times
    the widest channel of that is as wide as the median one; None where nothing is stored.
    """

    layer: str
    agreement: float
    error: float
    low: float | None
    high: float | None
    spread: float | None


class Simulation:
    """`model`, an ordinary one, with the ranges of `images`, float32 or uint8 (N, H, W, 3), as a converter takes them:
    from the smallest to the largest value.

    agreement: (outputs, outputs) of the same images → the share of answers that are the same.
    """

    def __init__(self, model: Any, images: np.ndarray, agreement: Callable[[Any, Any], float]) -> None:
        self._model, self._agreement = quantize(model), agreement
        self.parts = _parts(self._model)
        self._enable(())
        self._spreads = self._calibrate(images)

    def damages(self, images: np.ndarray) -> list[LayerSensitivity]:
        """Of every part, the worst first, by answers and then by outputs on `images` (N, H, W, 3)."""
        self._enable(())
        whole = self._outputs(images)
        with track(self.parts, "rounding one layer alone", "layers") as parts:
            found = [self._damage(part, images, whole) for part in parts]
        return sorted(found, key=lambda damage: (damage.agreement, -damage.error))

    def together(self, images: np.ndarray, but: tuple[str, ...] = ()) -> float:
        """The share of answers that stay when all parts are rounded `but` those of some layers."""
        self._enable(())
        whole = self._outputs(images)
        self._enable(tuple(part for part in self.parts if part.layer not in but))
        return self._agreement(self._outputs(images), whole)

    def _damage(self, part: Part, images: np.ndarray, whole: Any) -> LayerSensitivity:
        self._enable((part,))
        got = self._outputs(images)
        low, high, spread = self._spreads.get(part.layer, (None, None, None))
        return LayerSensitivity(part.layer, self._agreement(got, whole), _error(got, whole), low, high, spread)

    def _outputs(self, images: np.ndarray) -> Any:
        """What the model gives for `images`: (N, …), or a dict of such."""
        # Not by `predict`, as in `channel_min_max`.
        starts = range(0, len(images), BATCH)
        found = [self._model(images[start : start + BATCH].astype("float32"), training=False) for start in starts]
        return tree.map_structure(lambda *parts: np.concatenate([np.asarray(part) for part in parts]), *found)

    def _enable(self, parts: tuple[Part, ...]) -> None:
        on = {id(switch) for part in parts for switch in part.switches}
        for part in self.parts:
            for switch in part.switches:
                switch.enabled = id(switch) in on

    def _calibrate(self, images: np.ndarray) -> dict[str, tuple[float, float, float]]:
        """Give every range its ends; returns them and the spread of channels, by part."""
        stored = [(part, part.result) for part in self.parts if part.result is not None]
        seen = channel_min_max(self._model, [result.input for _, result in stored], images)
        found = {}
        for (part, result), ends in zip(stored, seen, strict=True):
            low, high = ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)
            result.freeze((float(low.min()), float(high.max())))
            widths = np.maximum(high, 0) - np.minimum(low, 0)
            middle = np.median(widths[widths > 0]) if (widths > 0).any() else 1.0
            found[part.layer] = (float(low.min()), float(high.max()), float(widths.max() / middle))
        return found


def _error(ours: Any, theirs: Any) -> float:
    """The mean absolute difference of an output as a share of its deviation; the largest of several."""
    pairs = zip(tree.flatten(ours), tree.flatten(theirs), strict=True)
    return max(float(np.abs(a - b).mean() / b.std()) for a, b in pairs)


def _parts(model: Any) -> list[Part]:
    """Every operation that rounds, in the order of the network."""
    parts = []
    taken: set[int] = set()
    for layer in model.layers:
        if isinstance(layer, RoundedKernel):
            result = _result_of(layer)
            parts.append(Part(layer.name, (layer, *([result] if result else [])), result))
            taken.add(id(result))
        elif isinstance(layer, QuantizedNorm):
            parts.append(Part(layer.name, (layer.product,), None))
    for layer in model.layers:
        if isinstance(layer, FakeQuantizer) and id(layer) not in taken:
            parts.append(Part(_source_of(layer), (layer,), layer))
    order = {layer.name: place for place, layer in enumerate(model.layers)}
    return sorted(parts, key=lambda part: order[part.layer])


def _result_of(layer: Any) -> FakeQuantizer | None:
    """Where the result of a kernel is stored: behind the batch norm and activation that are fused into it."""
    following = [node.operation for node in layer._outbound_nodes]
    if len(following) != 1:
        return None
    (after,) = following
    if isinstance(after, FakeQuantizer):
        return after
    fused = (keras.layers.BatchNormalization, keras.layers.ReLU, keras.layers.Dropout)
    return _result_of(after) if isinstance(after, fused) and not isinstance(after, QuantizedNorm) else None


def _source_of(quantizer: FakeQuantizer) -> str:
    """The layer that a stored result without a kernel is of: the sum before its ReLU, the pooling, …"""
    layer = quantizer._inbound_nodes[0].parent_nodes[0].operation
    before = [parent.operation for parent in layer._inbound_nodes[0].parent_nodes]
    if isinstance(layer, keras.layers.ReLU) and len(before) == 1 and not isinstance(before[0], QuantizedNorm):
        return str(before[0].name)
    return str(layer.name)
