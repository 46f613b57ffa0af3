"""Check whether a file takes and gives what its metadata say. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ExportError
from .metadata import ModelMetadata
from .plurals import counted
from .postprocess import CONDINST_COEFFICIENTS, CONDINST_PROTOTYPES
from .predictions import Outputs, name_outputs

Shape = tuple[int, ...]


def require_input(card: ModelMetadata, shape: Sequence[Any], source: Path) -> None:
    """Raise ExportError unless an input of `shape` takes images of the card's size, any number of them at a time."""
    if tuple(shape[1:]) != card.input_shape:
        raise ExportError(
            f"{source} is damaged: its input is {_words(shape)}, but its images are said to be"
            f" {_words(card.input_shape)}"
        )


def require_outputs(card: ModelMetadata, outputs: Outputs, source: Path) -> None:
    """Raise ExportError unless what was made of one image has the shapes that the metadata's task and labels ask
    for."""
    shapes = {name: np.shape(each) for name, each in name_outputs(outputs).items()}
    fits = _fits_objects if card.postprocessor.has_boxes else _fits_classes
    if any(shape[:1] != (1,) for shape in shapes.values()) or not fits(
        card, {name: shape[1:] for name, shape in shapes.items()}
    ):
        described = ", ".join(f"{name} {_words(shape)}" for name, shape in shapes.items())
        raise ExportError(
            f"{source} is damaged: its outputs are {described}; the task {card.task} with"
            f" {counted(len(card.classes), 'label')} has"
            " others"
        )


def _fits_classes(card: ModelMetadata, shapes: dict[str, Shape]) -> bool:
    return shapes == {"logits": (len(card.classes),)}


def _fits_objects(card: ModelMetadata, shapes: dict[str, Shape]) -> bool:
    """Return whether they are what `postprocess.decode_outputs` takes: objects, or what objects are made of."""
    wanted: dict[str, Shape]
    masks: dict[str, Shape]
    if "count" in shapes:
        n = (shapes.get("boxes") or (0,))[0]
        wanted = {"boxes": (n, 4), "classes": (n,), "scores": (n,), "count": ()}
        masks = {name: shape for name, shape in shapes.items() if name == "masks" and len(shape) == 3 and shape[0] == n}
    else:
        n = sum(side**2 for side in card.cells)
        wanted = {"scores": (n, len(card.classes)), "distances": (n, 4)}
        masks = _mask_parts(n, shapes)
    return shapes == {**wanted, **masks}


def _mask_parts(n: int, shapes: dict[str, Shape]) -> dict[str, Shape]:
    """Return the shapes of what makes masks for `n` locations, where all of it is there and fits together."""
    weights, seen = shapes.get("coefficients", ()), shapes.get("prototypes", ())
    if len(weights) != 2 or len(seen) != 3 or weights[0] != n:
        return {}
    if weights[1] != seen[2] and (weights[1], seen[2]) != (CONDINST_COEFFICIENTS, CONDINST_PROTOTYPES):
        return {}
    return {"coefficients": weights, "prototypes": seen}


def _words(shape: Sequence[Any]) -> str:
    return " × ".join(map(str, shape)) or "one number"
