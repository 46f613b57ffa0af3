"""The demo's page in a browser, for tests."""

import http.client
import os
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pages import tool

from keras_resnet.export.demo.page import WEB
from keras_resnet.export.demo.server import create_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
]
NO_GPU = ["--disable-gpu"]
# WebGPU on the CPU: slow, but the same shaders.
SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
# Drops image files, base64, one after another, and returns what the page predicted for each.
DROP = """async (pngs) => {
  const predictions = [];
  for (const png of pngs) {
    const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
    const dropped = new DataTransfer();
    dropped.items.add(new File([bytes], 'image.png', { type: 'image/png' }));
    const predicted = new Promise((done) => window.addEventListener('predicted', done, { once: true }));
    document.dispatchEvent(new DragEvent('drop', { dataTransfer: dropped, bubbles: true, cancelable: true }));
    const { results } = (await predicted).detail;
    predictions.push(results.map(({ file, outputs, predictions: each }) => ({
      file,
      predictions: each.map(({ mask, ...rest }) => (
        { ...rest, area: mask && mask.inside.reduce((sum, x) => sum + x, 0) })),
      outputs: Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, Array.from(data)])),
    })));
  }
  return predictions;
}"""


@contextmanager
def served(site, explain=None):
    """The address of a site, while it is served; `explain` makes heat maps."""
    with create_server(site, 0, explain) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def asked(address, path="/", method="GET", host=None):
    """(status, headers, body) of one request."""
    connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"))
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, format, *values):
        """Log nothing."""


@contextmanager
def served_scripts():
    """The address of a page that has nothing, beside the demo's scripts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(WEB))) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/demo.css"
        finally:
            server.shutdown()


@contextmanager
def chromium(gpu=NO_GPU):
    """Headless Chromium. The test is skipped where there is none, but for CI."""
    program = CHROMIUM or tool("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS, *gpu])
        yield one
        one.close()


@contextmanager
def opened(browser, site, explain=None):
    """The page of a site when it is ready; nothing may have been fetched from elsewhere, and nothing complained."""
    with served(site, explain) as address:
        page, elsewhere, complaints = browser.new_page(), [], []
        page.on("request", lambda request: elsewhere.append(request.url) if _is_elsewhere(request.url, address) else 0)
        page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message) else 0)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_selector("html[data-ready=true]")
        yield page
        assert (elsewhere, complaints) == ([], [])
        page.close()


def require_webgpu(browser):
    """Skips the test where the browser has no WebGPU, even on the CPU; but for CI."""
    with served_scripts() as address:
        page = browser.new_page()
        page.goto(address)
        found = page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())")
        page.close()
    if not found:
        pytest.fail("no WebGPU") if os.environ.get("CI") else pytest.skip("this browser has no WebGPU")


def _is_complaint(message):
    """LiteRT writes what it does, and that there is no NPU, to the stream of errors."""
    return message.type == "error" and not message.text.startswith(("INFO: ", "WARNING: [npu_registry"))


def _is_elsewhere(url, address):
    return not url.startswith((address, "data:", f"blob:{address.rstrip('/')}"))
