"""The connection to a runner: a process at the other end of two pipes, what it answers, and why it does not."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from keras_resnet.errors import ExportError
from keras_resnet.export.devices.base import (
    NoAcceleratorError,
    RunSettings,
    UnreachableDeviceError,
    UnusableDeviceError,
)
from keras_resnet.export.devices.foreign_text import read_last_words, show
from keras_resnet.export.devices.runner.pipes import MAX_PREAMBLE, PROTOCOL, DeviceError, Pipes
from keras_resnet.progress import Log
from keras_resnet.runtime.child_process import KILL, describe_end, signal_session
from keras_resnet.runtime.plurals import counted

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
        """Send a message and return the answer of the kind `expect`. Raises ExportError for an error that the
        device reports, or an answer of another kind, and BrokenConnectionError where none comes."""
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
            if head["kind"] == "error" and head.get("lacks_accelerator") is True:
                raise NoAcceleratorError(show(head.get("message")))
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

    @property
    def preamble(self) -> str:
        """What was printed before the first answer, or instead of one; "" for nothing."""
        return show(self._pipes.preamble.decode(errors="replace"))

    def describe_end(self) -> str:
        """Return why no more answers come: the exit code of the process, or the signal that ended it, and the last
        lines that it printed."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            ended = "it closed the connection"
        else:
            ended = f"it {describe_end(code)}"
        if self._is_late:
            ended = f"no answer within {counted(self.timeout, 'second', 'g')}"
        words = read_last_words(self._errors) or self._read_last_output()
        return f"{ended}: {words}" if words else ended

    def _read_last_output(self) -> str:
        """Return what was printed instead of a first answer, such as "This account is not available"; it is not waited
        for, because a process that was started there may hold the pipe open."""
        if self._pipes.has_begun:
            return ""
        with contextlib.suppress(OSError, ValueError):
            os.set_blocking(self._pipes.reader.fileno(), False)
            self._pipes.preamble += self._pipes.reader.read(MAX_PREAMBLE) or b""
        return self.preamble


def greet(other_end: OtherEnd, settings: RunSettings, model: str) -> tuple[Connection, dict[str, Any], bool]:
    """Start a runner and announce the file with the SHA-256 `model`: return the connection, what the machine says of
    itself, and whether the file is to be sent. Raises UnusableDeviceError where no file can be run there, and
    BrokenConnectionError where the connection breaks."""
    try:
        connection = Connection(other_end.start, settings.timeout)
    except OSError as error:
        raise UnreachableDeviceError(f"it cannot be started: {error.strerror}") from error
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


def require_answer(other_end: OtherEnd, settings: RunSettings, log: Log) -> None:
    """Raise UnusableDeviceError unless a runner can be started there that has what it needs; log what was printed
    before it answered. No file is sent."""
    try:
        connection, _, _ = greet(other_end, settings, model="")
    except BrokenConnectionError as error:
        raise UnreachableDeviceError(error.reason) from error
    if printed := connection.preamble:
        log(f"left out what {other_end.where} printed before it answered: {printed}")
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


def _describe_warnings(head: dict[str, Any]) -> str:
    """Return the first warning of an error's message, in brackets."""
    warnings = head.get("warnings")
    return f" (the log says: {show(warnings[0])})" if isinstance(warnings, list) and warnings else ""
