"""The registry of model families: what a spec may ask of each, and the class in models/ that builds it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """One model family, as far as a spec knows it.

    backbone: "module:class" of its `models.backbone.Backbone`, imported when a network is built.
    settings: the fields of `NetworkSpec`, beside depth and family, that it takes; all others keep their default.
    has_fixed_size: whether a network takes images of one size only. has_pyramid: whether detectors can stand on it.
    """

    backbone: str
    settings: tuple[str, ...]
    has_fixed_size: bool = False
    has_pyramid: bool = True


_UNITS = ("block", "strides", "stem", "cardinality", "base_width", "widen", "width", "keep_ratio", "squeeze_excitation")

FAMILIES: dict[str, Family] = {
    "resnet": Family(
        "keras_resnet.models.resnet:ResNet",
        (
            *("preactivation", "block", "strides", "stem", "shortcut", "resnet_d", "cardinality", "base_width"),
            *("widen", "width", "keep_ratio", "squeeze_excitation", "drop_path", "zero_gamma"),
        ),
    ),
    "plain": Family("keras_resnet.models.plain:Plain", _UNITS),
    "vgg": Family("keras_resnet.models.vgg:VGG", ("width", "batch_norm"), has_fixed_size=True, has_pyramid=False),
}
