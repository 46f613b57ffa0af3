"""The layers of one Keras, with the house defaults.

No architecture file imports a Keras. A `Bricks` holds one (Keras 3 for training and serving,
tf_keras for the twin that tfmot accepts) and a precision, and every network is written once
against it. Precision is a property of the build, never a global policy.

Tensors are NHWC. All layers are named, so that weights can be copied between builds by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_resnet.spec import Normalization

# He et al. 2015 train with batch norm momentum 0.9; Keras' default of 0.99 needs hundreds of
# steps before the moving statistics are usable. Epsilon 1e-5 is torchvision's.
NORM_MOMENTUM = 0.9
NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Bricks:
    """Layers of `keras` (the module keras or tf_keras) computing in `dtype`, a Keras policy name.

    synchronized: batch statistics are taken over all replicas of a strategy, not per replica.
    """

    keras: Any
    dtype: str = "float32"
    synchronized: bool = False

    def input(self, height: int, width: int, channels: int = 3) -> Any:
        """A (batch, height, width, channels) float32 input named "pixels", values 0–255."""
        return self.keras.Input((height, width, channels), dtype="float32", name="pixels")

    def normalize(self, x: Any, normalization: Normalization, *, name: str) -> Any:
        """`(x - mean) / std` per channel, always in float32: bfloat16 keeps only 8 bits of a pixel."""
        scale = [1.0 / std for std in normalization.std]
        offset = [-mean / std for mean, std in zip(normalization.mean, normalization.std, strict=True)]
        return self.keras.layers.Rescaling(scale, offset, dtype="float32", name=name)(x)

    def conv(self, x: Any, filters: int, kernel: int, *, stride: int = 1, name: str) -> Any:
        """A square convolution without bias, padded symmetrically by kernel // 2.

        With a stride, Keras' own "same" padding is asymmetric; explicit padding is what He et al.,
        torchvision and keras.applications compute. Initialised after He et al. 2015 (fan out).
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
            use_bias=False,
            kernel_initializer=self.keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal"),
            dtype=self.dtype,
            name=name,
        )
        return layer(x)

    def norm(self, x: Any, *, zero_init: bool = False, name: str) -> Any:
        """Batch normalization. `zero_init` starts gamma at 0, so that a residual block starts as
        the identity (Goyal et al. 2017, section 5.1)."""
        options = {"synchronized": True} if self.synchronized else {}
        layer = self.keras.layers.BatchNormalization(
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
        """Max pooling over `size` × `size`, padded by size // 2 where size > 1.

        Zero padding is exact here because the input comes from a ReLU and is never negative.
        """
        if size > 1:
            x = self.pad(x, size // 2, name=f"{name}_pad")
        return self.keras.layers.MaxPooling2D(size, stride, padding="valid", dtype=self.dtype, name=name)(x)

    def mean_pool(self, x: Any, *, name: str) -> Any:
        """Mean over height and width: (B, H, W, C) → (B, C)."""
        return self.keras.layers.GlobalAveragePooling2D(dtype=self.dtype, name=name)(x)

    def add(self, x: Any, y: Any, *, name: str) -> Any:
        """Element-wise sum of two tensors of one shape."""
        return self.keras.layers.Add(dtype=self.dtype, name=name)([x, y])

    def dense(self, x: Any, units: int, *, name: str) -> Any:
        """A fully connected layer, computed and returned in float32: losses need the precision."""
        return self.keras.layers.Dense(units, dtype="float32", name=name)(x)

    def model(self, inputs: Any, outputs: Any, *, name: str) -> Any:
        """An ordinary functional `keras.Model`."""
        return self.keras.Model(inputs, outputs, name=name)
