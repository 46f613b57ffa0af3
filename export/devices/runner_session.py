"""A file on a device that runner.py serves, at the other end of two pipes."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

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
    UnusableDeviceError,
)
from keras_resnet.export.devices.foreign_text import read_last_words, show
from keras_resnet.export.devices.runner.pipes import PROTOCOL, DeviceError, Pipes
from keras_resnet.progress import Log
from keras_resnet.runtime.child_process import KILL, describe_end, signal_session
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.predictions import Outputs, unwrap_single_output
from keras_resnet.runtime.tflite_model import TFLiteModel

# Seconds before each new attempt after a connection broke; an answer makes them all available again.
PAUSES = (1.0, 2.0, 5.0, 10.0)
Message = tuple[dict[str, Any], bytes]
# Starts the process at the other end of the pipes, with its standard error going to the file.
Start = Callable[[IO[bytes]], "subprocess.Popen[bytes]"]


@dataclass(frozen=True)
class OtherEnd:
    """Where a runner is started, as --on has it, whether its times mean nothing, and the runtime that it uses."""

    where: str
    start: Start
    is_emulated: bool
    runtime: str


class BrokenConnectionError(Exception):
    """The device is gone. reason: what is known of it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connection:
    """One process that serves the pipes, and what is said over them. timeout: seconds without an answer after which
    it is taken to be gone."""

    def __init__(self, start: Start, timeout: float) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the connection)
        self.timeout, self._is_late = timeout, False
        self._process = start(self._errors)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._pipes = Pipes(self._process.stdout, self._process.stdin)

    def ask(self, kind: str, payload: bytes = b"", *, expect: str, **fields: object) -> Message:
        """Send a message and return the answer of the kind `expect`. Raises ExportError for a sentence of the device,
        or an answer that is none, and BrokenConnectionError where none comes."""
        self.send(kind, payload, **fields)
        return self.receive(expect)

    def send(self, kind: str, payload: bytes = b"", **fields: object) -> None:
        """Send a message. Raises BrokenConnectionError."""
        with _Watch(self):
            self._pipes.send(kind, payload, **fields)

    def receive(self, expect: str) -> Message:
        """Return the next message, of the kind `expect`. Raises as `ask` does."""
        while True:
            with _Watch(self):
                head, payload = self._pipes.receive()
            if head["kind"] == "error":
                raise ExportError(f"{show(head.get('message'))}{_describe_warnings(head)}")
            if head["kind"] == expect:
                return head, payload
            if head["kind"] != "progress":
                raise ExportError(f"the runner answered {show(head['kind'])!r} where {expect!r} was expected")

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # of what was still to be sent
                pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        self._errors.close()

    def expire(self) -> None:
        """End the process because no answer came."""
        self._is_late = True
        self._kill()

    def _kill(self) -> None:
        signal_session(self._process, KILL)

    def describe_end(self) -> str:
        """Return why the process ended: the last line of what it printed, or its exit code."""
        if self._is_late:
            return f"no answer within {counted(self.timeout, 'second', 'g')}"
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "it closed the connection"
        ended = f"it {describe_end(code)}" if code else "it ended"
        return read_last_words(self._errors) or ended


def greet(other_end: OtherEnd, settings: RunSettings, model: str) -> tuple[Connection, dict[str, Any], bool]:
    """Start a runner and announce the file with the SHA-256 `model`: return the connection, what the machine says of
    itself, and whether the file is to be sent. Raises UnusableDeviceError where no file can be run there, and
    BrokenConnectionError where the connection breaks."""
    try:
        connection = Connection(other_end.start, settings.timeout)
    except OSError as error:
        raise UnusableDeviceError(f"it cannot be started: {error.strerror}") from error
    try:
        hello, _ = connection.ask(
            "start",
            expect="hello",
            protocol=PROTOCOL,
            accelerator=settings.accelerator,
            runtime=other_end.runtime,
            threads=settings.threads,
            keep=settings.keep,
            install=settings.install,
            model=model,
        )
        if hello.get("protocol") != PROTOCOL:
            theirs = show(hello.get("protocol"))
            raise ExportError(f"its runner speaks version {theirs} of the protocol, this kresnet version {PROTOCOL}")
        need, _ = connection.receive("need")
    except ExportError as error:
        connection.close()
        raise UnusableDeviceError(str(error)) from error
    except BrokenConnectionError:
        connection.close()
        raise
    return connection, hello, bool(need.get("model"))


def require_answer(other_end: OtherEnd, settings: RunSettings) -> None:
    """Raise UnusableDeviceError unless a runner can be started there that has what it needs. No file is sent."""
    try:
        connection, _, _ = greet(other_end, settings, model="")
    except BrokenConnectionError as error:
        raise UnusableDeviceError(error.reason) from error
    connection.close()


class _Watch:
    """Ends a connection where what is done with it takes too long, and says what broke."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._timer = threading.Timer(connection.timeout, connection.expire)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._timer.cancel()
        if isinstance(error, DeviceError):
            raise ExportError(str(error)) from error
        if isinstance(error, (EOFError, OSError, ValueError)):
            raise BrokenConnectionError(self._connection.describe_end()) from error


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
        return ExportError(reason) if self._is_greeted else UnusableDeviceError(reason)

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


def _describe_warnings(head: dict[str, Any]) -> str:
    """Return the first warning of an error's message, in brackets."""
    warnings = head.get("warnings")
    return f" (the log says: {show(warnings[0])})" if isinstance(warnings, list) and warnings else ""
