"""Reference outputs that are damaged or from elsewhere: the demo goes on without its self-check, and says why."""

import io
import json
import os
import shutil
import zipfile

import numpy as np
import pytest
from interrupted_runs import edit_json

from keras_resnet.export.demo.golden import Golden, load_golden
from keras_resnet.export.demo.page import LITERT_JS_VERSION
from keras_resnet.run import Run

IMAGES = np.zeros((3, 8, 8, 3), np.uint8)
FILE = "float32.tflite"


@pytest.fixture
def run(exported, tmp_path, monkeypatch):
    """A copy: the run itself is for all tests. The page is written and not opened: LiteRT.js is a name here."""
    core = tmp_path / "web" / "node_modules" / "@litertjs" / "core"
    core.mkdir(parents=True)
    (core / "package.json").write_text(json.dumps({"version": LITERT_JS_VERSION}))
    (core.parent / "wasm-utils").mkdir()
    monkeypatch.setenv("KRESNET_WEB", str(tmp_path / "web"))
    return Run(shutil.copytree(exported[0].folder, tmp_path / "runs" / "run"))


def archive(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def claiming():
    """An archive whose array claims 3 TB."""
    head, buffer = io.BytesIO(), io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1000, 1000, 3)}
    np.lib.format.write_array_header_1_0(head, shape)
    with zipfile.ZipFile(buffer, "w") as written:
        written.writestr("images.npy", head.getvalue())
    return buffer.getvalue()


def packed():
    """A small archive of 200 MB."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=np.zeros((1000, 256, 256, 3), np.uint8))
    return buffer.getvalue()


DAMAGES = {
    "empty": (lambda whole: b"", "File is not a zip file"),
    "cut off": (lambda whole: whole[: len(whole) // 2], "File is not a zip file"),
    "text": (lambda whole: b"hello", "File is not a zip file"),
    "overwritten": (lambda whole: whole[:400] + bytes(300) + whole[700:], "Bad CRC-32"),
    "pickled": (lambda whole: archive(images=np.array([{}], object)), "allow_pickle"),
    "claims": (lambda whole: claiming(), "Unable to allocate 2.73 TiB"),
    "a bomb": (lambda whole: packed(), "its arrays claim more bytes than the file has"),
    "one number": (lambda whole: archive(images=np.float32(3)), "images must be uint8"),
    "no image": (lambda whole: archive(images=IMAGES[:0]), "images must be uint8 (count, 8, 8, 3)"),
    "oblong": (lambda whole: archive(images=IMAGES[:, 2:]), "images must be uint8 (count, 8, 8, 3)"),
    "floats": (lambda whole: archive(images=IMAGES / 255), "images must be uint8 (count, 8, 8, 3)"),
    "words": (
        lambda whole: archive(images=IMAGES, **{FILE: np.array([["a"]] * 3)}),
        f"logits of {FILE} must be numbers for 3 images. Received: <U1 (3, 1)",
    ),
    "too few": (
        lambda whole: archive(images=IMAGES, **{FILE: np.zeros((1, 10), np.float32)}),
        f"logits of {FILE} must be numbers for 3 images. Received: float32 (1, 10)",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_wrong_with_them_is_told(run, damage):
    change, words = DAMAGES[damage]
    golden, told = run.exports / "golden.npz", []
    assert load_golden(run, [FILE], told.append).images["count"] > 0 and told == []
    golden.write_bytes(change(golden.read_bytes()))
    assert load_golden(run, [FILE], told.append) == Golden()
    assert told[0].startswith("no self-check on the page: the reference outputs cannot be read: ") and words in told[0]


def test_those_of_gray_oblong_images_are_taken(run):
    shape = {"image_size": [16, 32], "resize": [16, 32], "channels": 1}
    edit_json(run.spec_file, lambda document: document["spec"]["data"].update(shape))
    answers = {"images": np.zeros((3, 16, 32, 1), np.uint8), FILE: np.zeros((3, 10), np.float32)}
    (run.exports / "golden.npz").write_bytes(archive(**answers))
    told = []
    assert load_golden(run, [FILE], told.append).images == {
        "url": "golden/images.bin",
        "count": 3,
        "shape": (16, 32, 1),
    }
    assert told == []


@pytest.mark.parametrize("damage", ["empty", *(pytest.param(each, marks=pytest.mark.slow) for each in [*DAMAGES][1:])])
def test_the_demo_goes_on_without_golden_answers(run, tmp_path, kresnet, damage):
    change, words = DAMAGES[damage]
    golden = run.exports / "golden.npz"
    golden.write_bytes(change(golden.read_bytes()))
    assert_told(run, tmp_path / "page", kresnet, words)


def test_a_pipe_is_not_waited_for(run, tmp_path, kresnet):
    (run.exports / "golden.npz").unlink()
    os.mkfifo(run.exports / "golden.npz")
    assert_told(run, tmp_path / "page", kresnet, "golden.npz is not an ordinary file")


def assert_told(run, page, kresnet, words):
    code, out, err = kresnet("demo", "run", "--runs", run.folder.parent, "--save", page)
    assert (code, out) == (0, f"{page / 'index.html'}\n"), err
    (told,) = [line for line in err if line.startswith("no self-check on the page: ")]
    assert words in told
    site = json.loads((page / "run.json").read_text())
    assert site["golden"] is None and all(each["golden"] is None for each in site["files"])
