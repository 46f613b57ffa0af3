"""The sensitivity of each layer to 8 bits: one operation is rounded at a time, all others compute in floats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import tree

from keras_resnet.compression.quantization.activation_ranges import channel_min_max, split_into_batches
from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer
from keras_resnet.compression.quantization.graph import Nested
from keras_resnet.compression.quantization.layers import QuantizedNorm, RoundedKernel
from keras_resnet.compression.quantization.quantize import quantize
from keras_resnet.progress import track


@dataclass(frozen=True)
class QuantizedOp:
    """One operation of a file: kernel and stored result. layer: the first of ours that is fused into it.
    switches: the layers that round, by their `enabled`."""

    layer: str
    switches: tuple[FakeQuantizer | RoundedKernel, ...]
    result: FakeQuantizer | None


@dataclass(frozen=True)
class LayerSensitivity:
    """The effect of rounding one operation alone.

    agreement: share of the float network's predictions that stay. error: mean absolute change of an output, as a share
    of its standard deviation; of the output that changed most. low, high: the range of its result. spread: how many
    times the widest channel of that is as wide as the median one. None where nothing is stored.
    """

    layer: str
    agreement: float
    error: float
    low: float | None
    high: float | None
    spread: float | None


class QuantizationSimulator:
    """Rounds an ordinary `model`, or operations of it, by the ranges of `images`.

    images: float32 or uint8 (N, H, W, C). A range goes from the smallest to the largest value, as a converter takes it.

    agreement: (outputs, outputs) of the same images → the share of predictions that are the same.
    """

    def __init__(self, model: keras.Model, images: np.ndarray, agreement: Callable[[Nested, Nested], float]) -> None:
        self._model, self._agreement = quantize(model), agreement
        self.operations = _find_operations(self._model)
        self._enable(())
        self._ranges = self._calibrate(images)

    def measure_layers(self, images: np.ndarray) -> list[LayerSensitivity]:
        """Return the sensitivity of every operation, the worst first, by predictions and then by outputs on `images`
        (N, H, W, C)."""
        self._enable(())
        reference = self._predict(images)
        with track(self.operations, "rounding one layer alone", "layers") as operations:
            layers = [self._measure(operation, images, reference) for operation in operations]
        return sorted(layers, key=lambda layer: (layer.agreement, -layer.error))

    def agreement_without(self, images: np.ndarray, float_layers: tuple[str, ...] = ()) -> float:
        """Return the share of predictions that stay when all operations are rounded but those of `float_layers`."""
        self._enable(())
        reference = self._predict(images)
        self._enable(tuple(each for each in self.operations if each.layer not in float_layers))
        return self._agreement(self._predict(images), reference)

    def _measure(self, operation: QuantizedOp, images: np.ndarray, reference: Nested) -> LayerSensitivity:
        self._enable((operation,))
        outputs = self._predict(images)
        agreement, error = self._agreement(outputs, reference), _relative_error(outputs, reference)
        low, high, spread = self._ranges.get(operation.layer, (None, None, None))
        return LayerSensitivity(operation.layer, agreement, error, low, high, spread)

    def _predict(self, images: np.ndarray) -> Nested:
        """Return the outputs for `images`: (N, …), or a dict of such."""
        # Not by `predict`, as in `channel_min_max`.
        outputs = [self._model(batch.astype("float32"), training=False) for batch in split_into_batches(images)]
        return tree.map_structure(lambda *parts: np.concatenate([np.asarray(part) for part in parts]), *outputs)

    def _enable(self, operations: tuple[QuantizedOp, ...]) -> None:
        """Round these operations and no others."""
        enabled = {id(switch) for operation in operations for switch in operation.switches}
        for operation in self.operations:
            for switch in operation.switches:
                switch.enabled = id(switch) in enabled

    def _calibrate(self, images: np.ndarray) -> dict[str, tuple[float, float, float]]:
        """Set every range. Returns them and the spread of channels, by operation."""
        stored = [(each.layer, each.result) for each in self.operations if each.result is not None]
        extremes = channel_min_max(self._model, [result.input for _, result in stored], images)
        ranges = {}
        for (layer, result), min_max in zip(stored, extremes, strict=True):
            low, high = min_max[:, 0].min(axis=0), min_max[:, 1].max(axis=0)
            result.freeze((float(low.min()), float(high.max())))
            widths = np.maximum(high, 0) - np.minimum(low, 0)
            median = np.median(widths[widths > 0]) if (widths > 0).any() else 1.0
            ranges[layer] = (float(low.min()), float(high.max()), float(widths.max() / median))
        return ranges


def _relative_error(outputs: Nested, reference: Nested) -> float:
    """Return the mean absolute difference of an output as a share of its deviation; the largest of several."""
    pairs = zip(tree.flatten(outputs), tree.flatten(reference), strict=True)
    return max(float(np.abs(a - b).mean() / b.std()) for a, b in pairs)


def _find_operations(model: keras.Model) -> list[QuantizedOp]:
    """Return every operation that rounds, in the order of the network."""
    operations = []
    taken: set[int] = set()
    for layer in model.layers:
        if isinstance(layer, RoundedKernel):
            result = _find_result(layer)
            operations.append(QuantizedOp(layer.name, (layer, *([result] if result else [])), result))
            taken.add(id(result))
        elif isinstance(layer, QuantizedNorm):
            operations.append(QuantizedOp(layer.name, (layer.product,), None))
    for layer in model.layers:
        if isinstance(layer, FakeQuantizer) and id(layer) not in taken:
            operations.append(QuantizedOp(_find_source(layer), (layer,), layer))
    order = {layer.name: index for index, layer in enumerate(model.layers)}
    return sorted(operations, key=lambda operation: order[operation.layer])


def _find_result(layer: keras.Operation) -> FakeQuantizer | None:
    """Return where the result of a kernel is stored: behind the batch norm and activation that are fused into it."""
    consumers = [node.operation for node in layer._outbound_nodes]
    if len(consumers) != 1:
        return None
    (after,) = consumers
    if isinstance(after, FakeQuantizer):
        return after
    fused = (keras.layers.BatchNormalization, keras.layers.ReLU, keras.layers.Dropout)
    return _find_result(after) if isinstance(after, fused) and not isinstance(after, QuantizedNorm) else None


def _find_source(quantizer: FakeQuantizer) -> str:
    """Return the layer that gives a stored result without a kernel: the sum before its ReLU, the pooling, …"""
    layer = quantizer._inbound_nodes[0].parent_nodes[0].operation
    before = [parent.operation for parent in layer._inbound_nodes[0].parent_nodes]
    if isinstance(layer, keras.layers.ReLU) and len(before) == 1 and not isinstance(before[0], QuantizedNorm):
        return str(before[0].name)
    return str(layer.name)
