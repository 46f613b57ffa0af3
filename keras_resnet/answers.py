"""From outputs to names and boxes, on any device. Imports nothing but NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

CLASSIFY, LOCALIZE = "classify", "localize"
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


def decoded(
    task: str, outputs: Any, labels: Sequence[str], top: int, sizes: Sequence[tuple[int, int]]
) -> list[list[dict[str, Any]]]:
    """What a network for `task` says of images of (width, height) `sizes`: see `likeliest`, `localized`."""
    return localized(outputs, labels, top, sizes) if task == LOCALIZE else likeliest(outputs, labels, top)


def in_words(found: list[dict[str, Any]]) -> str:
    """One image's answers in a line."""
    named = ", ".join(f"{each['label']} {each['probability']:.1%}" for each in found)
    return named + (f" at {', '.join(f'{value:g}' for value in found[0]['box'])}" if "box" in found[0] else "")
