"""A website that is kept in memory: served to this machine alone, with heat maps on request, or written to disk."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from keras_resnet.errors import ExportError, KresnetError, UsageError
from keras_resnet.runtime.http_server import WebServer, describe_bind_error
from keras_resnet.runtime.temporary_files import hidden_name
from keras_resnet.runtime.uploads import RequestError, UploadHandler

HOST = "127.0.0.1"
USUAL_PORT = 8765
# Named here, because what a system's own table says of them differs.
TYPES = {
    ".bin": "application/octet-stream",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".tflite": "application/octet-stream",
    ".wasm": "application/wasm",
}
INDEX = "index.html"
# Where images are POSTed to, for a heat map.
EXPLAIN = "explain"
# The content of an image file → a JSON object.
Explain = Callable[[bytes], dict[str, str]]
_INLINE = re.compile(rb"<script[^>]*type=\"importmap\"[^>]*>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class Site:
    """pages: content by path, without a slash in front: bytes, or the file that holds them."""

    pages: dict[str, bytes | Path]

    def content(self, path: str) -> bytes:
        """Return the page at `path`. Raises KeyError where there is none."""
        page = self.pages[path]
        return page if isinstance(page, bytes) else page.read_bytes()

    def headers(self) -> dict[str, str]:
        """Return the headers of each page: nothing may be fetched from elsewhere, and WebAssembly may have
        threads (the last two, which make it cross-origin isolated)."""
        inline = _INLINE.findall(self.content(INDEX))
        hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in inline]
        scripts = " ".join(["'self'", "'wasm-unsafe-eval'", *hashes])
        policy = (
            f"default-src 'none'; script-src {scripts}; style-src 'self'; connect-src 'self'; img-src 'self' data:"
            " blob:; media-src 'self' blob:; worker-src 'self' blob:; frame-src 'self';"
            " base-uri 'none'; form-action 'none'"
        )
        return {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Embedder-Policy": "require-corp",
        }

    def write(self, folder: Path) -> None:
        """Write the site into a new folder, whole or not at all.

        Raises UsageError if there is something, ExportError for a page whose path leads out of the folder.
        """
        require_new_folder(folder)
        for path in self.pages:
            if not (folder / path).resolve().is_relative_to(folder.resolve()):
                raise ExportError(f"a page must stand inside the folder. Received: {path!r}")
        staged = hidden_name(folder)
        try:
            for path in self.pages:
                target = staged / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.content(path))
            os.replace(staged, folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def require_new_folder(folder: Path) -> None:
    """Raise UsageError if there is something at `folder`."""
    if folder.exists():
        raise UsageError(f"--save must name a folder that is not there yet. Received: {folder}")


class PageHandler(UploadHandler):
    """Answers one request for a page of a SiteServer, or for a heat map."""

    def do_GET(self) -> None:
        """Send the page."""
        self._respond(with_body=True)

    def do_HEAD(self) -> None:
        """Send what precedes the page."""
        self._respond(with_body=False)

    def do_POST(self) -> None:
        """Answer an image at EXPLAIN with its heat map; to pages of this server alone."""
        assert isinstance(self.server, SiteServer)
        try:
            if self.server.explain is None or self.path != f"/{EXPLAIN}":
                raise RequestError(HTTPStatus.NOT_FOUND, "this server takes nothing here")
            if not self._is_local() or self.headers.get("Origin", "") != f"http://{self.headers['Host']}":
                raise RequestError(HTTPStatus.FORBIDDEN, "this server is for its own page, in browsers on this machine")
            length = self.read_length()
            self.stop_clock()
            document = self.server.explain(self.read_body(length))
        except RequestError as error:
            self.send_error(error.status, str(error))
        except KresnetError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error).replace("image the image", "the image", 1))
        except ConnectionError:
            raise
        except Exception as error:  # of TensorFlow, of memory: the next image may pass
            print(f"no heat map: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "the run's model could not be run on this image")
        else:
            self.answer(HTTPStatus.OK, document)

    def _is_local(self) -> bool:
        """Return whether the request names this machine: a page elsewhere could name this server by a host of its own,
        and read validation images."""
        return _host_name(self.headers.get("Host", "")) in (HOST, "localhost")

    def _respond(self, with_body: bool) -> None:
        assert isinstance(self.server, SiteServer)
        code, suffix, body = self._find(self.server.site)
        self.send_response(code)
        headers = {**self.server.headers, "Content-Type": TYPES[suffix], "Content-Length": str(len(body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _find(self, site: Site) -> tuple[int, str, bytes]:
        """Return the status, the suffix of the page and its content."""
        path = self.path.partition("?")[0].lstrip("/") or INDEX
        if not self._is_local():
            return 403, ".html", b"This page is for browsers on this machine."
        if path not in site.pages:
            return 404, ".html", b"There is no such page."
        return 200, Path(path).suffix, site.content(path)


class SiteServer(WebServer):
    """Serves a site to browsers on this machine. explain: makes a heat map of an image file, as a JSON object; None
    where there are none."""

    def __init__(self, site: Site, port: int, explain: Explain | None = None) -> None:
        self.site = site
        self.explain = explain
        self.headers = site.headers()
        super().__init__((HOST, port), PageHandler)


def create_server(site: Site, port: int | None, explain: Explain | None = None) -> SiteServer:
    """Return a server of `site`, and of heat maps where `explain` makes them. `port` 0 takes a free one, and None the
    usual one or, where that is taken, a free one. Raises UsageError if the port that was asked for is taken."""
    if port is None:
        try:
            return SiteServer(site, USUAL_PORT, explain)
        except OSError:
            port = 0
    try:
        return SiteServer(site, port, explain)
    except (OSError, OverflowError) as error:
        why = describe_bind_error(error)
        raise UsageError(f"--port {port} of {HOST} {why}; --port 0 takes a free one") from error


def _host_name(header: str) -> str | None:
    """Return the name in a Host header, in lower case: browsers leave the port out where it is 80."""
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:  # of what looks like IPv6 and is none
        return None
