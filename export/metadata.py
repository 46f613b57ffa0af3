"""What a .tflite file says of itself: labels, image geometry, provenance.

They are appended as a zip archive, which is where TFLite metadata keeps associated files; interpreters
ignore what follows the model.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.errors import ExportError

LABELS = "labels.txt"
CARD = "kresnet.json"


@dataclass(frozen=True)
class Card:
    """classes: labels in the order of the logits. resize, image_size: the evaluation transform in pixels.
    provenance: where the file comes from (run, versions, calibration hash)."""

    classes: tuple[str, ...]
    resize: int
    image_size: int
    provenance: dict[str, Any]


def write_card(file: Path, card: Card) -> None:
    """Append `card` to a .tflite file that has none."""
    details = {"resize": card.resize, "image_size": card.image_size, "provenance": card.provenance}
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(LABELS, "".join(f"{label}\n" for label in card.classes))
        archive.writestr(CARD, json.dumps(details, indent=2))


def read_card(file: Path) -> Card:
    """The card in `file`. Raises ExportError if there is none."""
    try:
        with zipfile.ZipFile(file) as archive:
            labels = archive.read(LABELS).decode().splitlines()
            details = json.loads(archive.read(CARD))
        return Card(tuple(labels), details["resize"], details["image_size"], details["provenance"])
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ExportError(
            f"{file} holds no labels and image sizes, so it was not exported by kresnet or is damaged"
        ) from error
