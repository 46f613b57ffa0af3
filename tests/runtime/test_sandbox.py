"""Files that end a runtime, or that are not what they say; images that are not there, or damaged: a sentence each."""

import json
import os
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import opening
import pytest
from mutants import archive_of, bomb, damage_saved_model, texts_of, with_texts
from PIL import Image
from samples import silent

from keras_resnet.errors import ExportError
from keras_resnet.export import pipeline, writing
from keras_resnet.export.flatbuffer import pack_model
from keras_resnet.export.load import load_file
from keras_resnet.export.request import ExportRequest
from keras_resnet.runtime import cli as edge
from keras_resnet.runtime import sandbox
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.tflite_model import TFLiteModel

ADD, CONV_2D = 0, 3
ROOT = Path(__file__).parents[2]


def alone(*arguments, edge=False, cwd=None):
    """A command in a process of its own, which may die."""
    module = "keras_resnet.runtime.cli" if edge else "keras_resnet"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def rescaled(content, scale, of=None):
    """Other scales, of all tensors or of the output of the first operator of a kind."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    tensors = graph.tensors
    if of is not None:
        kinds = [model.operatorCodes[op.opcodeIndex].builtinCode for op in graph.operators]
        tensors = [graph.tensors[graph.operators[kinds.index(of)].outputs[0]]]
    for tensor in tensors:
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            tensor.quantization.scale = np.full(len(tensor.quantization.scale), scale, np.float32)
    return pack_model(model) + archive_of(content)


def retold(content, **changes):
    labels, details = texts_of(content)
    labels = changes.pop("labels", labels)
    return with_texts(content, labels, json.dumps({**details, **changes}))


@pytest.fixture(scope="module")
def content(exported):
    return (exported[0].exports / "int8.tflite").read_bytes()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    file = tmp_path_factory.mktemp("image") / "0.png"
    Image.linear_gradient("L").convert("RGB").save(file)
    return file


@pytest.mark.parametrize(
    ("make", "words"),
    [
        # LiteRT 2.3 frees twice, and reads at address 0.
        (lambda content: rescaled(content, 4e-9, of=ADD), "the process that tried it crashed (SIGABRT)"),
        (lambda content: rescaled(content, 0.0), "the process that tried it crashed (SIGSEGV)"),
    ],
)
def test_a_file_that_ends_its_process_is_a_sentence(exported, content, image, tmp_path, make, words):
    file = tmp_path / "x.tflite"
    file.write_bytes(make(content))
    loaded = f"from ai_edge_litert.interpreter import Interpreter as I; I({str(file)!r}).allocate_tensors()"
    died = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=False)
    if died.returncode >= 0:
        pytest.skip(f"this LiteRT does not die of it: {died.stderr[-200:]}")
    for done in (
        alone("predict", file, image),
        alone("inspect", file),
        alone("predict", file, image, edge=True),
        alone("verify", file, "--run", exported[0].folder),
        alone("evaluate", file, "--run", exported[0].folder),
    ):
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert words in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_a_written_file_that_ends_its_process_leaves_nothing(content, tmp_path):
    """`kresnet export` and `export_tflite` write by a hidden name, which is not the one to tell."""
    placement = writing.Placement(tmp_path / "x.tflite", tmp_path / "rejected" / "x.tflite")
    bad = rescaled(content, 4e-9, of=ADD)
    with pytest.raises(ExportError, match=f"^{tmp_path}/x.tflite cannot be run: the process that tried it crashed "):
        writer = SimpleNamespace(
            budget=None,
            file=SimpleNamespace(is_integer=True),
            writing=lambda staged: nullcontext(lambda: staged.write_bytes(bad)),
        )
        writing.write_and_verify(writer, placement, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda c: bomb(c, 2**26), "holds no labels and image sizes"),
        (lambda c: retold(c, image_size=60000, resize=60000), "its input is 1 × 8 × 8 × 3, but its images are said"),
        (lambda c: retold(c, resize=60000), "holds no labels"),
        (lambda c: retold(c, image_size="8"), "holds no labels"),
        (lambda c: retold(c, image_size=True, resize=True), "holds no labels"),
        (lambda c: retold(c, image_size=7), "are said to be 7 × 7"),
        (lambda c: retold(c, labels="a\nb\nc\n"), "its outputs are logits 1 × 10; the task classify with 3 labels"),
        (lambda c: retold(c, labels="\n".join("abcdefghijk") + "\n"), "with 11 labels has others"),
        (lambda c: retold(c, labels="\n" * 10), "holds no labels"),
        (lambda c: retold(c, postprocessing="objects"), "holds no labels"),
        (lambda c: retold(c, postprocessing="objects", cells=[4, 2]), "its outputs are logits 1 × 10; the task"),
        (lambda c: retold(c, task=["classify"]), "holds no labels"),
        (lambda c: retold(c, preprocessing=["letterbox"]), "holds no labels"),
        (lambda c: retold(c, postprocessing="poses"), "holds no labels"),
        (lambda c: retold(c, cells=[8]), "holds no labels"),
        (lambda c: retold(c, levels=[1.0]), "holds no labels"),
        (lambda c: retold(c, levels=[9.0, 9.0]), "holds no labels"),
        (lambda c: retold(c, levels=[0.0, 10**400]), "holds no labels"),
        (lambda c: retold(c, provenance=[1]), "holds no labels"),
        (lambda c: retold(c, provenance={}), "holds no labels"),
        (lambda c: retold(c, provenance={"scheme": "int8", "run": 7}), "holds no labels"),
        (lambda c: c[: c.index(b"PK\x03\x04")], "holds no labels"),
        (lambda c: with_texts(c, "a\n", "[" * 10**6), "holds no labels"),
        (lambda c: with_texts(c, texts_of(c)[0], json.dumps(texts_of(c)[1]), zipfile.ZIP_LZMA), "holds no labels"),
        (lambda c: rescaled(c, float("nan")), "cannot be run|is damaged|not finite"),
        (lambda c: b"", "is not a TFLite model: it is empty"),
    ],
)
def test_a_file_is_compared_with_its_card(kresnet, content, image, tmp_path, capsys, make, words):
    file = tmp_path / "x.tflite"
    file.write_bytes(make(content))
    for told in (kresnet("predict", file, image), kresnet("inspect", file)):
        assert told[:2] == (1, "") and len(told[2]) == 1
    with pytest.raises(ExportError, match=words):
        load_file(file)
    assert edge.main(["predict", str(file), str(image)]) == 1
    assert capsys.readouterr().err.startswith(f"kresnet-edge: {file}")


def test_a_bomb_is_not_unpacked(content, tmp_path):
    """A gigabyte in a file of one megabyte."""
    file = tmp_path / "x.tflite"
    file.write_bytes(bomb(content, 2**30))
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom keras_resnet.runtime import metadata\n"
        f"content = Path({str(file)!r}).read_bytes()\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    metadata.read_metadata(content, Path('x'))\nexcept metadata.ExportError as error:\n    print(error)\n"  # noqa: E501
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "holds no labels and image sizes" in done.stdout


def test_too_slow_and_too_large_files_are_refused(content, tmp_path, monkeypatch):
    slow = tmp_path / "slow.tflite"
    slow.write_bytes(content)
    with monkeypatch.context() as patch, opening.patched():
        patch.setattr(sandbox, "TIMEOUT_SECONDS", 0.0)
        with pytest.raises(ExportError, match=r"slow\.tflite cannot be run: inference on one image takes longer than"):
            TFLiteModel(slow)
    large = tmp_path / "large.tflite"
    with large.open("wb") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(ExportError, match="is larger than any TFLite file: 2147483649 bytes"):
        TFLiteModel(large)


def test_a_file_that_takes_all_memory_is_refused(content, tmp_path):
    """It makes 13 gigabytes of an image of 8 × 8 pixels; a few kilobytes say so."""
    import keras

    from keras_resnet.export.formats.tflite import write_tflite
    from keras_resnet.export.tflite_metadata import write_metadata
    from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions

    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, keras.ops.max(keras.ops.tile(pixels, (1, 4096, 4096, 1)), axis=(1, 2)))
    file = tmp_path / "x.tflite"
    write_tflite(model, TFLiteOptions(SCHEMES["float32"], "uint8"), None, file)
    write_metadata(file, ModelMetadata(("a", "b", "c"), 8, 8, {"scheme": "float32"}), 0.0)
    assert file.stat().st_size < 10_000
    with pytest.raises(ExportError, match=r"x.tflite cannot be run|x.tflite is not a readable"):
        TFLiteModel(file)


def test_labels_may_hold_what_looks_like_the_end_of_a_line(content, tmp_path):
    file = tmp_path / "x.tflite"
    rows = [*"abcdefgh", "i\u2028j", "k\x0bl"]
    file.write_bytes(retold(content, labels="".join(f"{row}\n" for row in rows)))
    assert TFLiteModel(file).card.classes == tuple(rows)


def test_what_is_no_number_is_no_answer(exported):
    from keras_resnet.runtime.predictions import decode_predictions

    card = load_file(exported[0].exports / "int8.tflite").card
    for value in (np.nan, np.inf):
        logits = np.zeros((1, 10), np.float32)
        logits[0, 3] = value
        with pytest.raises(ExportError, match="the network's logits are not finite"):
            decode_predictions(card, logits, 5, [(8, 8)])


def test_onnx_files_have_the_names_of_the_documentation(exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported[0].exports / "model.onnx"))
    (pixels,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (pixels.name, pixels.shape) == ("pixels", ["batch", 8, 8, 3])
    assert (logits.name, logits.shape) == ("logits", ["batch", 10])


@pytest.mark.slow
def test_onnx_detectors_have_the_names_of_the_documentation(segmented, tmp_path):
    import onnxruntime

    from keras_resnet.evaluation.evaluate import load_model
    from keras_resnet.export.tflite_options import build_tflite_options

    forms = tuple(build_tflite_options(("float32",)))
    pipeline.export(segmented, ExportRequest(tflite=forms, formats=("onnx",), max_drop=100, samples=10), silent)
    session = onnxruntime.InferenceSession(str(segmented.exports / "model.onnx"))
    outputs = {each.name: each.shape for each in session.get_outputs()}
    assert set(outputs) == {"scores", "distances", "coefficients", "prototypes"}
    assert {shape[0] for shape in outputs.values()} == {"batch"}
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    found, expected = load_file(segmented.exports / "model.onnx")(images), load_model(segmented)(images * 1.0)
    for name in outputs:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-3)


@pytest.mark.slow
def test_a_saved_model_is_tried_first(exported, tmp_path):
    import shutil

    folder = Path(shutil.copytree(exported[0].exports / "saved_model", tmp_path / "saved_model"))
    for number, words in ((0, "saved_model"), (2, "saved_model")):
        damage_saved_model(folder, number)
        with pytest.raises(ExportError, match=words):
            load_file(folder)


@pytest.fixture
def mixed(tmp_path):
    """A folder of three images and two damaged ones."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "c", "e"):
        Image.new("RGB", (9, 7), "red").save(folder / f"{name}.png")
    (folder / "b.png").write_bytes(b"nothing like it")
    (folder / "d.png").write_bytes((folder / "a.png").read_bytes()[:40])
    return folder


def test_a_damaged_image_stops_no_other(kresnet, exported, mixed, tmp_path):
    file = exported[0].exports / "int8.tflite"
    for arguments in ([mixed], sorted(mixed.iterdir()), [mixed, "--save", tmp_path / "drawn"]):
        code, out, err = kresnet("predict", file, *arguments, "--json")
        rows = [json.loads(line) for line in out.splitlines()]
        assert code == 1 and [row["image"] for row in rows] == [str(mixed / f"{name}.png") for name in "ace"]
        err = [line for line in err if not line.startswith("--save: the folder")]
        assert f"cannot read image {mixed / 'b.png'}: not an image" in err[0] and str(mixed / "d.png") in err[1]
        assert err[2:] == ["kresnet: 2 of 5 files could not be read; the others were answered"]
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a.png", "c.png", "e.png"]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_nor_on_a_device(exported, mixed, capfd, batch):
    file = exported[0].exports / "int8.tflite"
    assert edge.main(["predict", str(file), str(mixed), "--json", "--batch", str(batch)]) == 1
    out, err = capfd.readouterr()
    assert [Path(json.loads(line)["image"]).name for line in out.splitlines()] == ["a.png", "c.png", "e.png"]
    told = [line for line in err.splitlines() if line.startswith("kresnet-edge: ")]
    assert "b.png: not an image" in told[0] and "d.png" in told[1]
    assert told[2:] == ["kresnet-edge: 2 of 5 files could not be read; the others were answered"]


def test_a_damaged_video_stops_no_image(kresnet, exported, mixed, tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video")
    code, out, err = kresnet("predict", exported[0].exports / "int8.tflite", tmp_path / "x.mp4", mixed / "a.png")
    assert code == 1 and out.startswith(f"{mixed / 'a.png'}: ") and "x.mp4: it is no video" in err[0]


def test_one_image_alone_is_told_once(kresnet, exported, mixed):
    code, out, err = kresnet("predict", exported[0].exports / "int8.tflite", mixed / "b.png")
    assert (code, out) == (1, "") and len(err) == 1
    assert err[0].startswith(
        f"kresnet: cannot read image {mixed / 'b.png'}: not an image: it is text, which begins with"
    )


def test_what_can_be_checked_is_checked_before_tensorflow(exported, mixed, tmp_path):
    """In one process, which must not have imported it in the end."""
    run, _ = exported
    saved, good = run.exports / "saved_model", mixed / "a.png"
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos").mkdir()
    for name in ("notes.txt", "more.txt"):
        (tmp_path / name).write_text("no image")
    for name in ("pipe", "pipe.tflite", "pipe.onnx", "pipe.c"):
        os.mkfifo(tmp_path / name)
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (9, 7)).save(other / "a.png")
    for label in ("cat", "dog"):
        (tmp_path / "classes" / label).mkdir(parents=True)
        Image.new("RGB", (9, 7)).save(tmp_path / "classes" / label / "a.png")
    home = ["--runs", tmp_path / "none"]
    asked = [
        (["predict", run.folder, "missing.jpg"], 1, "cannot read missing.jpg: no such file"),
        (["predict", saved, good, "missing.jpg"], 1, "cannot read missing.jpg: no such file"),
        (["predict", run.folder, "pipe"], 1, "cannot read pipe: not a regular file"),
        (["predict", run.folder, "empty"], 1, "there are no images in empty"),
        (["predict", run.folder, good, "--save", "x.txt"], 2, "--save must name an image file"),
        (["predict", run.folder, good, other / "a.png", "--save", "x"], 2, "more than one file would be drawn to x/a"),
        (["predict", run.folder, "missing.mp4"], 1, "cannot read missing.mp4: no such file"),
        (["predict", "nothing", good, *home], 1, "no run called 'nothing'"),
        (["predict", "pipe.tflite", good], 1, "pipe.tflite is not a regular file"),
        (["predict", "missing.onnx", good], 1, "there is no file missing.onnx"),
        (["evaluate", run.folder, "--split", "tset"], 2, "--split must be one of train, validation, test"),
        (["evaluate", saved, "--run", "nothing", *home], 1, "no run called 'nothing'"),
        (["evaluate", "pipe.onnx"], 1, "pipe.onnx is not a regular file"),
        (["evaluate", "pipe.c"], 1, "pipe.c is not a regular file"),
        (["verify", saved, "--run", "nothing", *home], 1, "no run called 'nothing'"),
        (["verify", "pipe.onnx"], 1, "pipe.onnx is not a regular file"),
        (["verify", "empty"], 2, "empty is a folder but no run"),
        (["inspect", "pipe.tflite"], 1, "pipe.tflite is not a regular file"),
        (["inspect", "missing"], 1, "there is no file missing"),
        (["demo", run.folder, "--save", "empty"], 2, "--save must name a folder that is not there yet"),
        (["export", run.folder, "--tflite", "--calibration-data", "nothing"], 1, "nothing: no such folder"),
        (["export", run.folder, "--tflite", "--target", "ethos"], 2, "--target must be one of"),
        (["train", "--data", "./nowhere", *home], 1, "--data ./nowhere: no such file or folder"),
        (["train", "--data", "photo/", *home], 1, "--data photo/: no such file or folder. Did you mean 'photos'?"),
        (["train", "--data", "photo/cats", *home], 1, "--data photo/cats: no such file or folder"),
        (["train", "--data", "minst", *home], 1, "Did you mean 'mnist'?"),
        (
            ["train", "--data", "classes/cat", *home],
            1,
            "mean --data classes, which holds it and other folders of images?",
        ),
        (["study", "identity", "--quick", "--data", "photo/", *home], 1, "--data photo/: no such file or folder"),
        (["study", "degradation", "--data", "photo/", *home], 1, "--data photo/: no such file or folder"),
        (["check", "photo/"], 1, "DATA photo/: no such file or folder"),
        (["predict", run.folder, "notes.txt"], 1, "cannot read image notes.txt: not an image"),
        (["predict", run.folder, "notes.txt", "more.txt"], 1, "none of the 2 files could be read"),
        (["train", "--task", "detect", "--depth", "10", "--freeze", "logits", *home], 2, "has no part 'logits'"),
        (["train", "--resume", "nothing", *home], 1, "no run called 'nothing'"),
        (["train", "--resume", run.name, "--runs", run.folder.parent], 1, "has finished; there is nothing to resume"),
        (["train", "--weights", "missing.pth", *home], 1, "missing.pth"),
        (["compress", "nothing", "--qat", *home], 1, "no run called 'nothing'"),
        (["diagnose", "nothing", *home], 1, "no run called 'nothing'"),
        (["report", "nothing", *home], 1, "no run called 'nothing'"),
    ]
    code = (
        "import json, sys\nfrom keras_resnet.cli import main\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    print(main.run_command(arguments), 'tensorflow' in sys.modules or 'keras' in sys.modules, flush=True)\n"
        "    print('next', file=sys.stderr, flush=True)"
    )
    jobs = json.dumps([list(map(str, arguments)) for arguments, _, _ in asked])
    done = subprocess.run(
        [sys.executable, "-c", code, jobs], capture_output=True, text=True, cwd=tmp_path, timeout=300, check=True
    )
    told = done.stderr.split("next\n")
    for (arguments, expected, words), line, sentence in zip(asked, done.stdout.splitlines(), told, strict=False):
        assert line == f"{expected} False" and words in sentence, (arguments, line, sentence)
    assert len(done.stdout.splitlines()) == len(asked) and not (tmp_path / "x").exists()


def test_on_a_device_images_are_checked_before_the_file_is_opened(exported, tmp_path, monkeypatch, capsys):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(edge, "TFLiteModel", lambda *_: pytest.fail("it was opened"))
    for name, words in ((tmp_path / "pipe", "not a regular file"), ("missing.png", "no such file")):
        assert edge.main(["predict", str(exported[0].exports / "int8.tflite"), str(name)]) == 1
        assert words in capsys.readouterr().err
    assert edge.main(["predict", str(tmp_path / "pipe"), "missing.png"]) == 1
    assert "pipe is not a regular file" in capsys.readouterr().err
