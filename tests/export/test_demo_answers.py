"""What the demo says of predictions: right or wrong, above a threshold, as on the exporting machine."""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from browsing import DROP, SOFTWARE_GPU, chromium, opened, require_webgpu
from PIL import Image
from samples import silent

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.annotations import GroundTruth
from keras_resnet.data.dataset import Split
from keras_resnet.data.load import load_dataset
from keras_resnet.export.demo import golden
from keras_resnet.export.demo.page import build_site
from keras_resnet.export.demo.samples import SAMPLES, SEED, load_samples, make_sample
from keras_resnet.export.demo.server import Site
from keras_resnet.run import Run
from keras_resnet.runtime.image import preprocess
from keras_resnet.runtime.tflite_model import TFLiteModel


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def site(litert, exported):
    """The page of classified digits: the float file beside the int8 one."""
    pages = dict(build_site(exported[0], silent).pages)
    described = json.loads(pages["run.json"])
    described["initial_files"] = ["float32.tflite", "int8.tflite"]
    return Site({**pages, "run.json": json.dumps(described).encode()})


def changed(site, **values):
    """The site with other `values` in run.json."""
    return Site({**site.pages, "run.json": json.dumps({**json.loads(site.pages["run.json"]), **values}).encode()})


def drawn(run):
    """Which validation images are samples, and their labels and objects."""
    split = load_dataset(run.spec().data, silent).splits["validation"]
    return split.subset(np.random.default_rng(SEED).permutation(split.count)[:SAMPLES])


def dropped(page, content):
    """What the page says of a file that is dropped."""
    page.evaluate(DROP, [base64.b64encode(content).decode()])


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_right_and_wrong_samples_are_counted(browser, site, exported):
    run, samples = exported[0], drawn(exported[0])
    spec = run.spec().data
    pixels = np.stack(
        [preprocess(samples.image(row), "center_crop", spec.resize, spec.image_size) for row in range(samples.count)]
    )
    with opened(browser, site) as page:
        page.click("#all")
        page.wait_for_selector("#all:enabled")
        for number, file in enumerate(("float32.tflite", "int8.tflite")):
            logits = np.concatenate([TFLiteModel(run.exports / file)(each[None]) for each in pixels])
            right = logits.argmax(axis=1) == samples.labels
            score = page.locator(".score").nth(number).inner_text()
            assert score == f"{right.sum()} of 20 samples correct (top-1 accuracy {100 * right.mean():.1f}%)."
            marks = [each.split()[number] for each in page.locator(".marks").all_inner_texts()]
            assert marks == ["✓" if each else "✗" for each in right]
            outcome = page.locator(".outcome").nth(number).inner_text()
            assert outcome.startswith("✓ Correct: " if right[-1] else "✗ Wrong: labeled ")
        # One more look at a sample counts no sample twice.
        page.locator("#samples button").first.click()
        page.wait_for_selector("#samples button:first-child[aria-current=true]")
        assert " of 20 samples" in page.locator(".score").first.inner_text()
        # Of an image of the user's it is not known what is right.
        dropped(page, encoded(Image.new("RGB", (40, 30))))
        page.wait_for_selector(".outcome:not([hidden])", state="detached")


def test_samples_are_chosen_by_arrow_keys(browser, site):
    with opened(browser, site) as page:
        page.locator("#samples button").first.focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Enter"):
            page.keyboard.press(key)
        page.wait_for_selector("#samples button:nth-child(2)[aria-current=true]")
        assert page.locator("#samples [tabindex='0']").count() == 1


def test_a_self_check_passes_and_fails(browser, site):
    with opened(browser, site) as page:
        checks = page.locator(".check").all_inner_texts()
        start = "✓ Self-check passed: as on the exporting machine in 16 of 16 images, twice; "
        assert [each[: len(start)] for each in checks] == [start] * 2
        assert (
            page.locator(".accelerator option[value=webgpu]:disabled").all_inner_texts()
            == ["WebGPU: not in this browser"] * 2
        )
    answers = np.frombuffer(site.pages["golden/int8.tflite.bin"], np.float32).reshape(16, 10)
    spoiled = np.roll(answers, 1, axis=1).tobytes()
    with opened(browser, Site({**site.pages, "golden/int8.tflite.bin": spoiled})) as page:
        passed, failed = page.locator(".check").all_inner_texts()
        assert passed.startswith("✓ Self-check passed: ")
        assert failed.startswith("✗ Self-check failed: as on the exporting machine in 0 of 16 images, twice; ")
        assert failed.endswith(" Do not trust this file in WebAssembly here.")


def test_the_first_inference_is_told_apart(browser, site):
    with opened(browser, site) as page:
        dropped(page, encoded(Image.new("RGB", (40, 30))))
        assert page.locator(".count").first.inner_text() == "median of 2"
        for name in (".first", ".last", ".median"):
            assert page.locator(name).first.inner_text().endswith(" ms")


def test_images_that_are_too_large_or_move(browser, site):
    from playwright.sync_api import expect

    frames = [Image.new("RGB", (8, 8), (40 * n, 0, 0)) for n in range(3)]
    gif = base64.b64encode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])).decode()
    drop = """(gif) => {
      const dropped = new DataTransfer();
      const bytes = Uint8Array.from(atob(gif), (letter) => letter.charCodeAt(0));
      dropped.items.add(new File([bytes], 'moving.gif', { type: 'image/gif' }));
      document.dispatchEvent(new DragEvent('drop', { dataTransfer: dropped }));
    }"""
    with opened(browser, changed(site, max_megapixels=0.0001)) as page:
        page.evaluate(drop, gif)
        expect(page.locator(".about-image")).to_have_text("moving.gif · 8 × 8 pixels · the first of 3 frames")
        page.set_input_files(
            "#choose", {"name": "big.png", "mimeType": "image/png", "buffer": encoded(Image.new("RGB", (20, 10)))}
        )
        page.wait_for_selector("#status.bad")
        assert page.inner_text("#status") == (
            "big.png has 20 × 10 pixels, more than the 0.0001 megapixels that this page takes."
        )


def test_the_threshold_decides_what_is_shown(litert, browser, segmented, float_file):
    """Of the same outputs; and what is labeled is drawn and counted."""

    from playwright.sync_api import expect

    site = build_site(segmented, silent)
    described, samples = json.loads(site.pages["run.json"]), drawn(segmented)
    for row, sample in enumerate(described["samples"]):
        real = samples.objects.labels[row] >= 0
        boxes = samples.objects.boxes[row, real] * max(Image.open(io.BytesIO(site.pages[sample["url"]])).size)
        np.testing.assert_allclose([each["box"] for each in sample["objects"]], boxes)
    with opened(browser, site) as page:
        found = {}
        for percent in (5, 30, 95):
            page.locator("#threshold").fill(str(percent))
            expect(page.locator("#threshold-value")).to_have_text(f"{percent}%")
            shares = page.locator(".panel:first-child .share").all_inner_texts()
            found[percent] = [float(share.rstrip("%")) for share in shares]
            assert f" of {len(described['samples'][0]['objects'])} labeled object" in page.inner_text(".outcome")
        assert all(share >= 5 for share in found[5]) and len(found[5]) > len(found[95])
        for percent in (30, 95):
            assert found[percent] == [share for share in found[5] if share >= percent]


@pytest.fixture
def float_file(segmented):
    """The float32 file of the detector, if no other test has exported it."""
    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import build_tflite_options

    if not (segmented.exports / "float32.tflite").is_file():
        request = ExportRequest(tflite=tuple(build_tflite_options(("float32",))), max_drop=100, samples=8)
        export(segmented, request, silent)


def test_labeled_objects_are_in_pixels_of_the_sample():
    """Of a photo that is shown at half its size; a crowd is none of them."""

    class Photo:
        def __getitem__(self, row):
            return Image.new("RGB", (2048, 1024))

    boxes = np.array([[[0, 0, 0.5, 0.25], [0.5, 0, 1, 0.5], [0, 0, 0, 0]]], np.float32)
    labels, iscrowd = np.array([[1, 0, -1]]), np.array([[False, True, False]])
    truth = GroundTruth(boxes, labels, iscrowd, np.zeros((1, 3)), np.array([[2048, 1024]]))
    split = Split("validation", labels[:, 0], images=Photo(), resize=64, objects=truth)
    sample = make_sample(split, 0, ["cat", "dog"], DataSpec())
    assert sample.objects == [("dog", [0.0, 0.0, 512.0, 256.0])]
    assert Image.open(io.BytesIO(sample.png)).size == (1024, 512)


def test_without_golden_answers_there_is_no_self_check(exported, monkeypatch, tmp_path):
    run, told = exported[0], []
    monkeypatch.setattr(golden, "MAX_BYTES", 1)
    few = golden.load_golden(run, ["float32.tflite", "gone.tflite"], told.append)
    assert few.images["count"] == golden.MIN_IMAGES and list(few.files) == ["float32.tflite"] and told == []
    monkeypatch.setattr(type(run), "exports", tmp_path)
    assert golden.load_golden(run, ["float32.tflite"], told.append) == golden.Golden()
    assert told[0].startswith("no self-check on the page: the reference outputs cannot be read: ")


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_files_are_checked_on_webgpu(site, number):
    """On the CPU, by SwiftShader; the float and the int8 file."""

    from playwright.sync_api import expect

    with chromium(SOFTWARE_GPU) as browser:
        require_webgpu(browser)
        with opened(browser, site) as page:
            panel = page.locator(".panel").nth(number)
            panel.locator(".accelerator").select_option("webgpu")
            panel.locator(".check", has_text="Self-check passed").wait_for(timeout=120_000)
            expect(page.locator("#status")).not_to_contain_text("Opening")
            tally = page.inner_text("#tally")
        assert "tflite on WebGPU" in tally and tally.endswith(" agree on 1 of 1 image.")


def test_a_run_whose_labels_are_damaged_has_no_samples(exported, tmp_path):
    run = Run(Path(shutil.copytree(exported[0].folder, tmp_path / "run")))
    labels = run.folder / "labels.txt"
    labels.write_text(labels.read_text().partition("\n")[0] + "\n")
    said = []
    assert load_samples(run, said.append) == ([], said[-1])
    assert said[-1] == "no validation images on the page: the data no longer has the labels that run run was trained on"
