"""Count a network's parameters and multiply-adds from its definition, without building it and without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING

from keras_resnet.config.spec import NetworkSpec, Normalization
from keras_resnet.models.build import build_classifier
from keras_resnet.models.layers import KerasNamespace, Layers, Tensor

if TYPE_CHECKING:
    from keras import Model

# Of each channel of an int8 file: an int32 bias, a float32 scale and an int64 zero point.
INT8_CHANNEL_BYTES = 4 + 4 + 8


@dataclass
class Cost:
    """What one network needs.

    trainable: parameters that training changes; statistics: moving means and variances of batch norms.
    multiply_adds: of the convolutions and dense layers for one image, as He et al. 2015, table 1 counts.
    kernel_values, channels: of convolutions and dense layers; kernels: how many of these there are.
    largest_layer: values of the inputs and outputs of the convolution that has most of them, for one image.
    """

    trainable: int = 0
    statistics: int = 0
    multiply_adds: int = 0
    kernel_values: int = 0
    channels: int = 0
    kernels: int = 0
    largest_layer: int = 0

    @property
    def int8_bytes(self) -> int:
        """Of the weights in a fully quantized file with batch norms folded: all but the graph itself."""
        return self.kernel_values + INT8_CHANNEL_BYTES * self.channels

    def add_kernel(self, values: int, channels: int, *, bias: bool, positions: int) -> None:
        """Count a layer with a kernel of `values`, applied at so many `positions` of one image."""
        self.trainable += values + (channels if bias else 0)
        self.kernel_values += values
        self.kernels += 1
        self.channels += channels
        self.multiply_adds += values * positions


def count_cost(network: NetworkSpec, *, classes: int, input_shape: tuple[int, int, int]) -> Cost:
    """Return the cost of the classifier that `build_classifier` would build. Raises UsageError as it does."""
    layers = CountingLayers()
    build_classifier(layers, network, classes=classes, input_shape=input_shape, normalization=Normalization())
    return layers.cost


@dataclass(frozen=True)
class Shape:
    """A tensor of which only the shape is known, batch first."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class CountingLayers(Layers):
    """Layers that compute shapes and add up what they cost."""

    keras: KerasNamespace = field(
        default_factory=lambda: SimpleNamespace(Input=None, Model=None, layers=None, initializers=None)
    )
    cost: Cost = field(default_factory=Cost)

    def input(self, height: int | None, width: int | None, channels: int = 3) -> Tensor:
        """Return one image."""
        assert height is not None and width is not None, "the cost depends on the image size"
        return Shape((1, height, width, channels))

    def normalize(self, x: Tensor, normalization: Normalization, *, name: str) -> Tensor:
        """Count nothing."""
        return x

    def conv(
        self, x: Tensor, filters: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = False, name: str
    ) -> Tensor:
        """Count a convolution."""
        y = _divide(x, stride, filters)
        values = kernel * kernel * x.shape[-1] // groups * filters
        self.cost.add_kernel(values, filters, bias=bias, positions=math.prod(y.shape[1:3]))
        self.cost.largest_layer = max(self.cost.largest_layer, math.prod(x.shape) + math.prod(y.shape))
        return y

    def norm(self, x: Tensor, *, zero_init: bool = False, name: str) -> Tensor:
        """Count scales and offsets, and the moving statistics."""
        self.cost.trainable += 2 * x.shape[-1]
        self.cost.statistics += 2 * x.shape[-1]
        return x

    def relu(self, x: Tensor, *, name: str) -> Tensor:
        """Count nothing."""
        return x

    def pad_channels(self, x: Tensor, channels: int, *, name: str) -> Tensor:
        """Return x with more channels."""
        return _divide(x, 1, channels)

    def max_pool(self, x: Tensor, size: int, *, stride: int, name: str) -> Tensor:
        """Return x with fewer pixels: an odd size is padded, an even one leaves out what does not fill a window."""
        batch, height, width, channels = x.shape
        return _divide(x, stride, channels) if size % 2 else Shape((batch, height // stride, width // stride, channels))

    def halve(self, x: Tensor, *, name: str) -> Tensor:
        """Return x with half the height and width."""
        return _divide(x, 2, x.shape[-1])

    def mean_pool(self, x: Tensor, *, keepdims: bool = False, name: str) -> Tensor:
        """Return one pixel, or none."""
        batch, _, _, channels = x.shape
        return Shape((batch, 1, 1, channels) if keepdims else (batch, channels))

    def sigmoid(self, x: Tensor, *, name: str) -> Tensor:
        """Count nothing."""
        return x

    def add(self, x: Tensor, y: Tensor, *, name: str) -> Tensor:
        """Count nothing."""
        return x

    def multiply(self, x: Tensor, y: Tensor, *, name: str) -> Tensor:
        """Count nothing."""
        return x

    def drop_path(self, x: Tensor, rate: float, *, name: str) -> Tensor:
        """Count nothing."""
        return x

    def dropout(self, x: Tensor, rate: float, *, name: str) -> Tensor:
        """Count nothing."""
        return x

    def flatten(self, x: Tensor, *, name: str) -> Tensor:
        """Return all values in a row."""
        return Shape((x.shape[0], math.prod(x.shape[1:])))

    def hidden(self, x: Tensor, units: int, *, name: str) -> Tensor:
        """Count a fully connected layer."""
        self.cost.add_kernel(x.shape[-1] * units, units, bias=True, positions=1)
        return Shape((x.shape[0], units))

    def dense(self, x: Tensor, units: int, *, name: str) -> Tensor:
        """Count the last fully connected layer."""
        return self.hidden(x, units, name=name)

    def model(self, inputs: Tensor, outputs: Tensor | Mapping[str, Tensor], *, name: str) -> Model:
        """Return the outputs: there is no model."""
        return outputs


def _divide(x: Tensor, stride: int, channels: int) -> Shape:
    """Return the shape after a symmetrically padded window of that stride."""
    batch, height, width, _ = x.shape
    return Shape((batch, -(-height // stride), -(-width // stride), channels))
