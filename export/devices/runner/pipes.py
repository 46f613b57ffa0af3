"""Messages between a device and the machine that asks it.

They go both ways over two streams: a line of JSON with the length and the SHA-256 of what follows it, then so many
bytes. See `serve.serve` for who says what.
"""

from __future__ import annotations

import hashlib
import json
from typing import IO, Any

# Both ends have to have the same.
PROTOCOL = 1
# Bytes of the line of JSON, and of what follows it.
MAX_LINE, MAX_PAYLOAD = 65536, 2**31
# How each message begins, and bytes that may stand before the first one: logins print greetings.
BEGINNING, MAX_PREAMBLE = b'{"kind": "', 65536
# Characters that are quoted of what somebody else wrote.
MAX_QUOTED = 300


class DeviceError(Exception):
    """Something that is said in one sentence."""


class MissingAcceleratorError(DeviceError):
    """The device has no such accelerator, or none that the runtime can use: no file can be run on it."""


class Pipes:
    """Messages over two binary streams. has_begun: whether one was received. preamble: what stood before it."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self.reader, self.writer = reader, writer
        self.preamble, self.has_begun = b"", False

    def send(self, kind: str, payload: bytes = b"", **fields: object) -> None:
        """Write one message. Raises OSError when the other end has gone."""
        head = {"kind": kind, **fields, "bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
        self.writer.write(json.dumps(head).encode() + b"\n" + payload)
        self.writer.flush()

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Return (the fields, the payload) of the next message; what stands before the first one is kept apart.

        Raises EOFError when the other end has gone, and DeviceError for what is no message, and for a payload that is
        not what its sender read.
        """
        line = self._read_line() if self.has_begun else self._find_first_line()
        try:
            head: dict[str, Any] = json.loads(line)
            size, digest = int(head["bytes"]), str(head["sha256"])
            head["kind"] = str(head["kind"])
        except (ValueError, KeyError, TypeError):
            raise DeviceError(f"something else than the runner's answer arrived: {quote(line)}") from None
        if not 0 <= size <= MAX_PAYLOAD:
            raise DeviceError(f"a message of {size} bytes was announced; at most {MAX_PAYLOAD} are taken")
        payload = self.reader.read(size)
        if len(payload) < size:
            raise EOFError
        if hashlib.sha256(payload).hexdigest() != digest:
            raise DeviceError(f"the {head['kind']} arrived damaged: the checksum is another one")
        return head, payload

    def _read_line(self) -> bytes:
        line = self.reader.readline(MAX_LINE)
        if not line.endswith(b"\n") and len(line) < MAX_LINE:
            if not self.has_begun:
                self.preamble += line
            raise EOFError
        return line

    def _find_first_line(self) -> bytes:
        """Return the line that begins the first message. Raises as `receive` does."""
        while len(self.preamble) <= MAX_PREAMBLE:
            line = self._read_line()
            start = line.find(BEGINNING)
            self.preamble += line[:start] if start >= 0 else line
            if start >= 0:
                self.has_begun = True
                return line[start:]
        raise DeviceError(
            f"something else than the runner's answer arrived, {quote(self.preamble)}: a login must print little for"
            " commands (see ~/.bashrc there), and the command must start Python and pass on its input and output"
        )


def quote(content: bytes) -> str:
    """Return the beginning of what somebody else wrote, in quotation marks."""
    return repr(" ".join(content[:MAX_QUOTED].decode(errors="replace").split()))


def in_one_line(error: object) -> str:
    """Return the message of an exception, short."""
    return " ".join(str(error).split())[:MAX_QUOTED] or type(error).__name__
