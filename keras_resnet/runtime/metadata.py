"""What an exported file says of itself: labels, image geometry, provenance. Imports no TensorFlow."""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ExportError
from .predictions import CLASSIFY, WHOLE
from .preprocess import HEAD, kind_of

LABELS = "labels.txt"
CARD = "kresnet.json"
# Where SavedModels keep what TensorFlow does not read.
EXTRA = "assets.extra"
# Bytes of a text in a file's archive, unpacked: labels of the largest data sets take one.
LARGEST_TEXT = 8 * 2**20
# How much larger than its input an image may become before it is cut.
LARGEST_RESIZE = 16


@dataclass(frozen=True)
class ModelMetadata:
    """classes: labels in the order of the logits. resize, image_size: the evaluation transform in pixels. task: which
    decides how an image is placed and what the outputs are (see `answers`). cells: of the levels of a detector's
    pyramid (see `detections`). levels: the values that are black and white in images of more than 8 bits (see
    `pixels.decode`).
    provenance: where the file comes from (run, scheme, versions, normalization in the graph, hashes)."""

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


def card_from(labels: str, details: str, source: Path) -> ModelMetadata:
    """The card of `source` from its two texts. Raises ExportError if they are not ours."""
    try:
        found = json.loads(details)
        sizes = found["resize"], found["image_size"]
        task, cells = found.get("task", CLASSIFY), tuple(found.get("cells", ()))
        levels = tuple(map(float, found.get("levels", ())))
        # Not by splitlines, which also takes characters that a label may hold for ends of lines.
        card = ModelMetadata(
            tuple(labels.removesuffix("\n").split("\n")), *sizes, found["provenance"], task, cells, levels
        )
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise strange(source) from error
    if not _is_card(card):
        raise strange(source)
    return card


def card_in(content: bytes, source: Path) -> ModelMetadata:
    """The card appended to a .tflite file's bytes. Raises ExportError if there is none, or one that is not ours."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            labels, details = (_text(archive, name) for name in (LABELS, CARD))
    except Exception as error:  # zipfile raises a dozen kinds: zlib's, NotImplementedError, struct's among them
        raise strange(source) from error
    return card_from(labels, details, source)


def require_kind(file: Path, wanted: str) -> None:
    """Raises ExportError for a `file` of which the first bytes tell that it is another kind than `wanted`."""
    try:
        with file.open("rb") as stream:
            kind = kind_of(stream.read(HEAD))
    except OSError as error:
        raise ExportError(f"cannot read {file}: {error.strerror}") from error
    if kind:
        raise ExportError(f"{file} is not {wanted}: it is {kind}")


def strange(source: Path) -> ExportError:
    """What to raise for a file without a card."""
    return ExportError(f"{source} holds no labels and image sizes, so it was not exported by kresnet or is damaged")


def _text(archive: zipfile.ZipFile, name: str) -> str:
    """A file of the archive, unpacked no further than it may be long. Raises ValueError where it is longer, or packed
    by a method whose tables may take gigabytes."""
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(name)
    with archive.open(name) as file:
        content = file.read(LARGEST_TEXT + 1)
    if len(content) > LARGEST_TEXT:
        raise ValueError(name)
    return content.decode()


def _is_card(card: ModelMetadata) -> bool:
    """Whether all of it is of its type, and could be."""
    numbers = (card.resize, card.image_size, *card.cells)
    return (
        all(type(each) is int and each > 0 for each in numbers)
        and card.image_size <= card.resize <= LARGEST_RESIZE * card.image_size
        and card.task in (CLASSIFY, *WHOLE)
        and (card.task in WHOLE) == bool(card.cells)
        and isinstance(card.provenance, dict)
        and isinstance(card.provenance.get("scheme"), str)
        and isinstance(card.provenance.get("run", ""), str)
        and (not card.levels or (len(card.levels) == 2 and -np.inf < card.levels[0] < card.levels[1] < np.inf))
        and all(card.classes)
        and (not card.levels or (len(card.levels) == 2 and -math.inf < card.levels[0] < card.levels[1] < math.inf))
    )
