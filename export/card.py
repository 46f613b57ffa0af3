"""What an exported file says of itself: labels, image geometry, provenance. Imports no TensorFlow."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.answers import CLASSIFY
from keras_resnet.errors import ExportError

LABELS = "labels.txt"
CARD = "kresnet.json"
# Where SavedModels keep what TensorFlow does not read.
EXTRA = "assets.extra"


@dataclass(frozen=True)
class Card:
    """classes: labels in the order of the logits. resize, image_size: the evaluation transform in pixels. task: which
    decides how an image is placed and what the outputs are (see `answers`). cells: of the levels of a detector's
    pyramid (see `detections`). levels: the values that are black and white in images of more than 8 bits (see
    `pixels.decode`).
    provenance: where the file comes from (run, form, versions, normalization in the graph, hashes)."""

    classes: tuple[str, ...]
    resize: int
    image_size: int
    provenance: dict[str, Any]
    task: str = CLASSIFY
    cells: tuple[int, ...] = ()
    levels: tuple[float, ...] = ()

    def labels(self) -> str:
        """One label a line."""
        return "".join(f"{label}\n" for label in self.classes)

    def details(self) -> dict[str, Any]:
        """All but the labels, as a JSON object."""
        sizes = {"resize": self.resize, "image_size": self.image_size}
        cells = {"cells": self.cells} if self.cells else {}
        levels = {"levels": self.levels} if self.levels else {}
        return {"task": self.task, **sizes, **cells, **levels, "provenance": self.provenance}


def card_from(labels: str, details: str, source: Path) -> Card:
    """The card of `source` from its two texts. Raises ExportError if they are not ours."""
    try:
        found = json.loads(details)
        sizes = found["resize"], found["image_size"]
        task, cells = found.get("task", CLASSIFY), tuple(found.get("cells", ()))
        levels = tuple(map(float, found.get("levels", ())))
        return Card(tuple(labels.splitlines()), *sizes, found["provenance"], task, cells, levels)
    except (KeyError, ValueError, TypeError) as error:
        raise strange(source) from error


def card_in(content: bytes, source: Path) -> Card:
    """The card appended to a .tflite file's bytes. Raises ExportError if there is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            labels, details = archive.read(LABELS).decode(), archive.read(CARD).decode()
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise strange(source) from error
    return card_from(labels, details, source)


def strange(source: Path) -> ExportError:
    """What to raise for a file without a card."""
    return ExportError(f"{source} holds no labels and image sizes, so it was not exported by kresnet or is damaged")
