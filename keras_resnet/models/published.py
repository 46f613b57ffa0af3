"""Published accuracies of named networks, each with its source.

ImageNet's are of two kinds that must not be compared with each other: of one crop in the middle of each validation
image, as everybody measures today, and averaged over ten crops, as He et al. 2015 did, which gives 2 to 3 points more.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """An accuracy. top1: top-1 accuracy in %. data: of which dataset. source: who measured it, and how."""

    top1: float
    data: str
    source: str


_TORCHVISION = "torchvision 0.29, IMAGENET1K_V1"
_PAPER = "He et al. 2015, table {}"

_TORCHVISION_TOP1 = {
    "resnet18": 69.758,
    "resnet34": 73.314,
    "resnet50": 76.130,
    "resnet101": 77.374,
    "resnet152": 78.312,
    "vgg11": 69.020,
    "vgg13": 69.928,
    "vgg16": 71.592,
    "vgg19": 72.376,
    "vgg11_bn": 70.370,
    "vgg13_bn": 71.586,
    "vgg16_bn": 73.360,
    "vgg19_bn": 74.218,
    "resnext50_32x4d": 77.618,
    "resnext101_32x8d": 79.312,
    "resnext101_64x4d": 83.246,
    "wide_resnet50_2": 78.468,
    "wide_resnet101_2": 78.848,
}
# Errors in %, by table: averaged over ten crops of ImageNet's validation images.
_TEN_CROP_ERROR = {
    2: {"plain18": 27.94, "plain34": 28.54, "resnet18": 27.88, "resnet34": 25.03},
    3: {"vgg16": 28.07, "resnet50": 22.85, "resnet101": 21.75, "resnet152": 21.43},
}
# Test errors in %; CIFAR's images are not cropped.
_CIFAR_ERROR = {
    "resnet20": 8.75,
    "resnet32": 7.51,
    "resnet44": 7.17,
    "resnet56": 6.97,
    "resnet110": 6.43,
    "resnet1202": 7.93,
}

SINGLE_CROP = {
    **{name: Published(top1, "ImageNet", _TORCHVISION) for name, top1 in _TORCHVISION_TOP1.items()},
    **{name: Published(round(100 - error, 2), "CIFAR-10", _PAPER.format(6)) for name, error in _CIFAR_ERROR.items()},
}
TEN_CROP = {
    name: Published(round(100 - error, 2), "ImageNet", _PAPER.format(table))
    for table, errors in _TEN_CROP_ERROR.items()
    for name, error in errors.items()
}
