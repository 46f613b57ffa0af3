"""The catalog as a table."""

from __future__ import annotations

from typing import Any

from keras_resnet.errors import UsageError
from keras_resnet.models.flops import cost_of
from keras_resnet.models.names import CIFAR, IMAGENET, parse_model_name
from keras_resnet.models.published import PUBLISHED
from keras_resnet.runtime.plurals import counted


def rows_of(
    depth: int | None = None, classes: int | None = None, image_size: int | None = None
) -> list[dict[str, Any]]:
    """A row for each network of the catalog, or of one `depth`, counted as the papers do: for ImageNet (224 pixels,
    1,000 classes) or CIFAR-10 (32 pixels, 10 classes), unless `classes` or `image_size` (pixels) say otherwise.

    parameters: those that training changes. multiply_adds: of one image. int8_bytes: of the quantized weights.
    top1: published, in %, on `data`, by `source`; None where we know of none. Raises UsageError for a depth
    that no listed network has.
    """
    listed = [(name, 1000, 224) for name in IMAGENET] + [(name, 10, 32) for name in CIFAR]
    rows = [
        _row(name, classes or usual_classes, image_size or usual_size)
        for name, usual_classes, usual_size in listed
        if depth is None or parse_model_name(name).depth == depth
    ]
    if not rows:
        depths = sorted({parse_model_name(name).depth for name in IMAGENET + CIFAR})
        raise UsageError(
            f"no network is listed with {counted(depth or 0, 'layer')}. Listed: {', '.join(map(str, depths))}"
        )
    return rows


def _row(name: str, classes: int, image_size: int) -> dict[str, Any]:
    cost = cost_of(parse_model_name(name), classes=classes, input_shape=(image_size, image_size, 3))
    published = PUBLISHED.get(name)
    return {
        "network": name,
        "image_size": image_size,
        "classes": classes,
        "parameters": cost.trainable,
        "statistics": cost.statistics,
        "multiply_adds": cost.multiply_adds,
        "int8_bytes": cost.int8_bytes,
        "top1": published.top1 if published else None,
        "data": published.data if published else None,
        "source": published.source if published else None,
    }
