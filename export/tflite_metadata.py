"""TFLite metadata, as MediaPipe Tasks and Android Studio read it: in the FlatBuffer, with files in a zip after it.

The schema is tensorflow/tflite-support's metadata_schema.fbs 1.5; the numbers below are its fields' places.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from keras_resnet.export.flatbuffer import pack_model, unpack_model
from keras_resnet.runtime.confidence import Confidence
from keras_resnet.runtime.metadata import (
    LABELS_FILE,
    METADATA_FILE,
    ModelMetadata,
    describe_channels,
    read_metadata,
)

if TYPE_CHECKING:
    from ai_edge_litert import schema_py_generated as schema

T = TypeVar("T")
ENTRY = b"TFLITE_METADATA"
IDENTIFIER = b"M001"
OLDEST_PARSER = "1.0.0"
ANY_NUMBER_OF_LABELS = "one for each label, whose sigmoid is its probability; predicted from its threshold on"
OUTPUT_DESCRIPTIONS = {
    "logits": "one for each label; the largest is the prediction",
    "scores": "of each location of the pyramid a logit for each label, or the probability of each object",
    "distances": "of each location to the left, top, right and bottom edges of its object, in widths of its cell",
    "coefficients": "of each location, what makes its object's mask of the prototypes",
    "prototypes": "what masks are made of",
    "boxes": "top, left, bottom, right of each object in fractions of the square",
    "classes": "the number of each object's label",
    "count": "how many objects there are",
    "masks": "a logit for each cell of the square, by object",
}


class _Member(int):
    """A member of an enumeration or union of the schema: a byte, where other fields are offsets."""


IMAGE_PROPERTIES, BOX_PROPERTIES, NORMALIZATION, AXIS_LABELS, VALUE_LABELS = map(_Member, (2, 3, 1, 2, 3))
RGB, GRAYSCALE = map(_Member, (1, 2))
BOUNDARIES = _Member(1)
COLOR_SPACES = {1: GRAYSCALE, 3: RGB}
# As MediaPipe's object detector calls the outputs of TFLite's detection operator.
MEDIAPIPE_OUTPUTS = {"boxes": "location", "classes": "category", "scores": "score", "count": "number of detections"}
# Where left, top, right and bottom stand among the four numbers of a box.
LEFT_TOP_RIGHT_BOTTOM = (1, 0, 3, 2)


def write_metadata(file: Path, card: ModelMetadata, pixel_offset: float) -> None:
    """Put `card` into a .tflite file that has none.

    pixel_offset: the value in the file's input that stands for a pixel of 0, 0 or -128, so that a reader knows how to
    fill it.
    """
    model = unpack_model(file.read_bytes())
    metadata = MetadataBuilder(card, pixel_offset, _output_names(model)).build()
    file.write_bytes(_embed_metadata(model, metadata) + _archive(card))


def replace_confidence(content: bytes, confidence: Confidence, source: Path) -> bytes:
    """Return the bytes of a .tflite file with another `confidence` in what follows its FlatBuffer. Raises ExportError
    if it has no metadata of ours."""
    card = read_metadata(content, source)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = min(each.header_offset for each in archive.infolist())
    return content[:start] + _archive(replace(card, confidence=confidence))


def _output_names(model: schema.ModelT) -> list[str]:
    """Return the names that the signature gives the outputs, in their order."""
    names = {each.tensorIndex: each.name.decode() for each in model.signatureDefs[0].outputs}
    return [names[index] for index in model.subgraphs[0].outputs]


def _archive(card: ModelMetadata) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        # A fixed time: the same model gives the same bytes.
        for name, text in ((LABELS_FILE, card.labels()), (METADATA_FILE, json.dumps(card.details(), indent=2))):
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def _embed_metadata(model: schema.ModelT, metadata: bytes) -> bytes:
    """Return the bytes of `model` with `metadata` in a buffer of its own."""
    from ai_edge_litert import schema_py_generated as schema

    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data, entry.name, entry.buffer = list(metadata), ENTRY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    return pack_model(model)


class MetadataBuilder:
    """Builds the FlatBuffer of the metadata. outputs: names in the order of the file's outputs."""

    def __init__(self, card: ModelMetadata, pixel_offset: float, outputs: list[str]) -> None:
        import flatbuffers

        self.card = card
        self.pixel_offset = pixel_offset
        self.outputs = outputs
        self.builder = flatbuffers.Builder(1024)

    @property
    def ends_in_objects(self) -> bool:
        """Whether the file ends in objects rather than in raw outputs or logits."""
        return "count" in self.outputs

    def build(self) -> bytes:
        """Return the bytes."""
        from keras_resnet.tasks import TASKS  # which a process that only times a file does without

        card, text = self.card, self.builder.CreateString
        inputs, outputs = [self._input()], [self._output(name) for name in self.outputs]
        graph = self._table(10, {0: text("resnet"), 2: self._offsets(inputs), 3: self._offsets(outputs)})
        origin = self._table(5, {0: text(METADATA_FILE), 1: text("where this file comes from")})
        model = {
            0: text(str(card.provenance.get("run", card.provenance.get("model", "")))),
            1: text(f"{TASKS[card.task].summary} by a residual network, exported by kresnet"),
            2: text(str(card.provenance.get("versions", {}).get("kresnet", ""))),
            3: self._offsets([graph]),
            6: self._offsets([origin]),
            7: text(OLDEST_PARSER),
        }
        self.builder.Finish(self._table(8, model), IDENTIFIER)
        return bytes(self.builder.Output())

    def _input(self) -> int:
        text, (height, width, channels) = self.builder.CreateString, self.card.input_shape
        low, high = self.pixel_offset, self.pixel_offset + 255
        options = self._table(2, {0: self._floats([-self.pixel_offset]), 1: self._floats([1.0])})
        process = self._table(2, {0: NORMALIZATION, 1: options})
        properties = self._table(2, {0: COLOR_SPACES[channels]} if channels in COLOR_SPACES else {})
        content = self._table(3, {0: IMAGE_PROPERTIES, 1: properties})
        stats = self._table(2, {0: self._floats([high]), 1: self._floats([low])})
        fields = {
            0: text("pixels"),
            1: text(f"{describe_channels(channels)} pixels, {height} × {width}, {low:g} to {high:g}"),
            3: content,
            4: self._offsets([process]),
            5: stats,
        }
        return self._table(7, fields)

    def _output(self, name: str) -> int:
        text, ends_in_objects = self.builder.CreateString, self.ends_in_objects
        shown = MEDIAPIPE_OUTPUTS.get(name, name) if ends_in_objects else name
        is_label_set = self.card.postprocessor.has_thresholds
        fields = {0: text(shown), 1: text(ANY_NUMBER_OF_LABELS if is_label_set else OUTPUT_DESCRIPTIONS[name])}
        if name == ("classes" if ends_in_objects else "scores") or name == "logits":
            kind, words = (VALUE_LABELS, "number") if ends_in_objects else (AXIS_LABELS, "place in the last axis")
            labels = self._table(5, {0: text(LABELS_FILE), 1: text(f"a label a line, by its {words}"), 2: kind})
            fields[6] = self._offsets([labels])
        if ends_in_objects and name == "boxes":
            edges = self._vector(LEFT_TOP_RIGHT_BOTTOM, self.builder.PrependUint32)
            fields[3] = self._table(3, {0: BOX_PROPERTIES, 1: self._table(3, {0: edges, 1: BOUNDARIES})})
        return self._table(7, fields)

    def _table(self, size: int, fields: dict[int, int]) -> int:
        """Add a table of `size` fields with some of them set, by their place in the schema; return its offset."""
        self.builder.StartObject(size)
        for place, value in fields.items():
            if isinstance(value, _Member):
                self.builder.PrependUint8Slot(place, int(value), 0)
            else:
                self.builder.PrependUOffsetTRelativeSlot(place, value, 0)
        return int(self.builder.EndObject())

    def _offsets(self, offsets: Sequence[int]) -> int:
        return self._vector(offsets, self.builder.PrependUOffsetTRelative)

    def _floats(self, values: Sequence[float]) -> int:
        return self._vector(values, self.builder.PrependFloat32)

    def _vector(self, values: Sequence[T], prepend: Callable[[T], None]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            prepend(value)
        return int(self.builder.EndVector())
