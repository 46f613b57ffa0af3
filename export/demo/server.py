"""A folder of pages that is kept in memory: served to this machine alone, or written to disk."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from keras_resnet.atomic_write import reason
from keras_resnet.errors import ExportError, UsageError
from keras_resnet.runtime.http_server import Handler, WebServer

HOST = "127.0.0.1"
# Named here, because what a system's own table says of them differs.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".tflite": "application/octet-stream",
    ".wasm": "application/wasm",
}
INDEX = "index.html"
_INLINE = re.compile(rb"<script[^>]*type=\"importmap\"[^>]*>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class Site:
    """pages: by path, without a slash in front, what stands there: bytes, or the file that holds them."""

    pages: dict[str, bytes | Path]

    def content(self, path: str) -> bytes:
        """What stands at `path`. Raises KeyError where nothing does."""
        found = self.pages[path]
        return found if isinstance(found, bytes) else found.read_bytes()

    def headers(self) -> dict[str, str]:
        """What a browser is told with each page: nothing may be fetched from elsewhere, and WebAssembly may have
        threads (the last two, which make it cross-origin isolated)."""
        inline = _INLINE.findall(self.content(INDEX))
        hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in inline]
        scripts = " ".join(["'self'", "'wasm-unsafe-eval'", *hashes])
        policy = (
            f"default-src 'none'; script-src {scripts}; style-src 'self'; connect-src 'self'; img-src 'self' data:"
            " blob:; media-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"
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
        """All of it into a new folder, whole or not at all. Raises UsageError if there is something, ExportError for a
        page whose path leads out of the folder."""
        require_new_folder(folder)
        for path in self.pages:
            if not (folder / path).resolve().is_relative_to(folder.resolve()):
                raise ExportError(f"a page must stand inside the folder. Received: {path!r}")
        staged = folder.with_name(f".{os.getpid()}-{folder.name}")
        try:
            for path in self.pages:
                target = staged / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.content(path))
            os.replace(staged, folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def require_new_folder(folder: Path) -> None:
    """Raises UsageError if there is something at `folder`."""
    if folder.exists():
        raise UsageError(f"--save must name a folder that is not there yet. Received: {folder}")


def create_server(site: Site, port: int) -> WebServer:
    """A server of `site` for browsers on this machine; `port` 0 takes a free one. Raises UsageError if it is taken."""
    headers = site.headers()

    class Pages(Handler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, with_body: bool) -> None:
            path = self.path.partition("?")[0].lstrip("/") or INDEX
            # A page elsewhere could name this server by a host of its own and read validation images.
            if _host_of(self.headers.get("Host", "")) not in (HOST, "localhost"):
                code, kind, body = 403, ".html", b"This page is for browsers on this machine."
            elif path in site.pages:
                code, kind, body = 200, Path(path).suffix, site.content(path)
            else:
                code, kind, body = 404, ".html", b"There is no such page."
            self.send_response(code)
            for name, value in {**headers, "Content-Type": TYPES[kind], "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    try:
        return WebServer((HOST, port), Pages)
    except (OSError, OverflowError) as error:
        told = reason(error) if isinstance(error, OSError) else str(error)
        raise UsageError(f"--port {port} of {HOST} cannot be had: {told}; --port 0 takes a free one") from error


def _host_of(header: str) -> str | None:
    """The name in a Host header, in small letters: browsers leave the port out where it is 80."""
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:  # of what looks like IPv6 and is none
        return None
