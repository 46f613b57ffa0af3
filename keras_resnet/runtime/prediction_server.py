"""Answer images POSTed over HTTP with JSON: `kresnet-edge serve`. Imports no TensorFlow."""

from __future__ import annotations

import email
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from .errors import DataError, ExportError
from .http_server import WebServer, describe_bind_error
from .image import Picture, read_image
from .uploads import RequestError, UploadHandler

Predict = Callable[[Picture], list[dict[str, Any]]]
Read = Callable[[bytes], Picture]
# Requests whose bodies are in memory at a time, and the seconds that others wait for that.
MAX_UPLOADS, UPLOAD_TIMEOUT = 8, 30.0
# Parts of a form that are looked at.
MAX_FORM_PARTS = 100


class PredictionServer(WebServer):
    """Answers POSTed images with {"predictions": […]}, and GET with what it is. One image is decoded and one inference
    runs at a time; of what clients send, MAX_UPLOADS bodies of at most MAX_REQUEST_BYTES bytes are in memory."""

    def __init__(self, predict: Predict, about: dict[str, Any], address: tuple[str, int], read: Read) -> None:
        self._predict, self._about, self._read = predict, about, read
        self.uploads = threading.BoundedSemaphore(MAX_UPLOADS)
        self._working = threading.Lock()
        super().__init__(address, PredictionHandler)

    @property
    def address(self) -> str:
        """Where it listens, as a URL."""
        host = str(self.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/"

    def about(self) -> dict[str, Any]:
        """Return what it is and how to use it."""
        usage = f"POST an image, as in: curl -F image=@photo.jpg {self.address}"
        return {"service": "kresnet-edge", **self._about, "usage": usage}

    def predictions(self, content: bytes) -> list[dict[str, Any]]:
        """Predict the image whose file holds `content`. Raises DataError if it is none."""
        with self._working:
            return self._predict(self._read(content))


class PredictionHandler(UploadHandler):
    """One client of a PredictionServer."""

    server: PredictionServer

    def do_GET(self) -> None:
        """Say what this is."""
        if self.path.partition("?")[0] == "/":
            self.answer(HTTPStatus.OK, self.server.about())
        else:
            self.send_error(HTTPStatus.NOT_FOUND, "there is nothing here but /")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Say what an image shows."""
        try:
            length = self.read_length()
            self.stop_clock()
            if not self.server.uploads.acquire(timeout=UPLOAD_TIMEOUT):
                raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at a time; try again later")
            try:
                found = self._predictions(self.read_body(length))
            finally:
                self.server.uploads.release()
        except RequestError as error:
            self.send_error(error.status, str(error))
        else:
            self.answer(HTTPStatus.OK, {"predictions": found})

    def _predictions(self, body: bytes) -> list[dict[str, Any]]:
        kind = self.headers.get("Content-Type", "")
        try:
            return self.server.predictions(extract_image(body, kind))
        except DataError as error:
            hint = (
                "; with curl, use -F or --data-binary" if "urlencoded" in kind and "not an image" in str(error) else ""
            )
            words = str(error).replace("image the image", "the image", 1)
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{words}{hint}") from error
        except (RequestError, ConnectionError):
            raise
        except Exception as error:  # of the runtime, of memory: it is not the client's fault, and the next one may pass
            print(f"request failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "the file could not be run on this image") from error


def extract_image(body: bytes, content_type: str) -> bytes:
    """Return the image file in `body`, which is that file, or a form (RFC 7578) that holds it. Raises RequestError for
    a form without one, or with several."""
    form = email.message_from_string(f"Content-Type: {content_type}\n\n")
    if form.get_content_type() != "multipart/form-data":
        return body
    boundary = form.get_boundary()
    if not boundary:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the form must name its boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"), MAX_FORM_PARTS)[1:]
    heads = [piece.partition(b"\r\n\r\n") for piece in pieces if not piece.startswith(b"--")]
    parts = [(email.message_from_bytes(head.lstrip()), content) for head, _, content in heads]
    files = [content for head, content in parts if head.get_filename() is not None] or [each for _, each in parts]
    if len(files) != 1:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"the form must hold one image. Received: {len(files)}")
    return files[0]


def create_server(
    predict: Predict, about: dict[str, Any], host: str, port: int, read: Read = read_image
) -> PredictionServer:
    """Create a server of what `predict` returns, which is described by `about`; `port` 0 takes a free one; `read`
    decodes what is posted. Raises ExportError if it cannot listen there."""
    try:
        return PredictionServer(predict, about, (host, port), read)
    except OSError as error:
        raise ExportError(f"cannot listen on {host}:{port}: it {describe_bind_error(error)}") from error
