"""The page that a browser opens to run files, and what it asks for: served to who has the whole address."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from keras_resnet import reporting
from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.demo.page import WEB as DEMO
from keras_resnet.export.demo.page import litert_js_files, require_litert_js
from keras_resnet.export.demo.server import INDEX, TYPES, Site
from keras_resnet.export.devices.page_exchange import Exchange, RefusedError
from keras_resnet.export.devices.page_messages import MAX_LINE, Message
from keras_resnet.runtime.http_server import Handler, WebServer, describe_bind_error

WEB = Path(__file__).with_name("web")
MODEL = "model.tflite"
TOKEN_BYTES = 16
# Seconds that a page has, at the end, to ask once more.
FAREWELL = 4.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
STRANGER = b"This page is for whoever has its whole address: it is in the terminal that kresnet runs in.\n"


def build_page() -> Site:
    """Return the page, which shares the scripts and the look of the demo's. Raises ExportError without LiteRT.js."""
    pages: dict[str, bytes | Path] = {file.name: file for file in DEMO.iterdir() if file.suffix in (".js", ".css")}
    pages |= {file.name: file for file in WEB.iterdir()}
    pages["style.css"] = Path(reporting.__file__).with_name("style.css")
    return Site(pages | litert_js_files(require_litert_js()))


class PageServer(WebServer):
    """Serves the page below a path that nobody can guess.

    model: the content of the file that is run.
    """

    def __init__(self, host: str, port: int) -> None:
        site = build_page()
        self.site, self.page_headers = site, site.headers()
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.exchange = Exchange()
        self.model = b""
        super().__init__((host, port), PageHandler)
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where browsers open the page; of a server on all addresses the one by which this machine reaches others."""
        host = str(self.server_address[0])
        if host in ("0.0.0.0", "::"):
            host = find_own_address(self.address_family)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/{self.token}/"

    @property
    def is_public(self) -> bool:
        """Whether other machines can open the page."""
        return str(self.server_address[0]) not in LOOPBACK

    def close(self, farewell: float) -> None:
        """Tell the page that all is done, for which it has `farewell` seconds, and end."""
        self.exchange.finish(farewell)
        self.shutdown()
        self.server_close()
        self._thread.join()


def start_server(host: str, port: int | None) -> PageServer:
    """Return a server on `port`, or on a free one. Raises UsageError if that cannot be had."""
    try:
        return PageServer(host, port or 0)
    except OSError as error:
        of = f"--port {port} of --host {host}" if port else f"--host {host}"
        raise UsageError(f"{of} {describe_bind_error(error)}") from error


def find_own_address(family: int) -> str:
    """Return the address of this machine by which others reach it: that of its way to the internet, to which nothing is
    sent; else its name."""
    target = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


class PageHandler(Handler):
    """Answers one request for a PageServer."""

    server: PageServer

    def do_GET(self) -> None:
        """Send a page, the file that is run, or what is to be done next."""
        path = self._find_path()
        if path == "next":
            self._answer(self._send_work)
        elif path == MODEL:
            self._send(HTTPStatus.OK, self.server.model, TYPES[".tflite"])
        elif path is not None and path in self.server.site.pages:
            self._send(HTTPStatus.OK, self.server.site.content(path), TYPES[Path(path).suffix])
        elif path is not None:
            self._send(HTTPStatus.NOT_FOUND, b"There is no such page.\n")

    def do_POST(self) -> None:
        """Take what a page says."""
        actions = {"hello": self._greet, "alive": self._keep, "leave": self._leave, "answer": self._take_answer}
        path = self._find_path()
        if path in actions:
            self._answer(actions[path])
        else:
            if path is not None:
                self._send(HTTPStatus.NOT_FOUND, b"There is no such page.\n")
            self.hang_up()

    def _find_path(self) -> str | None:
        """Return the path behind the token, and answer strangers, and those who left out the last slash."""
        token, slash, path = urlsplit(self.path).path.lstrip("/").partition("/")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._send(HTTPStatus.FORBIDDEN, STRANGER)
            return None
        if not slash:
            self._send(HTTPStatus.PERMANENT_REDIRECT, Location=f"/{token}/")
            return None
        return path or INDEX

    def _answer(self, act: Callable[[dict[str, str]], None]) -> None:
        """Do what is asked with the fields of the address, and answer errors."""
        fields = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        try:
            act(fields)
            return
        except RefusedError as error:
            self._send(HTTPStatus.CONFLICT, str(error).encode())
        except ExportError as error:
            self.server.exchange.fail(str(error))
            self._send(HTTPStatus.BAD_REQUEST, str(error).encode())
        except (KeyError, TypeError, ValueError, RecursionError):
            self._send(HTTPStatus.BAD_REQUEST, b"This is no request of the page.\n")
        self.hang_up()  # a body may not have been read

    def _greet(self, fields: dict[str, str]) -> None:
        body = self._read(MAX_LINE)
        agent = str(json.loads(body)["agent"]) if body is not None else ""
        if body is not None:
            self._send_json(self.server.exchange.greet(fields["page"], agent))

    def _keep(self, fields: dict[str, str]) -> None:
        self._read(0)
        self.server.exchange.keep(fields["page"])
        self._send(HTTPStatus.NO_CONTENT)

    def _leave(self, fields: dict[str, str]) -> None:
        self._read(0)
        self.server.exchange.leave(fields["page"])
        self._send(HTTPStatus.NO_CONTENT)

    def _send_work(self, fields: dict[str, str]) -> None:
        work = self.server.exchange.take_work(fields["page"], int(fields["job"]))
        if work is None:
            self._send(HTTPStatus.NO_CONTENT)
        else:
            self._send(HTTPStatus.OK, work.pack())

    def _take_answer(self, fields: dict[str, str]) -> None:
        exchange = self.server.exchange
        exchange.keep(fields["page"])
        body = self._read(MAX_LINE + exchange.find_limit())
        if body is not None:
            exchange.take_answer(fields["page"], int(fields["job"]), Message.unpack(body))
            self._send(HTTPStatus.NO_CONTENT)

    def _read(self, limit: int) -> bytes | None:
        """Return the body of the request. Answers one that is too long, or ends early, and returns None."""
        length = self.headers.get("Content-Length", "0")
        size = int(length) if length.isascii() and length.isdigit() and len(length) < len(str(2**63)) else limit + 1
        if size > limit:
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"The message is too long.\n")
            self.hang_up()
            return None
        body = self.rfile.read(size)
        if len(body) < size:
            self.close_connection = True
            return None
        return body

    def _send_json(self, document: dict[str, Any]) -> None:
        self._send(HTTPStatus.OK, json.dumps(document).encode(), TYPES[".json"])

    def _send(
        self, status: HTTPStatus, body: bytes = b"", kind: str = "text/plain; charset=utf-8", **more: str
    ) -> None:
        self.send_response(status)
        length = {} if status == HTTPStatus.NO_CONTENT else {"Content-Length": str(len(body))}
        headers = {**self.server.page_headers, "Content-Type": kind, **length, "Referrer-Policy": "no-referrer", **more}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
