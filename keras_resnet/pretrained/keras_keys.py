"""Map the layer names of keras.applications' ResNet and VGG to ours."""

from __future__ import annotations

import re

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.errors import WeightsError
from keras_resnet.models.layers import NORM_EPSILON
from keras_resnet.pretrained.weights import CAFFE_NORMALIZATION, LayerArrays, Weights

# keras.applications' batch norms add this to the variance.
KERAS_EPSILON = 1.001e-5
# Units of the third stage → depth.
KERAS_DEPTHS = {6: 50, 23: 101, 36: 152}


def map_keras_resnet(theirs: LayerArrays) -> Weights:
    """Map a ResNet of keras.applications. Its convolutions have a bias, which moves into the mean of the norm that
    follows."""
    blocks = max(int(match[1]) for name in theirs if (match := re.match(r"conv4_block(\d+)_", name)))
    if blocks not in KERAS_DEPTHS:
        raise WeightsError(f"keras.applications has no ResNet with {blocks} blocks in its third stage")
    if "conv5_block1_1_conv" not in theirs:
        raise WeightsError("it is incomplete: the layers of conv5 are missing")
    layers: LayerArrays = {}
    for name, arrays in theirs.items():
        if (ours := _keras_resnet_layer(name)) and name.endswith("_conv"):
            layers[ours] = [arrays[0]]
            gamma, beta, mean, variance = theirs[name.removesuffix("_conv") + "_bn"]
            bias = arrays[1] if len(arrays) > 1 else 0.0
            norm = "stem_norm" if ours == "stem_conv" else _norm_after(ours)
            layers[norm] = [gamma, beta, mean - bias, variance + (KERAS_EPSILON - NORM_EPSILON)]
    layers["stem_conv"] = [layers["stem_conv"][0][:, :, ::-1]]  # trained on BGR
    layers |= {"logits": theirs["predictions"]} if "predictions" in theirs else {}
    known = {name for name in theirs if _keras_resnet_layer(name)} | {"predictions"}
    network = NetworkSpec(KERAS_DEPTHS[blocks], strides="1x1", stem="imagenet")
    return Weights(layers, network, CAFFE_NORMALIZATION, 224, 256, tuple(sorted(set(theirs) - known)))


def _keras_resnet_layer(name: str) -> str | None:
    if name in ("conv1_conv", "conv1_bn"):
        return "stem_conv"
    if match := re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", name):
        stage, unit, number, _ = match.groups()
        part = "proj" if number == "0" else f"conv{number}"
        return f"stage{int(stage) - 1}_unit{unit}_{part}"
    return None


def _norm_after(conv: str) -> str:
    """Return the batch norm after one of our convolutions."""
    return f"{conv}_norm" if conv.endswith("proj") else conv.replace("_conv", "_norm")


def map_keras_vgg(theirs: LayerArrays) -> Weights:
    """Map a VGG of keras.applications, which has our names; its first kernel was trained on BGR."""
    names = {"predictions": "logits"}
    layers = {names.get(name, name): arrays for name, arrays in theirs.items()}
    first, *rest = layers["block1_conv1"]
    layers["block1_conv1"] = [first[:, :, ::-1], *rest]
    depth = sum(bool(re.match(r"block\d_conv", name)) for name in theirs) + 3
    return Weights(layers, NetworkSpec(depth, "vgg", batch_norm=False), CAFFE_NORMALIZATION, 224, 256)
