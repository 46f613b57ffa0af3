"""The server of pages: for browsers on this machine, whatever port they came to and however they leave."""

import http.client
import json
import socket
import threading
import time

import pytest

from keras_resnet.errors import DataError, ExportError, UsageError
from keras_resnet.export.demo import server as serving
from keras_resnet.export.demo.server import Site, create_server

PAGE = b"<!doctype html><title>a page</title>"


@pytest.fixture
def server():
    with create_server(Site({"index.html": PAGE, "big.tflite": bytes(2**24)}), 0) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def asked(server, host, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest("GET", path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    return connection.getresponse().status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        # Port 80 is left out by every browser.
        ("127.0.0.1", 200),
        ("localhost", 200),
        ("127.0.0.1:80", 200),
        ("LocalHost:8765", 200),
        ("evil.example", 403),
        ("evil.example:8765", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403),
        ("[::1", 403),
        ("", 403),
        (None, 403),
    ],
)
def test_only_browsers_on_this_machine_are_served(server, host, status):
    assert asked(server, host) == status


def posted(server, body=b"image", path="/explain", **headers):
    """(status, JSON) of a request, by default as a page of the server makes it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    own = f"127.0.0.1:{server.server_port}"
    connection.request("POST", path, body, {"Host": own, "Origin": f"http://{own}", **headers})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def explain(content):
    if content == b"large":
        raise MemoryError("out of memory")
    if content != b"image":
        raise DataError("cannot read image the image: not an image")
    return {"picture": "data:,", "words": "cat 98.1%"}


@pytest.fixture
def explaining():
    with create_server(Site({"index.html": PAGE}), 0, explain) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_heat_maps_are_for_pages_of_the_server(explaining, server):
    assert posted(explaining) == (200, {"picture": "data:,", "words": "cat 98.1%"})
    assert posted(explaining, b"none") == (400, {"error": "cannot read the image: not an image"})
    assert posted(explaining, b"large") == (500, {"error": "the run's model could not be run on this image"})
    for headers in ({"Origin": "http://evil.example"}, {"Origin": ""}, {"Host": "evil.example"}):
        status, document = posted(explaining, **headers)
        assert status == 403 and document["error"].startswith("this server is for its own page")
    assert posted(explaining, path="/else")[0] == posted(server)[0] == 404
    status, document = posted(explaining, **{"Content-Length": str(2**40)})
    assert status == 413 and "an image must have at most" in document["error"]


def test_clients_that_leave_print_nothing(server, capfd):
    for _ in range(5):
        client = socket.create_connection(server.server_address)
        client.sendall(b"GET /big.tflite HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()
    assert asked(server, "localhost") == 200
    time.sleep(0.5)
    told = capfd.readouterr()
    assert told.out == told.err == ""


@pytest.mark.parametrize("path", ["../x.html", "files/s/../../../x.tflite", "/tmp/x.html", "a/../../b"])
def test_nothing_is_written_outside_the_folder(tmp_path, path):
    """As a page of a foreign run may ask for, whose verdicts name such a file."""
    with pytest.raises(ExportError, match="must stand inside the folder"):
        Site({"index.html": PAGE, path: b"owned"}).write(tmp_path / "page")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_replaced_only_where_none_was_asked_for(monkeypatch):
    page = Site({"index.html": PAGE})
    with create_server(page, 0) as first:
        monkeypatch.setattr(serving, "USUAL_PORT", first.server_port)
        with create_server(page, None) as second:
            assert second.server_port not in (0, first.server_port)
        with pytest.raises(UsageError, match=f"--port {first.server_port} of 127.0.0.1 is in use;"):
            create_server(page, first.server_port)
