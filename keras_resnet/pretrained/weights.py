"""Weights in the names of this project, with the network they are of and its preprocessing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from keras_resnet.config.image_size import ImageSize
from keras_resnet.config.spec import NetworkSpec, Normalization

# Arrays by tensor name, as PyTorch keeps them, or lists of arrays by layer name, as Keras does.
StateDict = dict[str, np.ndarray] | dict[str, list[np.ndarray]]
# Arrays by our layer names, in Keras' order: kernel, bias; gamma, beta, moving mean, moving variance.
LayerArrays = dict[str, list[np.ndarray]]

# torchvision's and timm's means and deviations of ImageNet, for pixels in 0–255.
IMAGENET_NORMALIZATION = Normalization((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255))
# Krizhevsky's means of ImageNet in RGB, as the Caffe models that keras.applications follows subtract them.
CAFFE_NORMALIZATION = Normalization((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Weights:
    """Weights by our layer names. network: what they are of (None if the names do not tell); unused: names in the file
    that have no place in it; image_size, resize: pixels, of squares or as (height, width), as they were trained."""

    layers: LayerArrays
    network: NetworkSpec | None
    normalization: Normalization | None = None
    image_size: ImageSize | None = None
    resize: ImageSize | None = None
    unused: tuple[str, ...] = field(default=())
