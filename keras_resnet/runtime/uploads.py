"""Receive what clients POST, and answer with JSON. Imports no TensorFlow."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

from .http_server import Handler
from .plurals import counted, verb

MAX_REQUEST_BYTES = 64 * 2**20


class RequestError(Exception):
    """A request that cannot be answered: the HTTP status and a sentence."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class UploadHandler(Handler):
    """One client that may POST up to MAX_REQUEST_BYTES bytes; errors are answered with a sentence as JSON."""

    def handle_expect_100(self) -> bool:
        """Refuse a body that is too large before it is sent."""
        try:
            self.read_length()
        except RequestError as error:
            self.send_error(error.status, str(error))
            return False
        return super().handle_expect_100()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with a sentence as JSON and hang up: nobody knows what of the request is still to come."""
        self.close_connection = True
        self.answer(HTTPStatus(code), {"error": message or HTTPStatus(code).description or HTTPStatus(code).phrase})
        self.hang_up()

    def read_length(self) -> int:
        """Return how many bytes follow. Raises RequestError if that is not said, or too many."""
        if self.headers.get("Transfer-Encoding"):
            words = "chunked requests are not supported: send the whole image with a Content-Length"
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, words)
        lengths = self.headers.get_all("Content-Length", [])
        if not lengths:
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "the request must have a Content-Length")
        if len(set(lengths)) > 1 or not re.fullmatch("[0-9]+", lengths[0]):
            words = f"Content-Length must be a number of bytes. Received: {lengths[0][:40]!r}"
            raise RequestError(HTTPStatus.BAD_REQUEST, words)
        digits = lengths[0].lstrip("0") or "0"
        if len(digits) > len(str(MAX_REQUEST_BYTES)) or int(digits) > MAX_REQUEST_BYTES:
            words = f"an image must have at most {MAX_REQUEST_BYTES} bytes. Received: {digits[:40]}"
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
        return int(digits)

    def read_body(self, length: int) -> bytes:
        """Return the body, all of it. Raises RequestError if it does not come in time."""
        self.start_clock()
        try:
            body = self.rfile.read(length)
        except TimeoutError:
            body = b""
        finally:
            self.stop_clock()
        if len(body) < length:
            raise RequestError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"{counted(length, 'byte')} {verb(length, 'was', 'were')} announced and did not come in time",
            )
        return body

    def answer(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        """Answer with a JSON object."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
