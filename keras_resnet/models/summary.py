"""The table of all networks: parameters, multiply-adds, bytes and published accuracies."""

from __future__ import annotations

from typing import TypedDict

from keras_resnet.errors import UsageError
from keras_resnet.models.flops import count_cost
from keras_resnet.models.names import CIFAR, IMAGENET, parse_model_name
from keras_resnet.models.published import SINGLE_CROP, TEN_CROP
from keras_resnet.runtime.plurals import counted


class ModelSummary(TypedDict):
    """One network. parameters: those that training changes. multiply_adds: of one image. int8_bytes: of the quantized
    weights. top1: published, in %, of one crop of each image of `data`, by `source`; top1_10crop: averaged over ten
    crops, by `source_10crop`, which is 2 to 3 points more; None where we know of none."""

    network: str
    image_size: int
    classes: int
    parameters: int
    statistics: int
    multiply_adds: int
    int8_bytes: int
    top1: float | None
    data: str | None
    source: str | None
    top1_10crop: float | None
    source_10crop: str | None


def summarize_models(
    depth: int | None = None, classes: int | None = None, image_size: int | None = None
) -> list[ModelSummary]:
    """Return a row for each network with a name, or of one `depth`, counted as the papers do: for ImageNet (224 pixels,
    1,000 classes) or CIFAR-10 (32 pixels, 10 classes), unless `classes` or `image_size` (pixels) say otherwise.

    Raises UsageError for a depth that no listed network has.
    """
    listed = [(name, 1000, 224) for name in IMAGENET] + [(name, 10, 32) for name in CIFAR]
    rows = [
        _summarize(name, classes or default_classes, image_size or default_size)
        for name, default_classes, default_size in listed
        if depth is None or parse_model_name(name).depth == depth
    ]
    if not rows:
        depths = sorted({parse_model_name(name).depth for name in IMAGENET + CIFAR})
        raise UsageError(
            f"no network is listed with {counted(depth or 0, 'layer')}. Listed: {', '.join(map(str, depths))}"
        )
    return rows


def _summarize(name: str, classes: int, image_size: int) -> ModelSummary:
    cost = count_cost(parse_model_name(name), classes=classes, input_shape=(image_size, image_size, 3))
    single, ten = SINGLE_CROP.get(name), TEN_CROP.get(name)
    return {
        "network": name,
        "image_size": image_size,
        "classes": classes,
        "parameters": cost.trainable,
        "statistics": cost.statistics,
        "multiply_adds": cost.multiply_adds,
        "int8_bytes": cost.int8_bytes,
        "top1": single.top1 if single else None,
        "data": single.data if single else ten.data if ten else None,
        "source": single.source if single else None,
        "top1_10crop": ten.top1 if ten else None,
        "source_10crop": ten.source if ten else None,
    }
