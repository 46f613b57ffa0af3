"""Verdicts of browsers: a headless Chromium, and one that looks like a phone; pages that are reloaded."""

import json
import os
import shutil
import threading
import time

import numpy as np
import psutil
import pytest
from browsing import chromium, require_webgpu
from samples import silent

from keras_resnet.errors import ExportError
from keras_resnet.export.devices import chromium as headless
from keras_resnet.export.devices import page_session
from keras_resnet.export.devices.base import GPU, RunSettings
from keras_resnet.export.devices.browser import BrowserDevice, ChromiumDevice
from keras_resnet.metrics.outcome import ACCEPTED
from keras_resnet.runtime.tflite_model import TFLiteModel

pytestmark = pytest.mark.usefixtures("litert")
SETTINGS = RunSettings(file="float32.tflite", images=30, timeout=60)


@pytest.fixture
def copied(exported, tmp_path):
    """A copy of the run, whose verdicts may change."""
    shutil.copytree(exported[0].folder, tmp_path / exported[0].name)
    return tmp_path / exported[0].name


def without_chromium():
    """Skips the test where there is none, but for CI."""
    try:
        headless.find_chromium()
    except ExportError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def test_chromium_gives_the_verdict_of_this_cpu(copied, kresnet):
    without_chromium()
    file = copied / "exports" / "int8.tflite"
    code, out, err = kresnet("verify", file, "--on", "chromium", "--samples", "60", "--json")
    assert code == 0, err
    (row,) = json.loads(out)
    assert row["samples"] == 60 and row["cpu_agreement"] == 1.0 and row["verdict"] in ACCEPTED
    device, (latency,) = row["device"], row["cost"]["latencies"]
    assert (
        device["where"] == "chromium" and device["unit"].startswith("WebAssembly, ") and "Chrome" in device["machine"]
    )
    assert (
        device["repeat_difference"] == 0.0 and device["warnings"] == [] and "cross-origin isolated" in device["system"]
    )
    assert latency["p50"] > 0 and latency["runs"] >= 10 and row["cost"]["peak_mib"] > 1
    kept = json.loads((copied / "exports" / "verdicts.json").read_text())
    assert kept[-1]["device"] == device


def until(page, expression):
    """Waits until JavaScript is true; while a page is loaded anew there is none."""
    from playwright.sync_api import Error

    for _ in range(600):
        try:
            if page.evaluate(expression):
                return
        except Error:
            pass
        time.sleep(0.05)
    pytest.fail(f"{expression}: {page.inner_text('main')}")


@pytest.mark.slow
def test_a_phone_shows_its_progress_and_may_be_reloaded(exported, pixels, monkeypatch):
    monkeypatch.setattr(page_session, "PART_BYTES", 8 * pixels[0].nbytes)
    model = TFLiteModel(exported[0].exports / "float32.tflite")
    images, device, messages, done = np.tile(pixels, (40, 1, 1, 1)), BrowserDevice("browser"), [], []
    go = threading.Event()

    def work():
        try:
            settings = RunSettings(file="float32.tflite", images=len(images), timeout=60)
            with device.open(model, settings, messages.append) as session:
                go.wait(60)
                done.extend([session(images), session.measure(pixels[:2])])
        finally:
            device.close()

    thread = threading.Thread(target=work)
    with chromium() as browser:
        thread.start()
        while not messages:
            time.sleep(0.05)
        address = messages[0].rpartition(" ")[2]
        phone = {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 2.6, "is_mobile": True}
        page = browser.new_context(user_agent="Mozilla/5.0 (Linux; Android 14; Pixel 7)", **phone).new_page()
        page.goto(address)
        until(page, "document.querySelector('#facts').textContent.includes('Pixel 7')")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert browser.new_page().goto(address.rpartition("/")[0][:-1]).status == 403
        second = browser.new_page()
        second.goto(address)
        until(second, "document.querySelector('#status').textContent.startsWith('Another page is already running')")
        second.close()
        go.set()
        until(page, "document.querySelector('#progress').value > 0")
        page.reload()
        until(page, "document.querySelector('#status').textContent === 'Finished: the verdict is in the terminal.'")
        assert page.inner_text("#count") == f"{len(images)} of {len(images)} images"
        thread.join(30)
    outputs, measurement = done
    np.testing.assert_allclose(outputs, model(images), atol=1e-4)
    assert measurement.facts.machine == "Mozilla/5.0 (Linux; Android 14; Pixel 7)"
    assert [message.split(",")[0] for message in messages if message.startswith("the page is back")]


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program in the place of Chromium."""

    def make(script):
        (tmp_path / "chromium").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "chromium").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return make


def opened(exported, settings=SETTINGS):
    """What is said where a file cannot be opened in Chromium."""
    model = TFLiteModel(exported[0].exports / "float32.tflite")
    with pytest.raises(ExportError) as caught, ChromiumDevice("chromium").open(model, settings, silent):
        pass
    return str(caught.value)


def test_without_chromium_it_says_so(exported, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert opened(exported).startswith(
        "there is no Chromium on PATH, nor Google Chrome (as chromium, chromium-browser,"
    )


def test_a_chromium_that_ends_is_said(exported, program):
    program("echo no display >&2; exit 3")
    assert opened(exported) == "Chromium ended with exit code 3: no display"


def test_nothing_is_left_of_chromium(exported, program, tmp_path):
    program(f'for each; do echo "$each"; done > {tmp_path}/arguments; sleep 100 & echo $! > {tmp_path}/child')
    assert opened(exported) == "Chromium ended with exit code 0: it says nothing"
    arguments = (tmp_path / "arguments").read_text().splitlines()
    (profile,) = [each.partition("=")[2] for each in arguments if each.startswith("--user-data-dir=")]
    assert not os.path.exists(profile) and arguments[-1].startswith("http://127.0.0.1:")
    child = int((tmp_path / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_detector_and_a_segmenter_give_the_verdict_of_this_cpu(segmented, tmp_path, kresnet):
    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import build_tflite_options
    from keras_resnet.run import Run

    without_chromium()
    run = Run(shutil.copytree(segmented.folder, tmp_path / segmented.name))
    export(
        run, ExportRequest(tflite=tuple(build_tflite_options(("float32", "int8"))), max_drop=100, samples=20), silent
    )
    code, out, err = kresnet(
        "verify", run.name, "--runs", tmp_path, "--on", "chromium", "--samples", "20", "--max-drop", "100", "--json"
    )
    assert code == 0, err
    rows = json.loads(out)
    assert {row["file"] for row in rows} == {"float32.tflite", "int8.tflite"}
    for row in rows:
        assert row["cpu_agreement"] > 0.99 and row["device"]["repeat_difference"] == 0.0, row["file"]


@pytest.mark.slow
def test_webgpu_gives_the_verdict_of_this_cpu(exported, pixels):
    without_chromium()
    with chromium(headless.SOFTWARE_GPU) as browser:
        require_webgpu(browser)
    model = TFLiteModel(exported[0].exports / "float32.tflite")
    settings = RunSettings(accelerator=GPU, file="float32.tflite", images=8, timeout=200)
    with ChromiumDevice("chromium").open(model, settings, silent) as session:
        outputs, measurement = session(pixels[:8]), session.measure(pixels[:2])
    np.testing.assert_allclose(outputs, model(pixels[:8]), atol=1e-3)
    facts = measurement.facts
    assert facts.fully_accelerated and facts.repeats_agree and facts.unit != "a GPU without a name"
    assert bool(measurement.cost.latencies) is not facts.emulated


@pytest.mark.slow
def test_without_webgpu_it_says_so(exported, monkeypatch):
    without_chromium()
    monkeypatch.setattr(headless, "SOFTWARE_GPU", headless.NO_GPU)
    monkeypatch.setattr(headless, "has_gpu", lambda: False)
    words = opened(exported, RunSettings(accelerator=GPU, file="float32.tflite", images=8, timeout=60))
    assert words.startswith("WebGPU does not start in this browser") or words == "this browser has no WebGPU"
