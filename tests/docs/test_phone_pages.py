"""The code on the pages for Android and iOS, as far as it can be compiled and run without a phone."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from pages import CARDS, SIZES, STUBS, assert_placed, blocks, ran

from keras_resnet.runtime.predictions import top_k
from keras_resnet.runtime.tflite_model import TFLiteModel


@pytest.fixture(scope="module")
def model(exported):
    """The file that both pages take."""
    return TFLiteModel(exported[0].exports / "int8.tflite")


def kotlin():
    """The compiler, which few machines have; Debian's package kotlin brings one."""
    return shutil.which("kotlinc") or pytest.skip("kotlinc is not installed")


def test_the_kotlin_compiles_and_equals_ours(exported, model, tmp_path):
    compiler, exports = kotlin(), exported[0].exports
    pages = blocks("android", "kotlin")
    for number, block in enumerate(pages):
        (tmp_path / f"page{number}.kt").write_text(block)
    logits = model(np.load(exports / "golden.npz")["images"][:1])[0]
    sizes = f"listOf({', '.join(f'{width} to {height}' for width, height in SIZES)})"
    asked = [
        f'ModelMetadata(listOf(), "{card["preprocessing"]}", {card["resize"]}, {card["image_size"]})' for card in CARDS
    ]
    places = "\n".join(f"    for ((w, h) in {sizes}) println(placed({card}, w, h))" for card in asked)
    (tmp_path / "main.kt").write_text(
        "import java.io.File\n\nfun main() {\n"
        f'    val card = readMetadata(File("{exports}/int8.tflite"))\n'
        '    println("${card.labels} ${card.preprocessing} ${card.resize} ${card.side}")\n'
        f"    println(topK(listOf({', '.join(f'{float(logit)!r}f' for logit in logits)}), 3))\n{places}\n"
        f'    println(agreement(File("{exports}/golden.npz"), "int8.tflite") {{ pixels ->\n'
        "        List(10) { (pixels[it].toInt() and 0xFF).toFloat() }\n    })\n}\n"
    )
    sources = [*tmp_path.glob("*.kt"), *sorted((STUBS / "kotlin").glob("*.kt"))]
    ran(compiler, *sources, "-include-runtime", "-d", "page.jar", cwd=tmp_path)
    card, best, *rest = ran("java", "-cp", "page.jar", "MainKt", cwd=tmp_path).splitlines()
    ours = model.card
    assert card == f"[{', '.join(ours.classes)}] {ours.preprocessing} {ours.resize} {ours.image_size}"
    (expected,) = top_k(logits[None], ours.classes, 3)
    found = re.findall(r"\((\d+), ([\d.E-]+)\)", best)
    assert [ours.classes[int(number)] for number, _ in found] == [each["label"] for each in expected]
    assert [float(share) for _, share in found] == pytest.approx([each["probability"] for each in expected], abs=1e-5)
    cases = [(card, size) for card in CARDS for size in SIZES]
    for (card, size), line in zip(cases, rest, strict=False):
        numbers = [int(number) for number in re.findall(r"=(\d+)", line)]
        assert_placed(card, size, numbers[:4], numbers[4:])
    golden = np.load(exports / "golden.npz")
    rows = golden["images"].reshape(len(golden["images"]), -1)[:, :10].argmax(1)
    same = (rows == golden["int8.tflite"].argmax(1)).sum()
    assert rest[len(cases) :] == [f"{same} of {len(rows)} reference predictions as expected"]


def test_what_an_iphone_reads_comes_out_of_the_file(exported, model, tmp_path):
    """By unzip, as the page says, and by the page's Python."""
    if not (unzip := shutil.which("unzip")):
        pytest.skip("unzip is not installed")
    exports = exported[0].exports
    (line,) = re.findall(r"^unzip (.*?)  +#", "\n".join(blocks("ios", "shell")), re.M)
    shutil.copy(exports / "int8.tflite", tmp_path)
    # It warns of what stands before the zip, by exit code 1.
    assert subprocess.run([unzip, *line.split()], cwd=tmp_path, capture_output=True).returncode in (0, 1)
    assert tuple((tmp_path / "labels.txt").read_text().splitlines()) == model.card.classes
    details = json.loads((tmp_path / "kresnet.json").read_text())
    code = "\n".join(blocks("ios", "swift"))
    fields = re.search(r"struct ModelMetadata: Decodable \{\n((?:  let \w+: \w+\n)+)", code)[1]
    kinds = {"String": str, "Int": int}
    assert all(isinstance(details[name], kinds[kind]) for name, kind in re.findall(r"let (\w+): (\w+)", fields))
    (tmp_path / "exports").symlink_to(exports)
    ran(sys.executable, "-c", *blocks("ios", "python"), cwd=tmp_path)
    golden, stored = json.loads((tmp_path / "golden.json").read_text()), np.load(exports / "golden.npz")
    assert golden["best"] == stored["int8.tflite"].argmax(1).tolist()
    assert np.array_equal(np.array(golden["images"]).reshape(stored["images"].shape), stored["images"])
    assert re.search(r"let images: \[\[UInt8\]\]\n  let best: \[Int\]", code)
