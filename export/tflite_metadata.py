"""TFLite metadata, as MediaPipe Tasks and Android Studio read it: written into the FlatBuffer, files in a zip after it.

The schema is tensorflow/tflite-support's metadata_schema.fbs 1.5; the numbers below are its fields' places.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_resnet.export.flatbuffer import pack_model
from keras_resnet.runtime.metadata import CARD, LABELS, ModelMetadata
from keras_resnet.runtime.predictions import CLASSIFY, DETECT, LOCALIZE, SEGMENT

ENTRY = b"TFLITE_METADATA"
IDENTIFIER = b"M001"
OLDEST_PARSER = "1.0.0"
TASK_DESCRIPTIONS = {
    CLASSIFY: "Image classification",
    LOCALIZE: "Localization of an image's main object",
    DETECT: "Detection of objects",
    SEGMENT: "Detection of objects and their masks",
}
OUTPUT_DESCRIPTIONS = {
    "logits": "one for each label; the largest is the answer",
    "scores": "of each location of the pyramid a logit for each label, or the probability of each object",
    "distances": "of each location to the left, top, right and bottom edges of its object, in widths of its cell",
    "coefficients": "of each location, what makes its object's mask of the prototypes",
    "prototypes": "what masks are made of",
    "boxes": "top, left, bottom, right of each object in shares of the square",
    "classes": "the number of each object's label",
    "count": "how many objects there are",
    "masks": "a logit for each cell of the square, by object",
}


class _Member(int):
    """A member of an enumeration or union of the schema: a byte, where other fields are offsets."""


IMAGE_PROPERTIES, BOX_PROPERTIES, NORMALIZATION, RGB, AXIS_LABELS, VALUE_LABELS = map(_Member, (2, 3, 1, 1, 2, 3))
BOUNDARIES = _Member(1)
# As MediaPipe's object detector calls the outputs of TFLite's detection operator.
MEDIAPIPE_OUTPUTS = {"boxes": "location", "classes": "category", "scores": "score", "count": "number of detections"}
# Where left, top, right and bottom stand among the four numbers of a box.
LEFT_TOP_RIGHT_BOTTOM = (1, 0, 3, 2)


def write_metadata(file: Path, card: ModelMetadata, pixels_from: float) -> None:
    """Put `card` into a .tflite file that has none.

    pixels_from: what a pixel of 0 is in the file's input, 0 or -128, so that a reader knows how to fill it.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    file.write_bytes(_with_metadata(model, _metadata(card, pixels_from, _outputs(model))) + _archive(card))


def _outputs(model: Any) -> list[str]:
    """The names that the signature gives the outputs, in their order."""
    names = {each.tensorIndex: each.name.decode() for each in model.signatureDefs[0].outputs}
    return [names[index] for index in model.subgraphs[0].outputs]


def _archive(card: ModelMetadata) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        # A fixed time: the same model gives the same bytes.
        for name, text in ((LABELS, card.labels()), (CARD, json.dumps(card.details(), indent=2))):
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def _with_metadata(model: Any, metadata: bytes) -> bytes:
    from ai_edge_litert import schema_py_generated as schema

    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data, entry.name, entry.buffer = list(metadata), ENTRY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    return pack_model(model)


def _metadata(card: ModelMetadata, pixels_from: float, outputs: list[str]) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    text = builder.CreateString
    low, high = pixels_from, pixels_from + 255
    options = _table(builder, 2, {0: _floats(builder, [-pixels_from]), 1: _floats(builder, [1.0])})
    process = _table(builder, 2, {0: NORMALIZATION, 1: options})
    properties = _table(builder, 2, {0: RGB})
    content = _table(builder, 3, {0: IMAGE_PROPERTIES, 1: properties})
    stats = _table(builder, 2, {0: _floats(builder, [high]), 1: _floats(builder, [low])})
    taken = {
        0: text("pixels"),
        1: text(f"RGB pixels, {card.image_size} × {card.image_size}, {low:g} to {high:g}"),
        3: content,
        4: _vector(builder, [process]),
        5: stats,
    }
    pixels = _table(builder, 7, taken)
    given = [_given(builder, name, "count" in outputs) for name in outputs]
    graph = _table(builder, 10, {0: text("resnet"), 2: _vector(builder, [pixels]), 3: _vector(builder, given)})
    origin = _table(builder, 5, {0: text(CARD), 1: text("where this file comes from")})
    model = {
        0: text(str(card.provenance.get("run", card.provenance.get("model", "")))),
        1: text(f"{TASK_DESCRIPTIONS[card.task]} by a residual network, exported by kresnet"),
        2: text(str(card.provenance.get("versions", {}).get("kresnet", ""))),
        3: _vector(builder, [graph]),
        6: _vector(builder, [origin]),
        7: text(OLDEST_PARSER),
    }
    builder.Finish(_table(builder, 8, model), IDENTIFIER)
    return bytes(builder.Output())


def _given(builder: Any, name: str, objects: bool) -> int:
    """The output `name`, of a file that ends in `objects` or in what they are made of."""
    text = builder.CreateString
    fields = {0: text(MEDIAPIPE_OUTPUTS.get(name, name) if objects else name), 1: text(OUTPUT_DESCRIPTIONS[name])}
    if name == ("classes" if objects else "scores") or name == "logits":
        kind, words = (VALUE_LABELS, "number") if objects else (AXIS_LABELS, "place in the last axis")
        labels = _table(builder, 5, {0: text(LABELS), 1: text(f"a label a line, by its {words}"), 2: kind})
        fields[6] = _vector(builder, [labels])
    if objects and name == "boxes":
        places = _filled(builder, LEFT_TOP_RIGHT_BOTTOM, builder.PrependUint32)
        fields[3] = _table(builder, 3, {0: BOX_PROPERTIES, 1: _table(builder, 3, {0: places, 1: BOUNDARIES})})
    return _table(builder, 7, fields)


def _table(builder: Any, fields: int, values: dict[int, int]) -> int:
    """A table of `fields` with some of them set."""
    builder.StartObject(fields)
    for place, value in values.items():
        if isinstance(value, _Member):
            builder.PrependUint8Slot(place, int(value), 0)
        else:
            builder.PrependUOffsetTRelativeSlot(place, value, 0)
    return int(builder.EndObject())


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    return _filled(builder, offsets, builder.PrependUOffsetTRelative)


def _floats(builder: Any, values: Sequence[float]) -> int:
    return _filled(builder, values, builder.PrependFloat32)


def _filled(builder: Any, values: Sequence[Any], prepend: Callable[[Any], Any]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        prepend(value)
    return int(builder.EndVector())
