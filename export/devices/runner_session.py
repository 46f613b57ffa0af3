"""A file on a device that runner.py serves, at the other end of two pipes."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.benchmark import Cost, Latency
from keras_resnet.export.devices.base import (
    CPU,
    DeviceFacts,
    Measurement,
    OutputShapes,
    RunSettings,
    Session,
    UnreachableDeviceError,
)
from keras_resnet.export.devices.connection import BrokenConnectionError, Connection, Message, OtherEnd, greet
from keras_resnet.export.devices.foreign_text import show
from keras_resnet.progress import Log
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.predictions import Outputs, unwrap_single_output
from keras_resnet.runtime.tflite_model import TFLiteModel

# Seconds before each new attempt after a connection broke; an answer makes them all available again.
PAUSES = (1.0, 2.0, 5.0, 10.0)


class RunnerSession(Session):
    """A file that the runner has opened; a connection that breaks is made again, and the batch sent once more."""

    def __init__(self, other_end: OtherEnd, model: TFLiteModel, settings: RunSettings, log: Log) -> None:
        self._other_end, self._where, self._content = other_end, other_end.where, model.content
        self._shapes = OutputShapes(model)
        self._settings, self._log = settings, log
        self._answered = 0
        self._is_greeted = False
        self._hello: dict[str, Any] = {}
        self._loaded: dict[str, Any] = {}
        self._connection: Connection | None = None

    def connect(self) -> None:
        """Start the runner and give it the file. Raises ExportError."""
        try:
            self._open()
        except BrokenConnectionError as error:
            raise self._broken(error.reason) from error

    def __call__(self, images: np.ndarray) -> Outputs:
        """Run uint8 images (N, H, W, C) → float32 logits (N, classes), or several outputs by name."""
        part = self._answered
        head, payload = self._exchange(
            "images", images.tobytes(), expect="outputs", part=part, shape=list(images.shape)
        )
        if head.get("part") != part:
            raise ExportError(f"the runner answered part {show(head.get('part'))} where part {part} was asked")
        outputs = unwrap_single_output(self._read_outputs(head, payload, len(images)))
        self._shapes.require(outputs)
        self._answered += 1
        return outputs

    def measure(self, images: np.ndarray) -> Measurement:
        """Time the file on uint8 images (N, H, W, C), one at a time."""
        asked = {"shape": list(images.shape), "minutes": self._settings.minutes}
        measured, _ = self._exchange("measure", images.tobytes(), expect="measured", **asked)
        goodbye, _ = self._exchange("end", expect="goodbye")
        try:
            return self._describe(measured, goodbye)
        except (KeyError, TypeError, ValueError) as error:
            raise ExportError(f"the runner sent measurements that cannot be read: {error}") from error

    def close(self) -> None:
        """End the connection."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _exchange(self, kind: str, payload: bytes = b"", *, expect: str, **fields: object) -> Message:
        """Ask, and connect again and once more where the connection broke."""
        pauses = iter(PAUSES)
        while True:
            try:
                if self._connection is None:
                    self._open()
                assert self._connection is not None
                return self._connection.ask(kind, payload, expect=expect, **fields)
            except BrokenConnectionError as error:
                self.close()
                pause = next(pauses, None)
                done = counted(self._answered, "batch", plural="batches")
                if pause is None:
                    raise self._broken(f"the device is gone after {done}: {error.reason}") from error
                self._log(f"the connection to {self._where} broke after {done} ({error.reason}); connecting again")
                time.sleep(pause)

    def _open(self) -> None:
        self._is_greeted = False
        digest = hashlib.sha256(self._content).hexdigest()
        self._connection, self._hello, is_needed = greet(self._other_end, self._settings, digest)
        self._is_greeted = True
        try:
            if is_needed:
                self._connection.send("model", self._content)
            self._loaded, _ = self._connection.receive("loaded")
        except (ExportError, BrokenConnectionError):
            self.close()
            raise

    def _broken(self, reason: str) -> ExportError:
        """Return the error of a connection that broke: of the file where the device had answered, else of the
        device."""
        return ExportError(reason) if self._is_greeted else UnreachableDeviceError(reason)

    def _read_outputs(self, head: dict[str, Any], payload: bytes, count: int) -> dict[str, np.ndarray]:
        """Return the outputs of `count` images. Raises ExportError where they are not as those before."""
        try:
            arrays = [(str(each["name"]), [int(side) for side in each["shape"]]) for each in head["arrays"]]
            sizes = [int(np.prod([count, *shape[1:]])) for _, shape in arrays]
            if any(shape[0] != count for _, shape in arrays) or 4 * sum(sizes) != len(payload):
                raise ValueError("their number is another one than that of the images")
            parts = np.split(np.frombuffer(payload, "<f4"), np.cumsum(sizes)[:-1])
            outputs = {name: part.reshape(shape) for (name, shape), part in zip(arrays, parts, strict=True)}
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ExportError(f"the runner sent outputs that cannot be read: {error}") from error
        return outputs

    def _describe(self, measured: dict[str, Any], goodbye: dict[str, Any]) -> Measurement:
        machine, loaded, settings = self._hello["machine"], self._loaded, self._settings
        load_ms, emulated = float(loaded["load_ms"]), self._other_end.is_emulated
        p50, p90, p99 = (float(measured[name]) for name in ("p50", "p90", "p99"))
        latency = Latency(int(loaded["threads"]), p50, p90, p99, int(measured["runs"]))
        cost = Cost(() if emulated else (latency,), load_ms + float(measured["first_ms"]), float(measured["peak_mib"]))
        share = loaded["accelerated"]
        adapter = show(loaded["adapter"]) if settings.accelerator != CPU else ""
        board = show(machine["board"])
        return Measurement(
            cost,
            DeviceFacts(
                where=self._where,
                accelerator=settings.accelerator,
                unit=adapter or show(machine["processor"]),
                machine=show(machine["name"]) + (f" ({board})" if board else ""),
                system=f"{show(machine['system'])}, Python {show(machine['python'])}",
                runtime=show(loaded["runtime"]),
                emulated=emulated,
                fully_accelerated=loaded["fully_accelerated"] is True,
                accelerated=None if share is None else float(share),
                partitions=None if loaded["partitions"] is None else int(loaded["partitions"]),
                load_ms=load_ms,
                repeat_difference=float(measured["repeat_difference"]),
                largest_output=float(measured["largest_output"]),
                windows=tuple(float(each) for each in measured["windows"]),
                arena_bytes=None if measured["arena_bytes"] is None else int(measured["arena_bytes"]),
                warnings=tuple(show(each) for each in goodbye["warnings"]),
            ),
        )
