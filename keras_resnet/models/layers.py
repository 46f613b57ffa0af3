"""The layers of one Keras, with the house defaults.

No architecture file imports a Keras. A `Layers` holds one (Keras 3 for training and serving,
tf_keras for the twin that tfmot accepts) and a precision, and every network is written once
against it. Precision is a property of the build, never a global policy.

Tensors are NHWC. All layers are named, so that weights can be copied between builds by name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from keras_resnet.config.spec import Normalization

RECURSION = 20_000

# He et al. 2015 train with batch norm momentum 0.9; Keras' default of 0.99 needs hundreds of
# steps before the moving statistics are usable. Epsilon 1e-5 is torchvision's.
NORM_MOMENTUM = 0.9
NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Layers:
    """Layers of `keras` (the module keras or tf_keras) computing in `dtype`, a Keras policy name.

    synchronized: batch statistics are taken over all replicas of a strategy, not per replica.
    normalizer: the layer that normalizes, instead of the Keras' own BatchNormalization.
    """

    keras: Any
    dtype: str = "float32"
    synchronized: bool = False
    normalizer: Any = None

    def input(self, height: int | None, width: int | None, channels: int = 3) -> Any:
        """A (batch, height, width, channels) float32 input named "pixels", values 0–255; None for any size."""
        return self.keras.Input((height, width, channels), dtype="float32", name="pixels")

    def normalize(self, x: Any, normalization: Normalization, *, name: str) -> Any:
        """`(x - mean) / std` per channel, always in float32: bfloat16 keeps only 8 bits of a pixel."""
        scale = [1.0 / std for std in normalization.std]
        offset = [-mean / std for mean, std in zip(normalization.mean, normalization.std, strict=True)]
        return self.keras.layers.Rescaling(scale, offset, dtype="float32", name=name)(x)

    def conv(
        self, x: Any, filters: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = False, name: str
    ) -> Any:
        """A square convolution padded symmetrically by kernel // 2, initialised after He et al. 2015 (fan out).

        With a stride, Keras' own "same" padding is asymmetric; explicit padding is what He et al.,
        torchvision and keras.applications compute.
        """
        padding = "same"
        if stride > 1 and kernel > 1:
            x = self.pad(x, kernel // 2, name=f"{name}_pad")
            padding = "valid"
        layer = self.keras.layers.Conv2D(
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

    def norm(self, x: Any, *, zero_init: bool = False, name: str) -> Any:
        """Batch normalization. `zero_init` starts gamma at 0, so that a residual block starts as
        the identity (Goyal et al. 2017, section 5.1)."""
        options = {"synchronized": True} if self.synchronized else {}
        normalizer = self.normalizer or self.keras.layers.BatchNormalization
        layer = normalizer(
            momentum=NORM_MOMENTUM,
            epsilon=NORM_EPSILON,
            gamma_initializer="zeros" if zero_init else "ones",
            dtype=self.dtype,
            name=name,
            **options,
        )
        return layer(x)

    def relu(self, x: Any, *, name: str) -> Any:
        """Rectified linear unit."""
        return self.keras.layers.ReLU(dtype=self.dtype, name=name)(x)

    def pad(self, x: Any, margin: int, *, name: str) -> Any:
        """`margin` zeros on each side of height and width."""
        return self.keras.layers.ZeroPadding2D(margin, dtype=self.dtype, name=name)(x)

    def pad_channels(self, x: Any, channels: int, *, name: str) -> Any:
        """Zero channels appended until there are `channels` (He et al. 2015, option A).

        ZeroPadding2D pads the last two axes when told that channels come first; on an NHWC tensor
        those are width and channels. So no custom layer is needed.
        """
        extra = channels - int(x.shape[-1])
        layer = self.keras.layers.ZeroPadding2D(
            ((0, 0), (0, extra)), data_format="channels_first", dtype=self.dtype, name=name
        )
        return layer(x)

    def max_pool(self, x: Any, size: int, *, stride: int, name: str) -> Any:
        """Max pooling over `size` × `size`, padded by size // 2 where size is odd and above 1.

        Zero padding is exact here because the input comes from a ReLU and is never negative.
        """
        if size > 1 and size % 2:
            x = self.pad(x, size // 2, name=f"{name}_pad")
        return self.keras.layers.MaxPooling2D(size, stride, padding="valid", dtype=self.dtype, name=name)(x)

    def halve(self, x: Any, *, name: str) -> Any:
        """The mean of each 2 × 2 pixels; at an odd edge of those that are there."""
        return self.keras.layers.AveragePooling2D(2, 2, padding="same", dtype=self.dtype, name=name)(x)

    def mean_pool(self, x: Any, *, keep: bool = False, name: str) -> Any:
        """Mean over height and width: (B, H, W, C) → (B, C), or (B, 1, 1, C) to `keep` them."""
        return self.keras.layers.GlobalAveragePooling2D(keepdims=keep, dtype=self.dtype, name=name)(x)

    def upsample(self, x: Any, like: Any, *, name: str) -> Any:
        """Each pixel of x repeated until it has the height and width of `like`, which are at most twice its own (one
        less where those are odd): (B, h, w, C) → (B, H, W, C)."""
        height, width = int(like.shape[1]), int(like.shape[2])
        factors = (-(-height // int(x.shape[1])), -(-width // int(x.shape[2])))
        x = self.keras.layers.UpSampling2D(factors, dtype=self.dtype, name=name)(x)
        surplus = (int(x.shape[1]) - height, int(x.shape[2]) - width)
        if any(surplus):
            cut = ((0, surplus[0]), (0, surplus[1]))
            x = self.keras.layers.Cropping2D(cut, dtype=self.dtype, name=f"{name}_cut")(x)
        return x

    def sigmoid(self, x: Any, *, name: str) -> Any:
        """1 / (1 + exp(-x))."""
        return self.keras.layers.Activation("sigmoid", dtype=self.dtype, name=name)(x)

    def add(self, x: Any, y: Any, *, name: str) -> Any:
        """Element-wise sum of two tensors of one shape."""
        return self.keras.layers.Add(dtype=self.dtype, name=name)([x, y])

    def multiply(self, x: Any, y: Any, *, name: str) -> Any:
        """Element-wise product; `y` may be (B, 1, 1, C)."""
        return self.keras.layers.Multiply(dtype=self.dtype, name=name)([x, y])

    def drop_path(self, x: Any, rate: float, *, name: str) -> Any:
        """In training, all of a sample's x is zero with chance `rate`, else divided by 1 - rate."""
        return self.keras.layers.Dropout(rate, noise_shape=(None, 1, 1, 1), dtype=self.dtype, name=name)(x)

    def dropout(self, x: Any, rate: float, *, name: str) -> Any:
        """In training, each value is zero with chance `rate`, else divided by 1 - rate (Srivastava et al. 2014)."""
        return self.keras.layers.Dropout(rate, dtype=self.dtype, name=name)(x)

    def flatten(self, x: Any, *, name: str) -> Any:
        """(B, H, W, C) → (B, H × W × C)."""
        return self.keras.layers.Flatten(dtype=self.dtype, name=name)(x)

    def hidden(self, x: Any, units: int, *, name: str) -> Any:
        """A fully connected layer inside a network, initialised after He et al. 2015."""
        initializer = self.keras.initializers.HeNormal()
        return self.keras.layers.Dense(units, kernel_initializer=initializer, dtype=self.dtype, name=name)(x)

    def dense(self, x: Any, units: int, *, name: str) -> Any:
        """The last fully connected layer, computed and returned in float32: losses need the precision."""
        return self.keras.layers.Dense(units, dtype="float32", name=name)(x)

    def predict(self, x: Any, filters: int, kernel: int, *, start: Any = 0.0, name: str) -> Any:
        """The last convolution of a head, computed in float32; its biases begin at `start`, one value or one for each
        filter, and its kernel near 0 (Lin et al. 2017, "Focal loss", section 4.1)."""
        layer = self.keras.layers.Conv2D(
            filters,
            kernel,
            padding="same",
            kernel_initializer=self.keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=self.keras.initializers.Constant(start),
            dtype="float32",
            name=name,
        )
        return layer(x)

    def rows(self, levels: list[Any], *, name: str) -> Any:
        """Cells one after another, of one map after another: float32 [(B, H, W, C), …] → (B, N, C)."""
        flat = [
            self.keras.layers.Reshape(
                (int(x.shape[1]) * int(x.shape[2]), int(x.shape[3])), dtype="float32", name=f"{name}_flat{number}"
            )(x)
            for number, x in enumerate(levels)
        ]
        return self.keras.layers.Concatenate(1, dtype="float32", name=name)(flat) if len(flat) > 1 else flat[0]

    def model(self, inputs: Any, outputs: Any, *, name: str) -> Any:
        """An ordinary functional `keras.Model`."""
        with deep_graphs():
            return self.keras.Model(inputs, outputs, name=name)


@contextmanager
def deep_graphs() -> Iterator[None]:
    """Room for Keras, which walks a model's graph by recursion, a call for each layer: ResNet-1202 has 4,212."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, RECURSION))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
