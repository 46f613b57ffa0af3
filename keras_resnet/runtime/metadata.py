"""Read and write what an exported file says of itself: labels, image geometry, provenance. Imports no TensorFlow."""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .confidence import UNCALIBRATED, Confidence
from .errors import ExportError
from .predictions import POSTPROCESSORS, Postprocessor
from .preprocess import HEAD, MAX_CHANNELS, PREPROCESSORS, ImageSize, Picture, height_and_width, kind_of, preprocess
from .printable import make_printable

LABELS_FILE = "labels.txt"
METADATA_FILE = "kresnet.json"
# Where SavedModels keep what TensorFlow does not read.
EXTRA_ASSETS = "assets.extra"
# Bytes of a text in a file's archive, unpacked: labels of the largest datasets take one.
MAX_TEXT_BYTES = 8 * 2**20
# How much larger than its input an image may become before it is cut.
MAX_RESIZE_RATIO = 16


@dataclass(frozen=True)
class ModelMetadata:
    """classes: labels in the order of the logits. resize, image_size: the evaluation transform in pixels, of squares or
    as (height, width). task: what the network was trained for. preprocessing, postprocessing: how an image is brought
    to the network and what is made of its outputs, as `preprocess.PREPROCESSORS` and `predictions.POSTPROCESSORS` name
    it. cells: of the levels of a detector's pyramid (see `postprocess`). thresholds: of each label the probability from
    which it is predicted, where several labels are. confidence: what `kresnet calibrate` fitted. levels: the values
    that are black and white in images of more than 8 bits (see `preprocess.decode_image`). channels: of the input.
    provenance: where the file comes from (run, scheme, versions, normalization in the graph, hashes)."""

    classes: tuple[str, ...]
    resize: ImageSize
    image_size: ImageSize
    provenance: dict[str, Any]
    task: str = "classify"
    preprocessing: str = "center_crop"
    postprocessing: str = "top_k"
    cells: tuple[int, ...] = ()
    levels: tuple[float, ...] = ()
    channels: int = 3
    thresholds: tuple[float, ...] = ()
    confidence: Confidence = UNCALIBRATED

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The (height, width, channels) of one image as the network takes it."""
        return (*height_and_width(self.image_size), self.channels)

    def preprocess(self, picture: Picture) -> np.ndarray:
        """Bring one image to what the network sees: uint8 of `input_shape`."""
        return preprocess(picture, self.preprocessing, self.resize, self.image_size, self.channels)

    def labels(self) -> str:
        """Return one label a line."""
        return "".join(f"{label}\n" for label in self.classes)

    @property
    def postprocessor(self) -> Postprocessor:
        """What is made of the outputs."""
        return POSTPROCESSORS[self.postprocessing]

    def details(self) -> dict[str, Any]:
        """Return all but the labels, as a JSON object."""
        sizes = {"resize": self.resize, "image_size": self.image_size, "channels": self.channels}
        cells = {"cells": self.cells} if self.cells else {}
        levels = {"levels": self.levels} if self.levels else {}
        thresholds = {"thresholds": self.thresholds} if self.thresholds else {}
        methods = {"preprocessing": self.preprocessing, "postprocessing": self.postprocessing}
        fitted = {**thresholds, **self.confidence.as_dict()}
        return {"task": self.task, **methods, **sizes, **cells, **levels, **fitted, "provenance": self.provenance}


def parse_metadata(labels: str, details: str, source: Path) -> ModelMetadata:
    """Parse the metadata of `source` from its two texts. Raises ExportError if they are not ours."""
    try:
        found = json.loads(details)
        sizes = _parse_size(found["resize"]), _parse_size(found["image_size"])
        task, methods = found["task"], (found["preprocessing"], found["postprocessing"])
        cells = tuple(found.get("cells", ()))
        levels, thresholds = (tuple(map(float, found.get(name, ()))) for name in ("levels", "thresholds"))
        # Not by splitlines, which also takes characters that a label may hold for ends of lines.
        card = ModelMetadata(
            tuple(labels.removesuffix("\n").split("\n")),
            *sizes,
            found["provenance"],
            task,
            *methods,
            cells,
            levels,
            found.get("channels", 3),
            thresholds,
            Confidence.from_dict(found),
        )
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise foreign_file_error(source) from error
    if isinstance(card.preprocessing, str) and card.preprocessing not in PREPROCESSORS:
        raise ExportError(
            f"{source} wants its images prepared by {make_printable(card.preprocessing[:40])!r}, which this version"
            f" does not know ({', '.join(PREPROCESSORS)}): it was exported by a newer kresnet, or is damaged"
        )
    if not _is_valid(card):
        raise foreign_file_error(source)
    return card


def read_metadata(content: bytes, source: Path) -> ModelMetadata:
    """Return the metadata appended to a .tflite file's bytes. Raises ExportError if there is none, or none of ours."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            labels, details = (_text(archive, name) for name in (LABELS_FILE, METADATA_FILE))
    except Exception as error:  # zipfile raises a dozen kinds: zlib's, NotImplementedError, struct's among them
        raise foreign_file_error(source) from error
    return parse_metadata(labels, details, source)


def require_kind(file: Path, wanted: str) -> None:
    """Raise ExportError for a `file` of which the first bytes tell that it is another kind than `wanted`."""
    try:
        with file.open("rb") as stream:
            kind = kind_of(stream.read(HEAD))
    except OSError as error:
        raise ExportError(f"cannot read {file}: {error.strerror}") from error
    if kind:
        raise ExportError(f"{file} is not {wanted}: it is {kind}")


def describe_channels(channels: int) -> str:
    """Return what pixels of so many channels are, in a word that goes before "pixels"."""
    return {1: "gray", 3: "RGB"}.get(channels, f"{channels}-channel")


def foreign_file_error(source: Path) -> ExportError:
    """Return the error for a file without our metadata."""
    return ExportError(f"{source} holds no labels and image sizes, so it was not exported by kresnet or is damaged")


def _text(archive: zipfile.ZipFile, name: str) -> str:
    """Read a file of the archive, unpacked no further than it may be long. Raises ValueError where it is longer, or
    packed by a method whose tables may take gigabytes."""
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(name)
    with archive.open(name) as file:
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError(name)
    return content.decode()


def _parse_size(value: Any) -> ImageSize:
    """Return a size as JSON has it: a side, or [height, width]. Raises TypeError or ValueError for anything else."""
    if not isinstance(value, list):
        return height_and_width(value)[0]
    height, width = value
    return height, width


def _can_have(card: ModelMetadata, confidence: Confidence) -> bool:
    """Return whether what was fitted is that of such a network: a classifier's, a detector's or nothing."""
    if card.postprocessor.has_one_label:
        return not confidence.score_thresholds
    thresholds = confidence.score_thresholds if card.postprocessor.lists_objects else ()
    return len(thresholds) in (0, len(card.classes)) and confidence == Confidence(score_thresholds=thresholds)


def _is_valid(card: ModelMetadata) -> bool:
    """Return whether all of it is of its type, and could be."""
    cut, whole = (height_and_width(size) for size in (card.image_size, card.resize))
    return (
        all(type(each) is int and each > 0 for each in (*cut, *whole, *card.cells, card.channels))
        and all(each <= larger <= MAX_RESIZE_RATIO * each for each, larger in zip(cut, whole, strict=True))
        and card.channels <= MAX_CHANNELS
        and isinstance(card.task, str)
        and isinstance(card.preprocessing, str)
        and isinstance(card.postprocessing, str)
        and card.preprocessing in PREPROCESSORS
        and card.postprocessing in POSTPROCESSORS
        and card.postprocessor.has_boxes == bool(card.cells)
        and len(card.thresholds) == len(card.classes) * card.postprocessor.has_thresholds
        and all(0 <= each <= 1 for each in card.thresholds)
        and _can_have(card, card.confidence)
        and isinstance(card.provenance, dict)
        and isinstance(card.provenance.get("scheme"), str)
        and isinstance(card.provenance.get("run", ""), str)
        and all(card.classes)
        and (not card.levels or (len(card.levels) == 2 and -math.inf < card.levels[0] < card.levels[1] < math.inf))
    )
