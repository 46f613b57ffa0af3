"""A bundle has all that a harness elsewhere needs, and the outputs that its examples write get the usual verdict."""

import errno
import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from pages import STUBS, ran
from samples import silent

from keras_resnet.errors import KresnetError, RunError
from keras_resnet.export.bundle import write_bundle
from keras_resnet.export.evaluate import RunLookup
from keras_resnet.run import Run
from keras_resnet.runtime.tflite_model import TFLiteModel

IMAGES = 40
FILES = {"README.md", "Run.kt", "Run.swift", "images.bin", "images.npy", "int8.tflite", "manifest.json"}
FILES |= {"run.c", "run.py"}


@pytest.fixture(scope="module")
def run(exported, tmp_path_factory):
    """A run whose verdicts may change."""
    return Run(shutil.copytree(exported[0].folder, tmp_path_factory.mktemp("bundles") / exported[0].name))


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    """The folder, for forty images."""
    folder = tmp_path_factory.mktemp("elsewhere") / "bundle"
    write_bundle(run.exports / "int8.tflite", folder, IMAGES, RunLookup(run.folder.parent), silent)
    return folder


@pytest.fixture(scope="module")
def results(bundle):
    """What its run.py writes, which knows nothing of kresnet."""
    ran(sys.executable, "-I", "run.py", cwd=bundle)
    return bundle / "results.npz"


def test_the_folder_holds_what_its_manifest_says(run, bundle):
    assert {each.name for each in bundle.iterdir()} >= FILES
    manifest = json.loads((bundle / "manifest.json").read_text())
    images = np.load(bundle / "images.npy")
    shape = [IMAGES, *run.spec().data.input_shape]
    assert images.dtype == np.uint8 and list(images.shape) == manifest["images"]["shape"] == shape
    assert (bundle / "images.bin").read_bytes() == images.tobytes()
    assert manifest["images"]["each"] == [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    content = (run.exports / "int8.tflite").read_bytes()
    assert (bundle / "int8.tflite").read_bytes() == content
    assert manifest["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert tuple(manifest["labels"]) == run.classes()
    (output,) = manifest["outputs"]
    assert output["name"] == "logits" and output["dtype"] == "uint8" and output["shape"] == [1, 10]
    scale, zero_point = TFLiteModel(run.exports / "int8.tflite").quantization["logits"]
    assert (output["scale"], output["zero_point"]) == (scale, zero_point)


def test_no_place_in_an_example_is_left_open(bundle):
    import re

    for name in ("README.md", "run.py", "run.c", "Run.kt", "Run.swift"):
        assert not re.search(r"@[A-Z_]+@", (bundle / name).read_text()), name
    assert len((bundle / "README.md").read_text().splitlines()) < 60


def test_the_images_are_those_that_files_are_verified_on(run, bundle):
    from keras_resnet.export.pipeline import load_run_data
    from keras_resnet.export.verify import Reference

    batches = Reference.from_run(run, load_run_data(run, silent), IMAGES).batches()
    expected = np.concatenate([np.asarray(images) for images, _ in batches])
    np.testing.assert_array_equal(np.load(bundle / "images.npy"), expected)


def test_outputs_of_the_example_get_the_verdict_of_the_file(kresnet, run, bundle, results):
    runs = ("--runs", run.folder.parent)
    file, where = run.exports / "int8.tflite", ("--where", "Pixel 9, GPU")
    code, printed, _ = kresnet("verify", file, "--outputs", results, *where, "--samples", IMAGES, *runs, "--json")
    (row,) = json.loads(printed)
    assert code == 0 and row["cpu_agreement"] == 1 and row["samples"] == IMAGES
    assert row["latency_ms"] is None and row["device"]["where"] == "Pixel 9, GPU"
    (kept,) = run.device_verdicts()
    assert kept["value"] == row["value"] and kept["file"] == "int8.tflite"
    code, printed, _ = kresnet("verify", run.name, "--outputs", results, *where, "--samples", IMAGES, *runs)
    assert code == 0 and "Pixel 9, GPU" in printed and "outputs of results.npz" in printed
    assert len(run.device_verdicts()) == 1
    report = (run.folder / "report.html").read_text()
    assert "Pixel 9, GPU" in report and "Pixel 9, GPU" in (run.exports / "model_card.md").read_text()


def test_outputs_that_are_far_off_are_noticed_though_the_predictions_agree(kresnet, run, results, tmp_path):
    halved = tmp_path / "halved.npz"
    np.savez(halved, logits=TFLiteModel(run.exports / "float32.tflite")(np.load(results.with_name("images.npy"))) / 2)
    wanted = ("--samples", IMAGES, "--runs", run.folder.parent)
    code, printed, _ = kresnet("verify", run.exports / "float32.tflite", "--outputs", halved, *wanted)
    assert code == 0 and "float32.tflite on halved.npz: its outputs are 50% off those of this machine's CPU" in printed
    (row,) = [row for row in run.device_verdicts() if row["file"] == "float32.tflite"]
    assert row["cpu_agreement"] == 1 and row["cpu_difference"] == pytest.approx(0.5, abs=1e-6)


def test_wrong_outputs_fail_and_rows_in_another_order_are_noticed(kresnet, run, bundle, results, tmp_path):
    raw = np.load(results)["logits"]
    constant, turned = tmp_path / "constant.npy", tmp_path / "turned.npz"
    np.save(constant, np.full_like(raw, 84))
    np.savez(turned, logits=np.roll(raw, 1, axis=0))
    wanted = ("--samples", IMAGES, "--runs", run.folder.parent)
    code, printed, errors = kresnet(
        *("verify", run.exports / "int8.tflite", "--outputs", constant, "--outputs", turned), *wanted
    )
    assert code == 1 and "FAILED" in printed
    (line,) = [line for line in errors if line.startswith("kresnet: ")]
    assert "int8.tflite lost" in line and "on constant.npy" in line
    assert "turned.npz has its rows in another order than the images: row 1 is what this machine's CPU" in line


def test_the_c_example_compiles_and_writes_arrays(run, bundle, tmp_path):
    compiler = shutil.which("cc") or pytest.skip("there is no C compiler")
    for name in ("run.c", "images.bin"):
        shutil.copy(bundle / name, tmp_path)
    (tmp_path / "tensorflow/lite/c").mkdir(parents=True)
    (tmp_path / "results").mkdir()
    shutil.copy(STUBS / "tflite_c" / "c_api.h", tmp_path / "tensorflow/lite/c")
    ran(compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-I.", "run.c", "-o", "run", cwd=tmp_path)
    ran(tmp_path / "run", cwd=tmp_path)
    written = np.load(tmp_path / "results" / "logits.npy")
    images = np.load(bundle / "images.npy")
    np.testing.assert_array_equal(written, images.reshape(IMAGES, -1)[:, :10])
    assert written.dtype == np.uint8


def test_the_kotlin_example_compiles_and_writes_arrays(bundle, tmp_path):
    compiler = shutil.which("kotlinc") or pytest.skip("kotlinc is not installed")
    for name in ("Run.kt", "images.bin"):
        shutil.copy(bundle / name, tmp_path)
    (tmp_path / "main.kt").write_text(
        "import com.google.ai.edge.litert.*\nimport java.io.File\n\nfun main() {\n"
        '    TensorBuffer.STAND_IN_BYTES = 10\n    runBundle(File("."), Accelerator.GPU)\n}\n'
    )
    stubs = [STUBS / "kotlin" / name for name in ("litert.kt", "tensorflow.kt")]
    sources = [tmp_path / "Run.kt", tmp_path / "main.kt", *stubs]
    ran(compiler, *sources, "-include-runtime", "-d", "run.jar", cwd=tmp_path)
    ran("java", "-cp", "run.jar", "MainKt", cwd=tmp_path)
    images = np.load(bundle / "images.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "results" / "logits.npy"), images.reshape(IMAGES, -1)[:, :10])


def test_pixels_become_what_an_int8_file_takes(run, tmp_path):
    """The C array's input is int8."""
    folder = tmp_path / "bundle"
    write_bundle(run.exports / "c_array", folder, 8, RunLookup(run.folder.parent), silent)
    ran(sys.executable, "-I", "run.py", cwd=folder)
    # TensorFlow Lite's Swift API throws invalidTensorDataType for int8 tensors.
    assert {each.name for each in folder.iterdir()} & FILES == FILES - {"Run.swift", "int8.tflite"}
    readme = (folder / "README.md").read_text()
    assert "Run.swift" not in readme and "no type for int8 tensors in Swift" in readme
    found = np.load(folder / "results.npz")["logits"]
    model = TFLiteModel(run.exports / "c_array" / "kresnet_model.c")
    scale, zero_point = model.quantization["logits"]
    expected = model(np.load(folder / "images.npy"))
    assert found.dtype == np.int8
    np.testing.assert_allclose((found.astype(np.float32) - zero_point) * scale, expected, atol=1e-6)


def test_a_folder_that_is_there_is_left_alone(kresnet, run, bundle):
    code, _, errors = kresnet("bundle", run.exports / "int8.tflite", "--save", bundle, "--runs", run.folder.parent)
    assert code == 2 and errors == [
        f"kresnet: a bundle is written to a folder that is not there yet. Received: {bundle}"
    ]


def test_a_folder_that_cannot_be_made_is_refused_before_data_are_read(kresnet, run, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_resnet.export.bundle.load_run_data", lambda *given: pytest.fail("data were read"))
    file = tmp_path / "file"
    file.touch()
    code, _, errors = kresnet("bundle", run.exports / "int8.tflite", "--save", file / "x", "--runs", run.folder.parent)
    assert code == 1 and errors == [f"kresnet: cannot write {file}: Not a directory"]


def test_a_bundle_is_written_whole_or_not_at_all(run, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(RunError, match=r"cannot write .*: No space left on device"):
        write_bundle(run.exports / "int8.tflite", tmp_path / "bundle", 8, RunLookup(run.folder.parent), silent)
    assert list(tmp_path.iterdir()) == []


def test_files_that_devices_do_not_run_are_refused(run, tmp_path):
    with pytest.raises(KresnetError, match=r"onnx\.onnx is no TFLite file|is no TFLite file"):
        write_bundle(next(run.exports.glob("*.onnx")), tmp_path / "bundle", 8, RunLookup(run.folder.parent), silent)


def test_from_python(run, tmp_path, monkeypatch):
    import keras_resnet as kr

    monkeypatch.chdir(tmp_path)
    folder = kr.bundle(run.exports / "int8.tflite", samples=12, runs=run.folder.parent)
    assert folder.name == "int8-bundle" and folder.is_dir()
    subprocess.run([sys.executable, "-I", "run.py"], cwd=folder, check=True)
    verdict = kr.verify_outputs(
        run.exports / "int8.tflite", folder / "results.npz", where="a lab", samples=12, run=kr.open_run(run.folder)
    )
    assert verdict.passed and verdict.cpu_agreement == 1 and verdict.device.where == "a lab"
