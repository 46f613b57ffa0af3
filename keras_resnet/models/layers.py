"""The layers of one Keras in one precision, with this project's defaults: what every network is written against.

No architecture file imports a Keras. A `Layers` holds one (Keras 3 for training and serving, tf_keras for the copy
that tfmot accepts) and a precision, which is thus a property of the build, never a global policy.

Tensors are NHWC. All layers are named, so that weights can be copied between builds by name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from keras_resnet.config.spec import Normalization

if TYPE_CHECKING:
    from keras import Model

RECURSION_LIMIT = 20_000

# He et al. 2015 train with batch norm momentum 0.9; Keras' default of 0.99 needs hundreds of
# steps before the moving statistics are usable. Epsilon 1e-5 is torchvision's.
NORM_MOMENTUM = 0.9
NORM_EPSILON = 1e-5


class Tensor(Protocol):
    """A symbolic tensor of Keras 3 or tf_keras, or of `flops`, which has its shape alone; batch first, NHWC."""

    @property
    def shape(self) -> Any:
        """The sides, None where they are open."""


# A layer takes up what it is called on, and returns its output.
Layer = Callable[..., Tensor]


class LayerClasses(Protocol):
    """The module keras.layers: layer classes by name."""

    def __getattr__(self, name: str) -> Callable[..., Layer]:
        """Return a layer class."""


class KerasNamespace(Protocol):
    """The module keras or tf_keras, as far as networks use it."""

    Input: Callable[..., Tensor]
    Model: Callable[..., Model]
    layers: LayerClasses
    initializers: Any


@dataclass(frozen=True)
class Layers:
    """Layers of `keras` (the module keras or tf_keras) computing in `dtype`, a Keras policy name.

    normalizer, convolution, rectifier: the layer classes to use instead of that Keras' own BatchNormalization, Conv2D
    and ReLU inside a network.
    """

    keras: KerasNamespace
    dtype: str = "float32"
    normalizer: Callable[..., Layer] | None = None
    convolution: Callable[..., Layer] | None = None
    rectifier: Callable[..., Layer] | None = None

    def input(self, height: int | None, width: int | None, channels: int = 3) -> Tensor:
        """Return a (batch, height, width, channels) float32 input named "pixels", values 0–255; None for any size."""
        return self.keras.Input((height, width, channels), dtype="float32", name="pixels")

    def normalize(self, x: Tensor, normalization: Normalization, *, name: str) -> Tensor:
        """Compute `(x - mean) / std` per channel, always in float32: bfloat16 keeps only 8 bits of a pixel."""
        scale = [1.0 / std for std in normalization.std]
        offset = [-mean / std for mean, std in zip(normalization.mean, normalization.std, strict=True)]
        return self.keras.layers.Rescaling(scale, offset, dtype="float32", name=name)(x)

    def conv(
        self, x: Tensor, filters: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = False, name: str
    ) -> Tensor:
        """Add a square convolution padded symmetrically by kernel // 2, initialized after He et al. 2015 (fan out).

        With a stride, Keras' own "same" padding is asymmetric; explicit padding is what He et al.,
        torchvision and keras.applications compute.
        """
        padding = "same"
        if stride > 1 and kernel > 1:
            x = self.pad(x, kernel // 2, name=f"{name}_pad")
            padding = "valid"
        convolution = self.convolution or self.keras.layers.Conv2D
        layer = convolution(
            filters,
            kernel,
            strides=stride,
            padding=padding,
            groups=groups,
            use_bias=bias,
            kernel_initializer=self.keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal"),
            dtype=self.dtype,
            name=name,
        )
        return layer(x)

    def norm(self, x: Tensor, *, zero_init: bool = False, name: str) -> Tensor:
        """Add batch normalization. `zero_init` starts gamma at 0, so that a residual unit starts as the identity
        (Goyal et al. 2017, section 5.1)."""
        normalizer = self.normalizer or self.keras.layers.BatchNormalization
        layer = normalizer(
            momentum=NORM_MOMENTUM,
            epsilon=NORM_EPSILON,
            gamma_initializer="zeros" if zero_init else "ones",
            dtype=self.dtype,
            name=name,
        )
        return layer(x)

    def relu(self, x: Tensor, *, name: str) -> Tensor:
        """Add a rectified linear unit."""
        rectifier = self.rectifier or self.keras.layers.ReLU
        return rectifier(dtype=self.dtype, name=name)(x)

    def pad(self, x: Tensor, margin: int, *, name: str) -> Tensor:
        """Pad height and width by `margin` zeros on each side."""
        return self.keras.layers.ZeroPadding2D(margin, dtype=self.dtype, name=name)(x)

    def pad_channels(self, x: Tensor, channels: int, *, name: str) -> Tensor:
        """Append zero channels until there are `channels` (He et al. 2015, option A).

        ZeroPadding2D pads the last two axes when told that channels come first; on an NHWC tensor
        those are width and channels. So no custom layer is needed.
        """
        extra = channels - int(x.shape[-1])
        layer = self.keras.layers.ZeroPadding2D(
            ((0, 0), (0, extra)), data_format="channels_first", dtype=self.dtype, name=name
        )
        return layer(x)

    def max_pool(self, x: Tensor, size: int, *, stride: int, name: str) -> Tensor:
        """Add max pooling over `size` × `size`, padded by size // 2 where size is odd and above 1.

        Zero padding is exact here because the input comes from a ReLU and is never negative.
        """
        if size > 1 and size % 2:
            x = self.pad(x, size // 2, name=f"{name}_pad")
        return self.keras.layers.MaxPooling2D(size, stride, padding="valid", dtype=self.dtype, name=name)(x)

    def halve(self, x: Tensor, *, name: str) -> Tensor:
        """Average each 2 × 2 pixels; at an odd edge those that are there."""
        return self.keras.layers.AveragePooling2D(2, 2, padding="same", dtype=self.dtype, name=name)(x)

    def mean_pool(self, x: Tensor, *, keepdims: bool = False, name: str) -> Tensor:
        """Average over height and width: (B, H, W, C) → (B, C), or (B, 1, 1, C) with `keepdims`."""
        return self.keras.layers.GlobalAveragePooling2D(keepdims=keepdims, dtype=self.dtype, name=name)(x)

    def upsample(self, x: Tensor, like: Tensor, *, name: str) -> Tensor:
        """Repeat each pixel of x until it has the height and width of `like`, which are at most twice its own (one less
        where those are odd): (B, h, w, C) → (B, H, W, C)."""
        height, width = int(like.shape[1]), int(like.shape[2])
        factors = (-(-height // int(x.shape[1])), -(-width // int(x.shape[2])))
        x = self.keras.layers.UpSampling2D(factors, dtype=self.dtype, name=name)(x)
        surplus = (int(x.shape[1]) - height, int(x.shape[2]) - width)
        if any(surplus):
            cut = ((0, surplus[0]), (0, surplus[1]))
            x = self.keras.layers.Cropping2D(cut, dtype=self.dtype, name=f"{name}_cut")(x)
        return x

    def sigmoid(self, x: Tensor, *, name: str) -> Tensor:
        """Compute 1 / (1 + exp(-x))."""
        return self.keras.layers.Activation("sigmoid", dtype=self.dtype, name=name)(x)

    def add(self, x: Tensor, y: Tensor, *, name: str) -> Tensor:
        """Add two tensors of one shape."""
        return self.keras.layers.Add(dtype=self.dtype, name=name)([x, y])

    def multiply(self, x: Tensor, y: Tensor, *, name: str) -> Tensor:
        """Multiply element-wise; `y` may be (B, 1, 1, C)."""
        return self.keras.layers.Multiply(dtype=self.dtype, name=name)([x, y])

    def drop_path(self, x: Tensor, rate: float, *, name: str) -> Tensor:
        """In training, set all of a sample's x to zero with chance `rate`, else divide it by 1 - rate."""
        return self.keras.layers.Dropout(rate, noise_shape=(None, 1, 1, 1), dtype=self.dtype, name=name)(x)

    def dropout(self, x: Tensor, rate: float, *, name: str) -> Tensor:
        """In training, zero each value with chance `rate`, else divide it by 1 - rate (Srivastava et al. 2014)."""
        return self.keras.layers.Dropout(rate, dtype=self.dtype, name=name)(x)

    def flatten(self, x: Tensor, *, name: str) -> Tensor:
        """Flatten: (B, H, W, C) → (B, H × W × C)."""
        return self.keras.layers.Flatten(dtype=self.dtype, name=name)(x)

    def hidden(self, x: Tensor, units: int, *, name: str) -> Tensor:
        """Add a fully connected layer inside a network, initialized after He et al. 2015."""
        initializer = self.keras.initializers.HeNormal()
        return self.keras.layers.Dense(units, kernel_initializer=initializer, dtype=self.dtype, name=name)(x)

    def dense(self, x: Tensor, units: int, *, name: str) -> Tensor:
        """Add the last fully connected layer, computed and returned in float32: losses need the precision."""
        return self.keras.layers.Dense(units, dtype="float32", name=name)(x)

    def predict(self, x: Tensor, filters: int, kernel: int, *, bias: float = 0.0, name: str) -> Tensor:
        """Add the last convolution of a head, computed in float32; its biases start at `bias` and its kernel near 0
        (Lin et al. 2017, "Focal loss", section 4.1)."""
        layer = self.keras.layers.Conv2D(
            filters,
            kernel,
            padding="same",
            kernel_initializer=self.keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=self.keras.initializers.Constant(bias),
            dtype="float32",
            name=name,
        )
        return layer(x)

    def concatenate_levels(self, levels: Sequence[Tensor], *, name: str) -> Tensor:
        """Concatenate the anchor points of all levels: float32 [(B, H, W, C), …] → (B, N, C)."""
        flat = [
            self.keras.layers.Reshape(
                (int(x.shape[1]) * int(x.shape[2]), int(x.shape[3])), dtype="float32", name=f"{name}_flat{number}"
            )(x)
            for number, x in enumerate(levels)
        ]
        return self.keras.layers.Concatenate(1, dtype="float32", name=name)(flat) if len(flat) > 1 else flat[0]

    def model(self, inputs: Tensor, outputs: Tensor | Mapping[str, Tensor], *, name: str) -> Model:
        """Return an ordinary functional model."""
        with deep_graphs():
            return self.keras.Model(inputs, outputs, name=name)


@contextmanager
def deep_graphs() -> Iterator[None]:
    """Raise the recursion limit for Keras, which walks a model's graph by recursion: ResNet-1202 has 4,212 layers."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def scale_filters(filters: int, width: float) -> int:
    """Return `filters` times `width`, to the nearest multiple of 8 and at least 8 (vector units work in eights)."""
    return filters if width == 1 else max(8, 8 * round(filters * width / 8))
