"""Messages between a browser's page and the machine that it works for.

A line of JSON with the length and the CRC-32 of what follows it, then so many bytes: a page that is not served from a
secure context has no SHA-256. What a page sends is believed only where it is what the file must give.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.devices.foreign_text import show
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.tflite_model import TFLiteModel

# Bytes of the line of JSON.
MAX_LINE = 2**16
# Types of arrays that LiteRT.js has.
DTYPES = ("float32", "int32", "uint8")


@dataclass(frozen=True)
class Message:
    """head: what the line of JSON says. payload: the bytes that follow it."""

    head: dict[str, Any]
    payload: bytes = b""

    def pack(self) -> bytes:
        """Return the message as it is sent."""
        head = {**self.head, "bytes": len(self.payload), "crc32": zlib.crc32(self.payload)}
        return json.dumps(head).encode() + b"\n" + self.payload

    @classmethod
    def unpack(cls, content: bytes) -> Message:
        """Read a message. Raises ExportError for what is none, or arrived damaged."""
        line, _, payload = content.partition(b"\n")
        try:
            if len(line) > MAX_LINE:
                raise ValueError
            head = json.loads(line)
            kind, size, checksum = str(head["kind"]), head["bytes"], head["crc32"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ExportError(f"the page sent no message: {show(line.decode(errors='replace'))}") from None
        if size != len(payload) or checksum != zlib.crc32(payload):
            raise ExportError(f"the {show(kind)} of the page arrived damaged: the checksum is another one")
        return cls(head, payload)

    @property
    def kind(self) -> str:
        """What it is."""
        return str(self.head["kind"])


def count_output_bytes(model: TFLiteModel) -> int:
    """Return the bytes of a file's raw outputs for one image."""
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in model.outputs.values())


def read_outputs(message: Message, model: TFLiteModel, count: int) -> dict[str, np.ndarray]:
    """Return the outputs of `count` images, in floats, by name. Raises ExportError where they are not those of the
    file."""
    given = message.head.get("arrays")
    expected = {name: (str(dtype), [count, *shape]) for name, (shape, dtype) in model.outputs.items()}
    try:
        arrays = {str(each["name"]): (str(each["dtype"]), list(each["shape"])) for each in given or []}
    except (TypeError, KeyError, AttributeError) as error:
        raise ExportError("the page sent outputs that cannot be read") from error
    if arrays != expected or len(message.payload) != count * count_output_bytes(model):
        raise ExportError(
            f"the page sent other outputs than the file has, for {counted(count, 'image')}: {show(arrays)} instead of"
            f" {show(expected)}"
        )
    raw, start = {}, 0
    for name, (dtype, shape) in arrays.items():
        size = math.prod(shape)
        raw[name] = np.frombuffer(message.payload, np.dtype(dtype).newbyteorder("<"), size, start).reshape(shape)
        start += size * np.dtype(dtype).itemsize
    outputs = {name: model.to_floats(name, raw[name]) for name in model.outputs}
    for name, each in outputs.items():
        if not np.isfinite(each).all():
            raise ExportError(f"the output {name} of the browser holds what is no number: NaN, or infinite")
    return outputs


def read_number(value: object, *, least: float = 0.0) -> float:
    """Return a finite number of at least `least`. Raises ExportError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
        raise ExportError(f"the page sent a measurement that cannot be: {show(value)}")
    return float(value)


def read_numbers(values: object, limit: int) -> list[float]:
    """Return at most `limit` finite numbers, none below 0. Raises ExportError for anything else."""
    if not isinstance(values, list) or len(values) > limit:
        raise ExportError(f"the page sent measurements that cannot be: {show(values)}")
    return [read_number(value) for value in values]
