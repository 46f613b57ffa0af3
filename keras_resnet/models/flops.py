"""What a network costs, counted from its definition without building it, and without TensorFlow.

`Layers` takes any Keras; the one here computes shapes and adds up parameters and multiply-adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from keras_resnet.config.spec import NetworkSpec, Normalization
from keras_resnet.models import build
from keras_resnet.models.layers import Layers

# Of each channel of an int8 file: an int32 bias, a float32 scale and an int64 zero point.
INT8_CHANNEL_BYTES = 4 + 4 + 8


@dataclass
class Cost:
    """What one network needs.

    trainable: parameters that training changes; statistics: moving means and variances of batch norms.
    multiply_adds: of the convolutions and dense layers for one image, as He et al. 2015, table 1 counts.
    kernel_values, channels: of convolutions and dense layers.
    """

    trainable: int = 0
    statistics: int = 0
    multiply_adds: int = 0
    kernel_values: int = 0
    channels: int = 0

    @property
    def int8_bytes(self) -> int:
        """Of the weights in a fully quantized file with batch norms folded: all but the graph itself."""
        return self.kernel_values + INT8_CHANNEL_BYTES * self.channels


@dataclass(frozen=True)
class _Shape:
    """A tensor of which only the shape is known, batch first."""

    shape: tuple[Any, ...]


def cost_of(network: NetworkSpec, *, classes: int, input_shape: tuple[int, int, int]) -> Cost:
    """The cost of the classifier that `catalog.build` would build. Raises UsageError as it does."""
    cost = Cost()
    build.build(
        Layers(_counting(cost)), network, classes=classes, input_shape=input_shape, normalization=Normalization()
    )
    return cost


def _counting(cost: Cost) -> Any:
    layers = SimpleNamespace(
        Rescaling=_same,
        ReLU=_same,
        Dropout=_same,
        Activation=_same,
        Add=_first,
        Multiply=_first,
        Flatten=lambda **_: lambda x: _Shape((x.shape[0], math.prod(x.shape[1:]))),
        ZeroPadding2D=_padded,
        MaxPooling2D=lambda size, stride, **_: lambda x: _pooled(x, lambda side: (side - size) // stride + 1),
        AveragePooling2D=lambda size, stride, **_: lambda x: _pooled(x, lambda side: -(-side // stride)),
        GlobalAveragePooling2D=_averaged,
        BatchNormalization=lambda **_: _normalizing(cost),
        Conv2D=lambda *args, **options: _convolving(cost, *args, **options),
        Dense=lambda units, **_: _dense(cost, units),
    )
    anything = SimpleNamespace(VarianceScaling=_same, HeNormal=_same)
    return SimpleNamespace(
        Input=lambda shape, **_: _Shape((None, *shape)),
        Model=lambda inputs, outputs, **_: outputs,
        layers=layers,
        initializers=anything,
    )


def _same(*_: Any, **__: Any) -> Callable[[Any], Any]:
    return lambda x: x


def _first(**_: Any) -> Callable[[Any], Any]:
    return lambda xs: xs[0]


def _padded(padding: Any, *, data_format: str = "channels_last", **_: Any) -> Callable[[_Shape], _Shape]:
    (top, bottom), (left, right) = ((padding,) * 2,) * 2 if isinstance(padding, int) else padding

    def pad(x: _Shape) -> _Shape:
        batch, *rest = x.shape
        first = 1 if data_format == "channels_first" else 0
        rest[first] += top + bottom
        rest[first + 1] += left + right
        return _Shape((batch, *rest))

    return pad


def _pooled(x: Any, halve: Callable[[int], int]) -> _Shape:
    batch, height, width, channels = x.shape
    return _Shape((batch, halve(height), halve(width), channels))


def _averaged(*, keepdims: bool, **_: Any) -> Callable[[Any], _Shape]:
    return lambda x: _Shape((x.shape[0], 1, 1, x.shape[3]) if keepdims else (x.shape[0], x.shape[3]))


def _normalizing(cost: Cost) -> Callable[[Any], Any]:
    def normalize(x: Any) -> Any:
        cost.trainable += 2 * x.shape[-1]
        cost.statistics += 2 * x.shape[-1]
        return x

    return normalize


def _convolving(
    cost: Cost, filters: int, kernel: int, *, strides: int, padding: str, groups: int, use_bias: bool, **_: Any
) -> Callable[[Any], _Shape]:
    def convolve(x: Any) -> _Shape:
        lost = kernel - 1 if padding == "valid" else 0
        y = _pooled(x, lambda side: -(-(side - lost) // strides))
        values = kernel * kernel * x.shape[-1] // groups * filters
        _add(cost, values, filters, use_bias, times=math.prod(y.shape[1:3]))
        return _Shape((*y.shape[:3], filters))

    return convolve


def _dense(cost: Cost, units: int) -> Callable[[Any], _Shape]:
    def connect(x: Any) -> _Shape:
        _add(cost, x.shape[-1] * units, units, True, times=1)
        return _Shape((x.shape[0], units))

    return connect


def _add(cost: Cost, values: int, channels: int, bias: bool, times: int) -> None:
    cost.trainable += values + (channels if bias else 0)
    cost.kernel_values += values
    cost.channels += channels
    cost.multiply_adds += values * times
