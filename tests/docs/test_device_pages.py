"""The code on the pages for devices does what they say: each block is taken from its page, and compiled or run."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
from pages import CARDS, OTHER_CARDS, ROOT, SIZES, STUBS, assert_placed, blocks, ran, tool
from PIL import Image
from samples import silent

from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.load import load_file
from keras_resnet.export.pipeline import export
from keras_resnet.export.predict import load_predictor
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
from keras_resnet.run import Run
from keras_resnet.runtime.image import read_image
from keras_resnet.runtime.postprocess import describe_objects
from keras_resnet.runtime.predictions import format_predictions, top_k
from keras_resnet.runtime.tflite_model import TFLiteModel

MICRO = TFLiteOptions(SCHEMES["int8"], "int8")
MICRO_FILE = "int8-int8-io.tflite"


@pytest.fixture(scope="module")
def exports(exported, tmp_path_factory):
    """The exports of a copy of the run, with the file whose answers the C array gives."""
    run = Run(shutil.copytree(exported[0].folder, tmp_path_factory.mktemp("runs") / exported[0].name))
    export(run, ExportRequest(tflite=(MICRO,), samples=50), silent)
    return run.exports


@pytest.fixture(scope="module")
def full(segmented):
    """A file that ends in objects."""
    export(
        segmented,
        ExportRequest(tflite=(TFLiteOptions(SCHEMES["float32"], "uint8", with_nms=True),), max_drop=100, samples=10),
        silent,
    )
    return segmented.exports / "float32-nms.tflite"


@pytest.fixture
def photo(tmp_path):
    """Somewhat coloured noise, wider than high, half of it transparent."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 44, 4), dtype=np.uint8)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


# Raspberry Pi


@pytest.fixture
def pi(tmp_path):
    """A folder in which Python finds the package that the wheel kresnet-edge installs."""
    (tmp_path / "kresnet_edge").symlink_to(ROOT / "keras_resnet" / "runtime")
    return tmp_path


@pytest.mark.parametrize("kind", ["classify", pytest.param("full", marks=pytest.mark.slow)])
def test_the_program_for_a_raspberry_pi_predicts(request, photo, pi, kind):
    look = blocks("raspberry-pi", "python")[0]
    assert "keras_resnet" not in look  # which a device does not have
    (pi / "look.py").write_text(look)
    file = request.getfixturevalue("exports") / "int8.tflite" if kind == "classify" else request.getfixturevalue("full")
    told = ran(sys.executable, "look.py", file, photo, cwd=pi)
    expected = format_predictions(load_predictor(str(file), pi).predict_image(read_image(photo), None))
    assert told == f"{photo}: {expected}\n"


def test_the_camera_of_a_raspberry_pi_is_watched(exports, pi):
    """With a stand-in for picamera2 that sees grey."""
    look, watch = blocks("raspberry-pi", "python")
    (pi / "look.py").write_text(look)
    (pi / "watch.py").write_text(watch)
    (pi / "picamera2.py").write_text(
        "from PIL import Image\n\n\nclass Picamera2:\n"
        "    def create_preview_configuration(self, main):\n        return main['size']\n\n"
        "    def configure(self, size):\n        self.size = size\n\n"
        "    def start(self):\n        pass\n\n    stop = start\n\n"
        "    def capture_image(self, name):\n        return Image.new('RGBA', self.size, 'grey')\n"
    )
    code = f"import watch; watch.watch({str(exports / 'int8.tflite')!r}, 2)"
    first, second = ran(sys.executable, "-c", code, cwd=pi).splitlines()
    model = load_predictor(str(exports / "int8.tflite"), pi)
    expected = format_predictions(model.predict_image(Image.new("RGB", (640, 480), "grey"), 3))
    assert all(re.fullmatch(rf"\d+ ms: {re.escape(expected)}", line) for line in (first, second))


# Microcontrollers


def test_the_operators_named_for_a_microcontroller_are_those_of_a_fresh_file(exports):
    operators = read_contents((exports / MICRO_FILE).read_bytes()).operators
    words = {name: [part.capitalize() for part in re.sub("2D", "2d", name).split("_")] for name in operators}
    needed = {f"Add{''.join(parts).replace('2d', '2D')}" for parts in words.values()}
    code = blocks("microcontroller", "cpp")[0]
    named = set(re.findall(r"resolver\.(Add\w+)\(", code)) - {"AddEthosU"}
    assert needed <= named and f"MicroMutableOpResolver<{len(named)}>" in code


@pytest.mark.parametrize("flags", [(), ("-DETHOS_U",)])
def test_the_firmware_compiles_and_answers(exports, tmp_path, flags):
    """Against declarations, with a stand-in for the interpreter: its logits are the first pixels."""
    compiler, labels = tool("g++"), 10
    classifier, check = blocks("microcontroller", "cpp")
    header, _ = blocks("microcontroller", "python")
    for name in re.findall(r'#include "(tensorflow/\S+)"', classifier):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('#include "tflm.h"\n')
    (tmp_path / "exports").symlink_to(exports)
    ran(sys.executable, "-c", header, cwd=tmp_path)
    for name, text in (("classifier.cc", classifier), ("check.cc", check)):
        (tmp_path / name).write_text(text)
    images = np.load(exports / "golden.npz")["images"][:4]
    sizes = (f"-DSTAND_IN_PIXELS={images[0].size}", f"-DSTAND_IN_LOGITS={labels}")
    places = ("-I", tmp_path, "-I", STUBS, "-I", exports / "c_array")
    strict = ("-std=c++17", "-Wall", "-Wextra", "-Werror")
    ran("cc", "-std=c11", "-c", exports / "c_array" / "kresnet_model.c", "-o", "model.o", cwd=tmp_path)
    sources = ("classifier.cc", "check.cc", STUBS / "firmware.cc", "model.o")
    ran(compiler, *strict, *flags, *sizes, *places, *sources, "-o", "firmware", cwd=tmp_path)
    same, best, sure = ran(tmp_path / "firmware", cwd=tmp_path).split()
    answers = np.load(exports / "golden.npz")[MICRO_FILE][:4].argmax(1)
    assert int(same) == (images.reshape(4, -1)[:, :labels].argmax(1) == answers).sum()
    logits = 0.25 * np.array([9, 200, 190, 201, 0, 0, 0, 0, 0, 0], float)
    assert int(best) == 3 and float(sure) == pytest.approx(np.exp(logits - logits.max()).sum() ** -1, abs=1e-5)


def test_a_file_for_an_npu_becomes_an_array(exports, tmp_path):
    """Whatever file stands where vela writes its own."""
    _, code = blocks("microcontroller", "python")
    (tmp_path / "exports" / "targets").mkdir(parents=True)
    shutil.copy(exports / MICRO_FILE, tmp_path / "exports" / "targets" / "int8-int8-io-ethos-u55-128.tflite")
    ran(sys.executable, "-c", code, cwd=tmp_path)
    assert load_file(tmp_path / "ethos").content == (exports / MICRO_FILE).read_bytes()


# Browsers


def test_the_page_for_a_browser_is_valid(tmp_path):
    node = tool("node")
    (page,), (module,) = blocks("browser", "html"), blocks("browser", "javascript")
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page, re.S)
    for name, text in (("page.mjs", script), ("kresnet.mjs", module)):
        (tmp_path / name).write_text(text)
        ran(node, "--check", name, cwd=tmp_path)
    (imports,) = re.findall(r'<script type="importmap">(.*?)</script>', page, re.S)
    assert set(json.loads(imports)["imports"]) == {"@litertjs/core", "@litertjs/wasm-utils"}
    names = re.search(r"import \{([^}]+)\} from './kresnet.mjs'", script)[1].split(", ")
    assert all(re.search(rf"^export (async )?function {name}\(", module, re.M) for name in names)


def test_the_functions_for_a_browser_equal_ours(exports, full, tmp_path):
    (module,) = blocks("browser", "javascript")
    (tmp_path / "kresnet.mjs").write_text(module)
    model, detector = TFLiteModel(exports / "int8.tflite"), TFLiteModel(full)
    square = np.load(full.parent / "golden.npz")["images"][:1]
    outputs = {name: values[0] for name, values in detector(square).items()}
    logits = model(np.load(exports / "golden.npz")["images"][:1])[0]
    told = {
        "file": str(exports / "int8.tflite"),
        "golden": str(exports / "golden.npz"),
        "logits": logits.tolist(),
        "outputs": {name: values.reshape(-1).tolist() for name, values in outputs.items() if name != "masks"},
        "cards": [*CARDS, *OTHER_CARDS],
        "sizes": SIZES,
        "labels": detector.card.classes,
    }
    (tmp_path / "told.json").write_text(json.dumps(told))
    (tmp_path / "run.mjs").write_text(
        "import {readFileSync} from 'node:fs';\nimport * as our from './kresnet.mjs';\n"
        "const told = JSON.parse(readFileSync('told.json')), read = (path) => new Uint8Array(readFileSync(path));\n"
        "const card = our.cardIn(read(told.file)), golden = our.unzipped(read(told.golden));\n"
        "const images = our.arrayIn(golden['images.npy']), answers = our.arrayIn(golden['int8.tflite.npy']);\n"
        "console.log(JSON.stringify({card, likeliest: our.likeliest(told.logits, card.labels, 3),\n"
        "  objects: our.objects(told.outputs, told.labels, 64, 48),\n"
        "  placed: told.cards.map((each) => told.sizes.map((size) => our.placed(each, ...size))),\n"
        "  gray: Array.from(our.channelsOf(Uint8ClampedArray.from([1, 2, 3, 255, 250, 9, 77, 255]), 1)),\n"
        "  images: [images.shape, images.values.reduce((a, b) => a + b, 0)],\n"
        "  answers: [answers.shape, Array.from(answers.values)]}));\n"
    )
    found = json.loads(ran(tool("node"), "run.mjs", cwd=tmp_path))
    assert found["card"]["labels"] == list(model.card.classes) and found["card"]["provenance"] == model.card.provenance
    (expected,) = top_k(logits[None], model.card.classes, 3)
    assert [each["label"] for each in found["likeliest"]] == [each["label"] for each in expected]
    assert found["likeliest"][0]["probability"] == pytest.approx(expected[0]["probability"])
    objects = describe_objects(outputs, detector.card.classes, detector.card.cells, (64, 48))
    assert [each["label"] for each in found["objects"]] == [each["label"] for each in objects]
    for ours, theirs in zip(objects, found["objects"], strict=True):
        assert theirs["box"] == pytest.approx(ours["box"], abs=0.06)
    luma = Image.fromarray(np.array([[[1, 2, 3], [250, 9, 77]]], np.uint8)).convert("L")
    assert found["gray"] == np.asarray(luma).ravel().tolist()
    golden = np.load(exports / "golden.npz")
    assert found["images"] == [list(golden["images"].shape), int(golden["images"].sum(dtype=np.int64))]
    assert found["answers"][0] == list(golden["int8.tflite"].shape)
    np.testing.assert_allclose(found["answers"][1], golden["int8.tflite"].ravel(), rtol=1e-6)
    for card, row in zip([*CARDS, *OTHER_CARDS], found["placed"], strict=True):
        for size, place in zip(SIZES, row, strict=True):
            assert_placed(card, size, place["from"], place["to"])
