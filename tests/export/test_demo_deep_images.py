"""Images of 16 bits on the demo's page: a browser keeps the upper 8, of which a network that was trained on 12 would
see 17 grey levels."""

import base64
import json
import shutil

import numpy as np
import pytest
from browsing import DROP, chromium, opened
from image_bytes import encoded, png
from PIL import Image
from samples import silent

from keras_resnet.export.demo import page as demo
from keras_resnet.export.demo.page import build_site
from keras_resnet.run import Run
from keras_resnet.runtime.image import preprocess, read_image
from keras_resnet.runtime.tflite_model import TFLiteModel

SIDE = 16
# Drops one file, whatever becomes of it.
DROP_ONE = """([content, name]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([bytes], name, { type: 'image/png' }));
  document.dispatchEvent(new DragEvent('drop', { dataTransfer: dropped, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


def site_of(run, folder, levels):
    """The page of a copy of the run, as it would be if it had been trained with `levels`."""
    copy = Run(shutil.copytree(run.folder, folder / "run"))
    document = copy.document()
    document["spec"]["data"]["levels"] = levels
    copy.write_json(copy.spec_file, document)
    site = build_site(copy, silent)
    assert json.loads(site.pages["run.json"])["levels"] == levels
    return site


def ramp(white, colour=0):
    """A PNG file of 16 bits whose values reach from 0 to `white`; colour: as PNG numbers it."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    return png(SIDE, SIDE, 16, colour, np.linspace(0, white, SIDE * SIDE * channels).astype(">u2").tobytes())


def as_text(content):
    return base64.b64encode(content).decode()


EIGHT_BITS = encoded(Image.fromarray(np.linspace(0, 255, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint8)), "PNG")


@pytest.mark.parametrize(
    "levels",
    [[0, 4095], [1000, 65535], *(pytest.param(each, marks=pytest.mark.slow) for each in ([0, 255], [-160, 240]))],
)
def test_they_are_refused_where_the_upper_bits_are_not_what_the_network_sees(
    litert, browser, exported, tmp_path, levels
):
    refused = (
        "scan.png has 16 bits per channel, of which a browser keeps the upper 8; this network takes"
        f" {levels[0]} as black and {levels[1]} as white. Use kresnet predict."
    )
    with opened(browser, site_of(exported[0], tmp_path, levels)) as page:
        for colour in (0, 2, 4, 6):
            page.evaluate(DROP_ONE, [as_text(ramp(4095, colour)), "scan.png"])
            page.wait_for_selector("#status.bad")
            assert page.inner_text("#status") == refused
            assert page.locator(".predictions li, .outcome:visible").count() == 0 and not page.is_visible(".seen")
            (answers,) = page.evaluate(DROP, [as_text(EIGHT_BITS)])
            assert page.inner_text("#status") == "image.png" and page.locator("#status.bad").count() == 0
            assert len(answers) == 2 and all(each["predictions"] for each in answers)


@pytest.mark.parametrize("levels", [[], pytest.param([0, 65535], marks=pytest.mark.slow)])
def test_they_are_answered_where_the_upper_bits_are(litert, browser, exported, tmp_path, monkeypatch, levels):
    """As in Python, up to the rounding of 16 bits to 8."""
    monkeypatch.setattr(demo, "recommend_file", lambda verdicts: None)
    run = exported[0]
    spec, content = run.spec().data, ramp(65535)
    with opened(browser, site_of(run, tmp_path, levels)) as page:
        ((answer, _),) = page.evaluate(DROP, [as_text(content)])
        assert page.inner_text("#status") == "image.png"
    pixels = preprocess(read_image(content, levels), "center_crop", spec.resize, spec.image_size)[None]
    logits = TFLiteModel(run.exports / "float32.tflite")(pixels)[0]
    assert answer["file"] == "float32.tflite" and len(np.unique(pixels)) > 17
    assert answer["predictions"][0]["label"] == run.classes()[logits.argmax()]
    np.testing.assert_allclose(answer["outputs"]["logits"], logits, atol=0.05)
