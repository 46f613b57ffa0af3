"""What a browser's page and kresnet say to each other: strangers, liars, pages that go."""

import contextlib
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
from fake_page import FakePage
from PIL import Image
from samples import silent

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.devices import find_device, page_exchange, page_server, page_session
from keras_resnet.export.devices.base import CPU, GPU, RunSettings
from keras_resnet.export.devices.browser import BrowserDevice, ChromiumDevice
from keras_resnet.export.devices.page_messages import MAX_LINE, Message
from keras_resnet.export.devices.qr_code import draw_qr_code
from keras_resnet.runtime.tflite_model import TFLiteModel

pytestmark = pytest.mark.usefixtures("litert")
SETTINGS = RunSettings(file="float32.tflite", images=30, timeout=20)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Pages that are gone are not waited for, and looked for often."""
    monkeypatch.setattr(page_server, "FAREWELL", 0.1)
    monkeypatch.setattr(page_exchange, "LOOK", 0.05)


@pytest.fixture(scope="module")
def model(exported):
    return TFLiteModel(exported[0].exports / "float32.tflite")


class Work:
    """A session in a thread of its own, which runs `images` and measures, and the pages that it is to be done by."""

    def __init__(self, model, images, settings=SETTINGS):
        self.device, self.model, self.messages = BrowserDevice("browser"), model, []
        self.result, self.error = None, None
        self._known = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(images, settings))
        self._thread.start()
        assert self._known.wait(20)

    def _log(self, message):
        self.messages.append(message)
        self._known.set()

    def _run(self, images, settings):
        try:
            with self.device.open(self.model, settings, self._log) as session:
                self.result = session(images), session.measure(images[:2])
        except ExportError as error:
            self.error = str(error)
        finally:
            self.device.close()

    @property
    def address(self):
        return next(re.finditer(r"http://\S+/", self.messages[0])).group()

    def page(self, **options):
        """A page that has been given the file."""
        page = FakePage(self.address, self.model, **options)
        status, work = page.greet()
        assert status == 200 and work["file"] == "float32.tflite", work
        return page

    def wait(self):
        """The end of it."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.result


@contextlib.contextmanager
def working(*arguments):
    work = Work(*arguments)
    try:
        yield work
    finally:
        work.device.close()
        work._thread.join(30)


def test_a_page_gives_what_the_file_gives_here(model, pixels):
    with working(model, pixels) as work:
        page = work.page()
        page.load()
        assert page.serve() in ("reload", "finished")
        outputs, measurement = work.wait()
    np.testing.assert_array_equal(outputs, model(pixels))
    cost, facts = measurement.cost, measurement.facts
    assert (cost.latencies[0].threads, cost.latencies[0].p50, cost.first_ms, cost.peak_mib) == (2, 2.0, 7.0, 1.0)
    assert (facts.where, facts.unit, facts.repeat_difference) == ("browser", "WebAssembly, 2 threads", 0.0)
    assert "cross-origin isolated" in facts.system and "at least 8 GiB" in facts.system


def test_strangers_are_refused(model, pixels):
    with working(model, pixels) as work:
        page = work.page()
        for path in ("/", "/wrong/", f"{page.split.path[:-2]}/", "/wrong/model.tflite", "/%C3%A9/"):
            assert page.request("GET", "", path=path)[0] == 403, path
            assert page.request("POST", "", body=b"x" * 99, path=path + "hello?page=a")[0] == 403, path
        assert page.request("GET", "", path=page.split.path.rstrip("/"))[0] == 308
        other = FakePage(work.address, model)
        assert other.greet() == (409, page_exchange.BUSY)
        assert other.request("GET", "next")[0] == 409 == other.load()[0] and other.request("POST", "alive")[0] == 409
        page.request("POST", "leave")
        # Of another browser, after the first has begun, no outputs are mixed in.
        again = work.page()
        again.load()
        again.request("POST", "leave")
        status, words = FakePage(work.address, model, agent="another").greet()
        assert status == 409 and words.endswith("and has to go on: Mozilla/5.0 (nothing)")
        last = work.page()
        last.load()
        last.serve()
        assert work.wait()


def test_a_page_that_goes_is_followed_by_another(model, pixels, monkeypatch):
    monkeypatch.setattr(page_session, "PART_BYTES", 8 * pixels[0].nbytes)
    with working(model, pixels) as work:
        first = work.page()
        first.load()
        assert first.serve(most=2) == "enough"
        assert first.next().kind == "images"
        first.request("POST", "leave")
        while "gone" not in work.messages[-1]:
            assert work.error is None
        second = work.page()
        second.load()
        second.serve()
        outputs, _ = work.wait()
    np.testing.assert_array_equal(outputs, model(pixels))
    assert first.served == 2 and second.served > 2
    assert "the page has gone after 16 images; it goes on where its address is opened again" in work.messages
    assert work.messages[-1] == "the page is back, after 16 images"


@pytest.mark.parametrize(
    ("leaves", "words"),
    [
        (True, "the page was closed and did not come back within 1 second, before its first image"),
        (False, "no answer from the page within 1 second"),
    ],
)
def test_a_page_that_says_nothing_is_given_up(model, pixels, leaves, words):
    with working(model, pixels, replace(SETTINGS, timeout=1)) as work:
        page = work.page()
        page.load()
        if leaves:
            page.request("POST", "leave")
        work.wait()
    assert work.error.startswith(words)


def test_without_a_page_it_ends(model, pixels):
    with working(model, pixels, replace(SETTINGS, timeout=0.5)) as work:
        work.wait()
    assert work.error == "no browser opened the page within 0.5 seconds, before its first image"


def damaged(answer):
    """What arrives is not what the page read."""
    content = answer.pack()
    return content[:-1] + bytes([content[-1] ^ 1])


def changed(**fields):
    return lambda answer: Message({**answer.head, **fields}, answer.payload).pack()


def holding(value):
    return lambda answer: Message(answer.head, np.full(len(answer.payload) // 4, value, "<f4").tobytes()).pack()


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (damaged, "the outputs of the page arrived damaged: the checksum is another one"),
        (changed(arrays=[]), "the page sent other outputs than the file has, for 30 images: {} instead of"),
        (changed(arrays=3), "the page sent outputs that cannot be read"),
        (changed(arrays=[{"name": "logits", "dtype": "uint8", "shape": [30, 10]}]), "the page sent other outputs than"),
        (
            changed(arrays=[{"name": "logits", "dtype": "float32", "shape": [30, True]}]),
            "the page sent other outputs than",
        ),
        (changed(first_ms="soon"), "the page sent a measurement that cannot be: soon"),
        (holding(np.nan), "the output logits of the browser holds what is no number: NaN, or infinite"),
        (lambda answer: Message(answer.head, answer.payload[4:]).pack(), "the page sent other outputs than"),
        (lambda answer: b"\x1b[31m" * 9, "the page sent no message: \\x1b[31m"),
        (lambda answer: b"[" * MAX_LINE, "the page sent no message: ["),
        (changed(kind="error", message="out \x1b of memory"), "out \\x1b of memory"),
    ],
)
def test_lies_end_it_in_a_sentence(model, pixels, lie, words):
    with working(model, pixels) as work:
        page = work.page()
        page.load()
        page.answer(lie(page.compute(page.next())))
        work.wait()
    assert work.error.startswith(words), work.error


def test_more_than_was_asked_is_not_read(model, pixels):
    with working(model, pixels) as work:
        page = work.page()
        page.load()
        asked = page.next()
        status, words = page.answer(b"{}\n" + bytes(2 * MAX_LINE))
        assert (status, words) == (413, b"The message is too long.\n")
        assert page.request("POST", "hello", b'{"agent": 1' * 99)[0] == page.request("GET", "nothing")[0] - 4 == 400
        # And what nobody asked for counts for nothing.
        page.answer(Message({**page.compute(asked).head, "task": 7}, b"").pack())
        page.serve()
        assert work.wait()


@pytest.mark.parametrize("times", [[1.0] * 9, [-1.0] * 20, [float("nan")] * 20, "fast", [1.0] * 201])
def test_times_that_cannot_be_are_refused(model, pixels, times):
    with working(model, pixels) as work:
        page = work.page()
        page.load()
        page.serve(most=2)
        measured = page.measure(page.next())
        page.answer(Message({**measured.head, "times": times}).pack())
        work.wait()
    assert work.error.startswith("the page ")


def test_a_software_gpu_has_no_times_and_a_file_in_webassembly_is_not_accelerated(model, pixels):
    with working(model, pixels, replace(SETTINGS, accelerator=GPU)) as work:
        page = work.page()
        page.load(gpu="Google SwiftShader", software=False, fallback="all")
        page.serve()
        facts = work.wait()[1].facts
    assert facts.emulated and not facts.fully_accelerated and facts.accelerated == 0.0
    assert work.result[1].cost.latencies == () and facts.unit == "Google SwiftShader"


def test_what_litert_js_does_not_take_is_said(exported):
    (file,) = exported[0].exports.glob("dynamic*.tflite")
    device = BrowserDevice("browser")
    with pytest.raises(ExportError, match="export it with --batch 1"), device.open(TFLiteModel(file), SETTINGS, silent):
        pass
    device.close()


def test_devices_by_name():
    assert type(find_device("browser")) is BrowserDevice and type(find_device("chromium")) is ChromiumDevice
    with pytest.raises(UsageError, match="--accelerator of browser must be one of cpu, gpu"):
        find_device("browser").require_possible(replace(SETTINGS, accelerator="npu"))
    assert find_device("browser").require_possible(replace(SETTINGS, accelerator=CPU)) is None


def test_a_port_that_is_taken_is_said(model):
    server = page_server.start_server("127.0.0.1", None)
    try:
        with pytest.raises(UsageError, match=rf"--port {server.server_port} of --host 127.0.0.1 is in use"):
            page_server.start_server("127.0.0.1", server.server_port)
    finally:
        server.close(0)
    with pytest.raises(UsageError, match=r"--host 192\.0\.2\.1 cannot be had"):
        page_server.start_server("192.0.2.1", None)


def enlarge(rows, scale):
    """A picture of pixels in rows, in a white frame."""
    image = Image.fromarray(np.array(rows, np.uint8))
    larger = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    return np.pad(np.asarray(larger), 4 * scale, constant_values=255)


def test_other_machines_get_a_code_for_the_camera(model, pixels):
    cv2 = pytest.importorskip("cv2")
    with working(model, pixels[:1], replace(SETTINGS, host="0.0.0.0", timeout=0.2)) as work:
        work.wait()
        lines = [line for line in work.messages if set(line) <= set("█▀▄\u00a0")]
    (remark,) = [line for line in work.messages if "adb reverse tcp:" in line]
    assert remark.startswith("WebAssembly has one thread at this address") and "http://localhost:" in remark
    assert max(map(len, lines)) < 60 and lines == draw_qr_code(work.address)
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), "\u00a0": (0, 0)}
    rows = [[halves[letter][half] for letter in line] for line in lines for half in (0, 1)]
    # OpenCV misses some codes at some sizes.
    read = {cv2.QRCodeDetector().detectAndDecode(enlarge(rows, scale))[0] for scale in range(4, 13)}
    assert read - {""} == {work.address}
