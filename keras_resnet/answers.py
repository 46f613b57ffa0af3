"""From outputs to names, boxes and masks, on any device. Imports nothing but NumPy and Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_resnet.detections import objects_of

CLASSIFY, LOCALIZE, DETECT, SEGMENT = "classify", "localize", "detect", "segment"
# Tasks that look at the whole of an image, brought to a square, and not at its centre.
WHOLE = (LOCALIZE, DETECT, SEGMENT)
# Labels that are named of an image, if it is not said how many.
NAMED = 5
# Logits (N, classes), or the outputs of a network that has several, by name.
Outputs = Any


def single(outputs: dict[str, np.ndarray]) -> Outputs:
    """The logits alone where there is nothing else."""
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def likeliest(logits: np.ndarray, labels: Sequence[str], top: int) -> list[list[dict[str, Any]]]:
    """Per sample, the `top` likeliest labels, best first: logits (N, classes) →
    [[{"label": str, "probability": float}, …], …]."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares = exponents / exponents.sum(axis=-1, keepdims=True)
    order = np.argsort(-logits, axis=-1, kind="stable")[:, :top]
    return [
        [{"label": labels[c], "probability": float(share[c])} for c in best]
        for share, best in zip(shares, order, strict=True)
    ]


def localized(
    outputs: dict[str, np.ndarray], labels: Sequence[str], top: int, sizes: Sequence[tuple[int, int]]
) -> list[list[dict[str, Any]]]:
    """The same with the object's "box", left, top, right, bottom in pixels of the image, which was of (width, height)
    `sizes` before it was brought to a square: {"logits": (N, classes), "box": (N, 4)} → …"""
    named = likeliest(outputs["logits"], labels, top)
    boxes = []
    for box, (width, height) in zip(outputs["box"], sizes, strict=True):
        corners = np.clip(box.astype(float) * max(width, height), 0, (width, height, width, height))
        boxes.append([round(float(value), 1) for value in corners])
    return [[{**each, "box": box} for each in found] for found, box in zip(named, boxes, strict=True)]


def decoded(card: Any, outputs: Any, top: int | None, sizes: Sequence[tuple[int, int]]) -> list[list[dict[str, Any]]]:
    """What a network says of images of (width, height) `sizes`: see `likeliest`, `localized`, `detections.objects_of`.
    card: its task, its classes, and the cells of its pyramid, if it has one."""
    if card.task in (DETECT, SEGMENT):
        rows = [{name: value[row] for name, value in outputs.items()} for row in range(len(sizes))]
        return [objects_of(row, card.classes, card.cells, size, top) for row, size in zip(rows, sizes, strict=True)]
    if card.task == LOCALIZE:
        return localized(outputs, card.classes, top or NAMED, sizes)
    return likeliest(outputs, card.classes, top or NAMED)


def in_words(found: list[dict[str, Any]]) -> str:
    """One image's answers in a line."""
    named = [f"{each['label']} {each['probability']:.1%}" for each in found]
    places = [f" at {', '.join(f'{value:g}' for value in each['box'])}" for each in found if "box" in each]
    if len(set(places)) < 2:  # labels of one object, or of the image
        return ", ".join(named) + (places[0] if places else "") if found else "nothing"
    return "; ".join(name + place for name, place in zip(named, places, strict=True))
