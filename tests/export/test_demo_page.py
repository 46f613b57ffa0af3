"""The demo page: what is served, and that files answer in a browser as they do in Python."""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from browsing import DROP, asked, chromium, opened, served
from PIL import Image
from samples import silent

import keras_resnet
from keras_resnet.data.load import load_dataset
from keras_resnet.errors import RunError, UsageError
from keras_resnet.export.demo import page as demo
from keras_resnet.export.demo import samples as shown_samples
from keras_resnet.export.demo.heat_maps import HeatMapMaker
from keras_resnet.export.demo.page import build_site
from keras_resnet.export.demo.server import create_server
from keras_resnet.export.pipeline import export
from keras_resnet.export.predict import load_predictor
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.tflite_options import TFLiteRequest, build_tflite_options, with_nms_variants
from keras_resnet.run import Run
from keras_resnet.runtime import postprocess
from keras_resnet.runtime.image import preprocess, show_in_rgb
from keras_resnet.runtime.tflite_model import TFLiteModel


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


def samples_of(run):
    """The page's validation images as Python has them, and as it drops them."""
    site = build_site(run, silent)
    pngs = [site.pages[each["url"]] for each in json.loads(site.pages["run.json"])["samples"]]
    return site, [base64.b64encode(png).decode() for png in pngs]


def images_of(run):
    """The same images, from the data itself."""
    split = load_dataset(run.spec().data, silent).splits["validation"]
    order = np.random.default_rng(shown_samples.SEED).permutation(split.count)
    return [split.image(int(row)) for row in order[: shown_samples.SAMPLES]]


def recommending(monkeypatch, file):
    """Which file is recommended hangs on measured latencies, which differ from one time to the next."""
    monkeypatch.setattr(demo, "recommend_file", lambda verdicts: file and {"file": file})


@pytest.mark.parametrize(
    ("best", "second"),
    [("int8-litert.tflite", "int8-litert.tflite"), ("float32.tflite", "int8.tflite"), (None, "int8.tflite")],
)
def test_the_float_file_is_shown_beside_the_recommended_one(litert, exported, monkeypatch, best, second):
    recommending(monkeypatch, best)
    told = json.loads(build_site(exported[0], silent).pages["run.json"])
    assert told["initial_files"] == ["float32.tflite", second]


def test_twenty_dropped_images_are_answered_as_in_python(litert, browser, exported, monkeypatch):
    run, _ = exported
    recommending(monkeypatch, "int8.tflite")
    site, pngs = samples_of(run)
    with opened(browser, site) as page:
        answers = page.evaluate(DROP, pngs)
        tally = page.inner_text("#tally")
    assert len(answers) == 20 and tally.startswith("float32.tflite and int8.tflite agree on ")
    spec = run.spec()
    for place, (image, of_both) in enumerate(zip(images_of(run), answers, strict=True)):
        pixels = preprocess(image, "center_crop", spec.data.resize, spec.data.image_size)[None]
        for answer in of_both:
            logits = TFLiteModel(run.exports / answer["file"])(pixels)[0]
            assert answer["predictions"][0]["label"] == run.classes()[logits.argmax()], (place, answer["file"])
            if answer["file"] == "float32.tflite":
                np.testing.assert_allclose(answer["outputs"]["logits"], logits, rtol=0, atol=1e-3)
        assert [answer["file"] for answer in of_both] == ["float32.tflite", "int8.tflite"]


def test_a_heat_map_is_that_of_python(litert, browser, exported):
    run, _ = exported
    site = build_site(run, silent, explains=True)
    with opened(browser, site, HeatMapMaker(run).explain) as page:
        assert page.locator("#heat").is_hidden()
        page.locator("#explain").click()
        page.wait_for_selector("#heat:not([hidden])", timeout=120_000)
        words, source = page.inner_text("#heat figcaption"), page.get_attribute("#heat img", "src")
        assert "No image leaves this page unless you ask for a heat map of it" in page.inner_text("#foot")
        page.locator("#samples button").nth(1).click()
        page.wait_for_selector("#heat", state="hidden")
    (first, *_) = images_of(run)
    ours = keras_resnet.open_run(run.folder).explain(show_in_rgb(first))
    shown = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    assert np.array_equal(np.asarray(shown), np.asarray(ours.overlay()))
    assert f"{ours.label} {ours.probability:.1%}" in words


def test_a_page_without_a_server_offers_no_heat_maps(litert, browser, exported):
    with opened(browser, build_site(exported[0], silent)) as page:
        assert page.locator("#explain").is_hidden() and "No image leaves this page." in page.inner_text("#foot")


@pytest.mark.slow
def test_objects_are_those_of_python(litert, browser, segmented, monkeypatch):
    """Boxes and masks of a network's raw outputs, and of a file that makes objects itself; also of which it is not
    sure, as after this short training it hardly is."""
    monkeypatch.setattr(postprocess, "DISPLAY_THRESHOLD", postprocess.SCORE_THRESHOLD)
    monkeypatch.setitem(demo.CONSTANTS, "display_threshold", postprocess.SCORE_THRESHOLD)
    forms = build_tflite_options(("float32",))
    export(
        segmented, ExportRequest(tflite=(*forms, *with_nms_variants(forms, "segment")), max_drop=100, samples=8), silent
    )
    site, pngs = samples_of(segmented)
    with opened(browser, site) as page:
        answers = page.evaluate(DROP, pngs[:6])
    compared = 0
    for image, of_both in zip(images_of(segmented), answers, strict=False):
        for answer in of_both:
            theirs = load_predictor(str(segmented.exports / answer["file"]), segmented.folder.parent).predict_image(
                image, None
            )
            assert [each["label"] for each in answer["predictions"]] == [each["label"] for each in theirs]
            for our, their in zip(answer["predictions"], theirs, strict=True):
                np.testing.assert_allclose(our["box"], their["box"], atol=0.1)
                assert abs(our["probability"] - their["probability"]) < 1e-3
                assert abs(our["area"] - sum(their["mask"]["counts"][1::2])) <= 3
                compared += 1
    assert compared > 10


def test_the_browser_sees_the_pixels_that_python_sees(litert, browser, exported):
    """Pillow's filter, in JavaScript: photos lying, standing (Pillow 13: height first) and small."""
    site, _ = samples_of(exported[0])
    rng = np.random.default_rng(0)
    place = """async ({ data, width, height, card }) => {
      const { preprocess } = await import('./preprocess.js');
      const pixels = { data: Uint8Array.from(JSON.parse(data)), width, height, channels: 3 };
      return JSON.stringify(Array.from(preprocess(pixels, card).data));
    }"""
    with opened(browser, site) as page:
        for (width, height), method in [
            *(((200, 120), method) for method in ("center_crop", "letterbox")),
            *(((31, 77), method) for method in ("center_crop", "letterbox")),
            *(((60, 400), method) for method in ("center_crop", "letterbox")),
            *(((8, 8), method) for method in ("center_crop", "letterbox")),
            ((101, 100), "center_crop"),
        ]:
            coarse = Image.fromarray(rng.integers(40, 216, (6, 6, 3), dtype=np.uint8))
            image = coarse.resize((width, height), Image.Resampling.BICUBIC)
            for resize, side in ((36, 32), (64, 56), (130, 112)):
                card = {"preprocessing": method, "resize": resize, "image_size": side, "pillow_13": demo.PILLOW_13}
                # Thousands of numbers pass as text in a hundredth of the time.
                data = json.dumps(np.asarray(image).ravel().tolist())
                given = {"data": data, "width": width, "height": height, "card": card}
                ours = np.array(json.loads(page.evaluate(place, given)), int)
                np.testing.assert_array_equal(
                    ours, preprocess(image, method, resize, side).ravel(), str((width, height, card))
                )


def test_what_is_no_image_is_told_and_the_camera_is_answered(litert, browser, exported):
    from playwright.sync_api import expect

    site, pngs = samples_of(exported[0])
    text = base64.b64encode(b"no image").decode()
    drop = """(text) => {
      const dropped = new DataTransfer();
      dropped.items.add(new File([atob(text)], 'notes.txt'));
      document.dispatchEvent(new DragEvent('drop', { dataTransfer: dropped }));
    }"""
    with opened(browser, site) as page:
        page.evaluate(drop, text)
        page.wait_for_selector("#status.bad")
        assert page.inner_text("#status") == "notes.txt is not an image that this browser can read."
        # Nothing is left of the sample that was shown.
        assert page.locator(".predictions li, .outcome:visible, #samples [aria-current=true]").count() == 0
        assert not page.is_visible(".seen") and page.inner_text(".about-image") == ""
        page.evaluate(DROP, pngs[:1])
        assert page.inner_text("#status") == "image.png"
        page.click("#camera")
        expect(page.locator("#status")).to_have_text("camera")
        page.click("#camera")
        assert page.inner_text("#camera") == "Use the camera"
        page.select_option(".panel:nth-child(2) .file", "float32.tflite")
        expect(page.locator("#tally")).to_have_text("Choose two different files, or accelerators, to compare them.")
        page.click("#all")
        expect(page.locator("#status")).to_have_text("Tried 20 samples.", timeout=60_000)
        assert len(page.query_selector_all("#samples button[aria-current=true]")) == 1


def test_types_headers_and_strangers(litert, exported):
    run, _ = exported
    with served(build_site(run, silent)) as address:
        status, headers, body = asked(address)
        assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8" and b"<main>" in body
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        kinds = {
            "app.js": "text/javascript; charset=utf-8",
            "litert/core/wasm/litert_wasm_internal.wasm": "application/wasm",
            "files/int8.tflite": "application/octet-stream",
            "samples/0.png": "image/png",
            "run.json": "application/json",
        }
        for path, kind in kinds.items():
            status, headers, body = asked(address, f"/{path}?again")
            assert (status, headers["Content-Type"]) == (200, kind) and int(headers["Content-Length"]) == len(body)
        assert asked(address, "/files/int8.tflite")[2] == (run.exports / "int8.tflite").read_bytes()
        assert asked(address, "/run.json", "HEAD")[2] == b""
        assert asked(address, "/../spec.json")[0] == 404 and asked(address, "/files/")[0] == 404
        assert asked(address, host="elsewhere.example:80")[0] == 403
        port = int(address.rstrip("/").rpartition(":")[2])
        with pytest.raises(UsageError, match=f"--port {port} of 127.0.0.1 is in use; --port 0 takes a free one"):
            create_server(build_site(run, silent), port)


def test_the_page_is_written_into_a_folder(litert, exported, tmp_path, kresnet):
    run, _ = exported
    folder = tmp_path / "page"
    arguments = ("demo", run.name, "--runs", run.folder.parent, "--save", folder)
    code, out, _ = kresnet(*arguments)
    assert (code, out) == (0, f"{folder / 'index.html'}\n")
    told = json.loads((folder / "run.json").read_text())
    assert {each["file"] for each in told["files"]} >= {"float32.tflite", "int8.tflite"}
    assert all((folder / each["url"]).is_file() for each in (*told["files"], *told["samples"]))
    assert (folder / "litert/core/dist/index.js").is_file()
    code, _, err = kresnet(*arguments)
    assert code == 2 and err[-1] == f"kresnet: --save must name a folder that is not there yet. Received: {folder}"
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


@pytest.mark.parametrize("name", ["s/../../../X.tflite", "{outside}/X.tflite"])
def test_a_foreign_run_names_no_file_outside(litert, exported, tmp_path, kresnet, name):
    """Neither to be read nor to be written: X.tflite is there, a sound file."""
    run = Run(shutil.copytree(exported[0].folder, tmp_path / "home" / "foreign"))
    (run.exports / "s").mkdir()
    sound = shutil.copyfile(run.exports / "float32.tflite", (run.exports / "s/../../../X.tflite").resolve())
    row = next(each for each in run.verdicts() if each["file"] == "float32.tflite")
    name = name.format(outside=sound.parent)
    run.write_json(run.verdicts_file, [{**row, "file": name}, row])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    page = tmp_path / "here" / "page"
    code, out, err = kresnet("demo", "foreign", "--runs", tmp_path / "home", "--save", page)
    assert (code, out) == (0, f"{page / 'index.html'}\n")
    (told,) = [line for line in err if "left out 1 of 2 rows" in line]
    assert f"row 1: file: it must be the plain name of a file. Received: '{name[:40]}" in told
    written = {path for path in tmp_path.rglob("*") if path.stat().st_mtime_ns != before.get(path)}
    assert all(path.is_relative_to(page.parent) or path in (tmp_path, tmp_path / "home") for path in written), written
    assert [path.name for path in (page / "files").iterdir()] == ["float32.tflite"]


def test_without_litert_it_says_how_to_get_it(exported, monkeypatch, tmp_path, kresnet):
    run, _ = exported
    monkeypatch.setenv("KRESNET_WEB", str(tmp_path))
    code, _, err = kresnet("demo", run.name, "--runs", run.folder.parent)
    assert code == 1 and err[-1] == (
        f"kresnet: pages for browsers need LiteRT.js 2.5.3 in {tmp_path}, found: none; install it with scripts/web,"
        f" or with: npm install --prefix {tmp_path} @litertjs/core@2.5.3 @litertjs/wasm-utils@2.5.3"
    )
    older = tmp_path / "node_modules/@litertjs/core/package.json"
    older.parent.mkdir(parents=True)
    older.write_text('{"version": "2.4.0"}')
    assert "found: 2.4.0;" in kresnet("demo", run.name, "--runs", run.folder.parent)[2][-1]


@pytest.mark.slow
def test_a_run_without_files_for_browsers(litert, trained, tmp_path):
    copy = Run(tmp_path / "bare")
    shutil.copytree(trained.folder, copy.folder, ignore=shutil.ignore_patterns("exports"))
    with pytest.raises(RunError, match=r"run bare has no exported \.tflite file that a browser can run"):
        build_site(copy, silent)
    # An int8 input is nothing a browser can give.
    export(copy, ExportRequest(tflite=tuple(TFLiteRequest(io="int8").build(("int8",))), samples=20), silent)
    with pytest.raises(RunError, match="make some with: kresnet export bare --tflite"):
        build_site(copy, silent)


def test_gone_data_leaves_the_page_without_samples(litert, exported, tmp_path):
    copy = Run(tmp_path / "moved")
    shutil.copytree(exported[0].folder, copy.folder)
    document = json.loads(copy.spec_file.read_text())
    document["spec"]["data"]["source"] = str(tmp_path / "gone")
    copy.spec_file.write_text(json.dumps(document))
    told = []
    site = build_site(copy, told.append)
    assert json.loads(site.pages["run.json"])["samples"] == []
    assert told[0].startswith("no validation images on the page: run moved was trained on ")


@pytest.mark.parametrize(
    "source",
    ["photos/", pytest.param("photos", marks=pytest.mark.slow), pytest.param("data/photos", marks=pytest.mark.slow)],
)
def test_a_relative_path_that_leads_nowhere_is_told_on_the_page(
    litert, browser, exported, tmp_path, monkeypatch, source
):
    monkeypatch.chdir(tmp_path)
    copy = Run(Path(shutil.copytree(exported[0].folder, tmp_path / "moved")))
    document = json.loads(copy.spec_file.read_text())
    document["spec"]["data"]["source"] = source
    copy.spec_file.write_text(json.dumps(document))
    told = []
    site = build_site(copy, told.append)
    assert told[0] == (
        f"no validation images on the page: run moved was trained on {source}, which is not in {tmp_path}: run this"
        " again from the folder in which it was trained"
    )
    with opened(browser, site) as page:
        assert page.inner_text("#no-samples") == f"N{told[0][1:]}."
        assert not page.is_visible("#all") and not page.is_visible("#samples")


def test_large_images_are_shown_smaller(litert, exported, monkeypatch):
    monkeypatch.setattr(shown_samples, "MAX_SIDE", 5)
    site = build_site(exported[0], silent)
    assert {Image.open(io.BytesIO(site.pages[f"samples/{number}.png"])).size for number in range(20)} == {(5, 5)}
