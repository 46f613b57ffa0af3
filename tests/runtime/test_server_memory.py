"""The memory of the server on a device: what images claim is refused before it is allocated, and one is decoded at a
time."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from image_bombs import bombs
from image_bytes import encoded
from PIL import Image

from keras_resnet.runtime import prediction_server

SMALL = encoded(Image.new("RGB", (8, 6)), "PNG")
ANSWERED = {"predictions": [{"label": "8x6"}]}
SERVER = """
from keras_resnet.runtime.prediction_server import create_server
with create_server(lambda image: [{"label": f"{image.width}x{image.height}"}], {}, "127.0.0.1", 0) as server:
    print(server.address, flush=True)
    server.serve_forever()
"""


@pytest.fixture(scope="module")
def server():
    """A server in a process of its own: its address, and a function for the most bytes that it has taken so far."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:
        status = Path(f"/proc/{process.pid}/status")
        address = process.stdout.readline().strip()

        def peak():
            (line,) = [each for each in status.read_text().splitlines() if each.startswith("VmHWM:")]
            return int(line.split()[1]) * 1024

        yield address, peak
        process.terminate()


@pytest.mark.parametrize(("content", "words"), [pytest.param(*each[1:], id=each[0]) for each in bombs()])
def test_what_claims_too_many_pixels_is_refused_before_they_are_allocated(server, content, words):
    address, peak = server
    assert requests.post(address, data=SMALL, timeout=60).json() == ANSWERED
    before = peak()
    for request in ({"data": content}, {"files": {"image": ("small.png", content)}}):
        answer = requests.post(address, timeout=60, **request)
        document = answer.json()
        assert answer.status_code == 400 and list(document) == ["error"]
        assert document["error"].startswith("cannot read the image: ") and words in document["error"]
        assert document["error"].isprintable()
    assert peak() - before < 50e6
    assert requests.post(address, data=SMALL, timeout=60).json() == ANSWERED


class Concurrency:
    """Counts how many threads are in it at a time."""

    def __init__(self):
        self.inside = self.most = 0
        self._lock = threading.Lock()

    @contextmanager
    def counted(self):
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.02)
        yield
        with self._lock:
            self.inside -= 1


def test_one_image_is_decoded_at_a_time_and_while_none_is_predicted(monkeypatch):
    """Decoded an image takes a hundred times what was sent, so that clients at once would be as dangerous as one large
    image."""
    work = Concurrency()
    read_image = prediction_server.read_image

    def counted_read(*values):
        with work.counted():
            return read_image(*values)

    def predict(image):
        with work.counted():
            return [{"label": f"{image.width}x{image.height}"}]

    monkeypatch.setattr(prediction_server, "read_image", counted_read)
    with prediction_server.create_server(predict, {}, "127.0.0.1", 0) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        with ThreadPoolExecutor(20) as pool:
            answers = pool.map(lambda _: requests.post(made.address, data=SMALL, timeout=60).json(), range(20))
            assert list(answers) == [ANSWERED] * 20
        made.shutdown()
    assert work.most == 1
