"""An HTTP server that many clients, slow ones and those that leave, cannot bring down. Imports no TensorFlow."""

from __future__ import annotations

import errno
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Connections that the system keeps waiting until they are accepted; socketserver has 5.
BACKLOG = 128
# Connections that are served at a time, a thread each.
MAX_CONNECTIONS = 64
# Seconds that a client may be silent, and that it may take to send a request.
IDLE_TIMEOUT, SEND_TIMEOUT = 10.0, 60.0
CHUNK_BYTES = 2**16


def describe_bind_error(error: Exception) -> str:
    """Return what to say behind an address that a server could not have."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "is in use"
    return f"cannot be had: {getattr(error, 'strerror', None) or error}"


class WebServer(ThreadingHTTPServer):
    """Serves at most MAX_CONNECTIONS connections at a time; further ones wait, refused is none."""

    request_queue_size = BACKLOG

    def __init__(self, address: tuple[str, int], handler: type[Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the connection in a thread of its own, when there is a place."""
        self._places.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread to be had
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the connection, and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong in a line; clients that leave are nothing to speak of."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            print(f"request failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


class Handler(BaseHTTPRequestHandler):
    """One connection. A request that is not sent within SEND_TIMEOUT seconds meets the end of its input."""

    protocol_version = "HTTP/1.1"
    # Of a request that does not say: answers before HTTP/1.0 had no status.
    default_request_version = "HTTP/1.0"
    timeout = IDLE_TIMEOUT

    def handle_one_request(self) -> None:
        """Answer one request."""
        self.start_clock()
        try:
            super().handle_one_request()
        finally:
            self.stop_clock()

    def start_clock(self) -> None:
        """Give the client SEND_TIMEOUT seconds for what it is to send."""
        self._clock = threading.Timer(SEND_TIMEOUT, self._end_input)
        self._clock.daemon = True
        self._clock.start()

    def stop_clock(self) -> None:
        """Stop the clock: the request has arrived."""
        self._clock.cancel()

    def _end_input(self) -> None:
        with suppress(OSError):  # gone already
            self.connection.shutdown(socket.SHUT_RD)

    def hang_up(self) -> None:
        """End the connection such that the client still reads the answer: a socket that is closed before all was read
        makes the system tell the client of a broken connection instead."""
        self.close_connection = True
        self.wfile.flush()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.rfile.read1(CHUNK_BYTES):
                pass

    def log_message(self, format: str, *values: Any) -> None:
        """Log nothing: requests are private."""
