"""The server on a device, under clients of every kind: many, slow, leaving, wrong and hostile ones."""

import http.client
import io
import json
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from PIL import Image

from keras_resnet.runtime import cli, http_server, prediction_server

LABELS = ["cat", "dog"]


def png(width=8, height=6):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def sized(image):
    """Stands for the file: its answer tells which image it was given."""
    if image.width == 13:
        raise RuntimeError("the runtime is at its end")
    return [{"label": f"{image.width}x{image.height}", "probability": 1.0}]


@pytest.fixture
def server():
    about = {"file": "int8.tflite", "task": "classify", "labels": LABELS}
    with prediction_server.create_server(sized, about, "127.0.0.1", 0) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def raw(server, *parts, pause=0.0, limit=20.0):
    """What comes back for bytes as they are: (status, document)."""
    with socket.create_connection(server.server_address[:2], timeout=limit) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(pause)
        response = http.client.HTTPResponse(client)
        response.begin()
        return response.status, json.loads(response.read())


def post(server, body, **options):
    response = requests.post(server.address, data=body, timeout=20, **options)
    return response.status_code, response.json()


def test_fifty_and_more_at_once_are_all_answered(server):
    """With connections of their own, as `ab -c` opens them; socketserver's own backlog of 5 resets a third of them."""
    content = png()
    with ThreadPoolExecutor(200) as pool:
        found = list(pool.map(lambda _: post(server, content), range(400)))
    assert found == [(200, {"predictions": [{"label": "8x6", "probability": 1.0}]})] * 400


def test_one_connection_serves_many_requests(server):
    with requests.Session() as session:
        for width in (3, 4, 5):
            assert (
                session.post(server.address, data=png(width), timeout=20).json()["predictions"][0]["label"]
                == f"{width}x6"
            )
        assert session.get(server.address, timeout=20).status_code == 200


@pytest.mark.parametrize("form", [["-F", "image=@x.png"], ["-F", "x=y", "-F", "file=@x.png;type=image/png"]])
def test_forms_as_curl_sends_them(server, tmp_path, form):
    (tmp_path / "x.png").write_bytes(png(21, 34))
    done = subprocess.run(["curl", "-s", *form, server.address], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout) == {"predictions": [{"label": "21x34", "probability": 1.0}]}


@pytest.mark.parametrize("way", [["--data-binary", "@x.png"], ["-T", "x.png", "-X", "POST"]])
def test_bodies_as_curl_sends_them(server, tmp_path, way):
    (tmp_path / "x.png").write_bytes(png(21, 34))
    done = subprocess.run(["curl", "-s", *way, server.address], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout) == {"predictions": [{"label": "21x34", "probability": 1.0}]}


def test_forms_with_every_byte(server):
    """Random pixels hold line ends, dashes, and bytes that are no text."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)).save(buffer, format="BMP")
    response = requests.post(server.address, files={"image": ("a.bmp", buffer.getvalue())}, timeout=20)
    assert response.json()["predictions"][0]["label"] == "300x200"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": ("a.png", png()), "b": ("b.png", png())}, "one image. Received: 2"),
        ({"a": ("a.png", b"")}, "cannot read the image"),
        ({"a": (None, "text")}, "cannot read the image"),
    ],
)
def test_forms_without_an_image(server, files, words):
    response = requests.post(server.address, files=files, timeout=20)
    assert response.status_code == 400 and words in response.json()["error"]


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=é"]
)
def test_forms_that_are_none(server, kind):
    status, document = post(server, png(), headers={"Content-Type": kind.encode()})
    assert status == 400 and "error" in document


@pytest.mark.parametrize("boundary", ["-", "x" * 5000, "\r", "--"])
def test_odd_boundaries_are_answered(server, boundary):
    assert prediction_server.extract_image(b"x", "image/png") == b"x"
    status, _ = raw(
        server,
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n",
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n".encode(),
        b"--x\r\n\r\nab",
    )
    assert status == 400


@pytest.mark.parametrize(
    ("lines", "status", "words"),
    [
        ("Content-Length: ²", 400, "must be a number of bytes"),
        ("Content-Length: " + "9" * 5000, 413, "at most 67108864 bytes"),
        ("Content-Length: " + "0" * 5000 + "1", 400, "cannot read the image"),
        ("Content-Length: -1", 400, "must be a number of bytes"),
        ("Content-Length: 1_0", 400, "must be a number of bytes"),
        ("Content-Length: ", 400, "must be a number of bytes"),
        ("Content-Length: 3\r\nContent-Length: 4", 400, "must be a number of bytes"),
        ("Transfer-Encoding: chunked", 411, "chunked requests are not supported"),
        ("X-Nothing: here", 411, "must have a Content-Length"),
        ("Content-Length: 0", 400, "cannot read the image"),
        ("\r\n".join(f"X-{n}: y" for n in range(200)), 431, "headers"),
        ("X: " + "y" * 70000, 431, "long"),
    ],
)
def test_wrong_requests_get_the_right_words(server, lines, status, words):
    found, document = raw(server, f"POST / HTTP/1.1\r\n{lines}\r\n\r\nabc".encode())
    assert found == status and words in document["error"]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", 200),
        (b"GET /favicon.ico HTTP/1.1", 404),
        (b"PUT / HTTP/1.1", 501),
        (b"\xff\xfe / HTTP/1.1", 501),
        (b"GET / HTTP/9.9", 505),
        (b"GET", 400),
        (b"POST / JTTP/1.1", 400),
        (b"GET /" + b"x" * 70000 + b" HTTP/1.1", 414),
    ],
)
def test_every_request_is_answered_in_json(server, request_line, status):
    found, document = raw(server, request_line + b"\r\n\r\n")
    assert found == status and ("error" in document) == (status != 200)


def test_it_says_what_it_is(server):
    told = requests.get(server.address, timeout=20)
    assert told.headers["Content-Type"] == "application/json"
    assert told.json() == {
        **{"service": "kresnet-edge", "file": "int8.tflite", "task": "classify", "labels": LABELS},
        "usage": f"POST an image, as in: curl -F image=@photo.jpg {server.address}",
    }
    head = requests.head(server.address, timeout=20)
    assert head.status_code == 200 and head.content == b"" and int(head.headers["Content-Length"]) > 0


@pytest.mark.parametrize("headers", [{}, {"Expect": "100-continue"}])
def test_a_body_that_is_too_large_is_refused_in_words(server, headers):
    """A client that sends first and reads then gets the answer, and no broken pipe."""
    status, document = post(server, bytes(70 * 2**20), headers=headers)
    assert status == 413 and document == {
        "error": f"an image must have at most {64 * 2**20} bytes. Received: {70 * 2**20}"
    }
    assert post(server, png())[0] == 200


def test_slow_clients_end_and_hinder_nobody(server, monkeypatch):
    monkeypatch.setattr(http_server, "SEND_TIMEOUT", 1.5)
    monkeypatch.setattr(http_server.Handler, "timeout", 1.0)
    head = b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n"
    with ThreadPoolExecutor(40) as pool:
        silent = [pool.submit(raw, server, head) for _ in range(6)]
        dripping = [pool.submit(raw, server, head, *[b"x"] * 6, pause=0.5) for _ in range(6)]
        time.sleep(0.3)
        assert post(server, png())[0] == 200
        for each in silent:
            status, document = each.result()
            assert status == 408 and "did not come in time" in document["error"]
        # One that goes on sending may meet the end of its connection before it reads.
        for each in dripping:
            assert isinstance(each.exception(), ConnectionError) or each.result()[0] == 408


def test_headers_that_drip_end_the_connection(server, monkeypatch):
    monkeypatch.setattr(http_server, "SEND_TIMEOUT", 0.5)
    with socket.create_connection(server.server_address[:2], timeout=20) as client:
        for _ in range(10):
            try:
                client.sendall(b"X")
            except OSError:
                break
            time.sleep(0.2)
        client.settimeout(5)
        assert b"200" not in client.recv(1000)


def test_more_bodies_than_fit_wait_or_are_told_to(server, monkeypatch):
    monkeypatch.setattr(prediction_server, "UPLOAD_TIMEOUT", 0.2)
    for _ in range(prediction_server.MAX_UPLOADS):
        server.uploads.acquire()
    status, document = post(server, png())
    assert status == 503 and "try again" in document["error"]
    for _ in range(prediction_server.MAX_UPLOADS):
        server.uploads.release()
    assert post(server, png())[0] == 200


def test_clients_that_leave_print_nothing(server, capfd):
    for sent in (b"", b"PO", b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc", b"GET / HTTP/1.1\r\n\r\n"):
        client = socket.create_connection(server.server_address[:2])
        client.sendall(sent)
        # A reset, not a farewell.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()
    assert post(server, png())[0] == 200
    time.sleep(0.3)
    told = capfd.readouterr()
    assert told.out == told.err == ""


def test_a_failing_inference_is_a_sentence_and_the_next_one_passes(server, capfd):
    status, document = post(server, png(13))
    assert status == 500 and document == {"error": "the file could not be run on this image"}
    assert post(server, png())[0] == 200
    assert capfd.readouterr().err == "request failed: RuntimeError: the runtime is at its end\n"


def test_urlencoded_images_get_a_hint(server):
    status, document = post(server, b"broken", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 400 and document["error"].endswith("with curl, use -F or --data-binary")


def test_it_listens_where_it_is_told():
    with prediction_server.create_server(sized, {}, "::1", 0) as made:
        assert made.address == f"http://[::1]:{made.server_port}/"
        threading.Thread(target=made.serve_forever, daemon=True).start()
        assert post(made, png())[0] == 200
        made.shutdown()


@pytest.mark.parametrize("port", ["70000", "-1", "²", "x", "9" * 5000])
def test_ports_that_are_none_are_refused(port, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", "x.tflite", "--port", port])
    assert ended.value.code == 2 and "must be from 0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["no.such.host.invalid", "8.8.8.8"])
def test_hosts_that_are_not_ours_are_a_sentence(host):
    with pytest.raises(prediction_server.ExportError, match=f"cannot listen on {host}"):
        prediction_server.create_server(sized, {}, host, 0)
