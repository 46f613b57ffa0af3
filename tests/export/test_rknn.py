"""Files for Rockchip's NPUs: by something that stands for rknn-toolkit2 and computes with onnxruntime, and by the
toolkit itself where it is named."""

import contextlib
import io
import json
import os
import shutil
import sys
import textwrap

import numpy as np
import pytest
from samples import silent

from keras_resnet.cli import main
from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.formats import find_format, get_format
from keras_resnet.export.formats.base import Conversion
from keras_resnet.export.formats.rknn import Runner
from keras_resnet.export.load import file_size, load_file
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.rockchip import CHIPS, PYTHON_VARIABLE, RknnOptions
from keras_resnet.export.settings import ExportSettings
from keras_resnet.export.tflite_options import SCHEMES
from keras_resnet.runtime.metadata import ModelMetadata

pytest.importorskip("tf2onnx")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="rknn-toolkit2 is for Linux")
REAL = os.environ.get(PYTHON_VARIABLE, "")
FILE = "rk3588-int8"
TOOLKIT = """
    import pathlib

    import numpy as np
    import onnxruntime

    class RKNN:
        def __init__(self, verbose):
            print("\\x1b[33mnoise that is no answer\\x1b[0m")

        def config(self, mean_values, std_values, target_platform):
            (mean,), (std,) = mean_values, std_values
            assert not any(mean) and set(std) == {1}
            self.chip = target_platform

        def load_onnx(self, path):
            self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            (pixels,) = self.session.get_inputs()
            assert pixels.name == "pixels"
            self.shape = pixels.shape
            return 0

        def build(self, do_quantization, dataset=None):
            if self.chip == "rv1103":
                return -1
            if self.chip == "rk2118":
                raise ValueError("Traceback:\\n  File x\\n\\x1b[31mValueError: no such op\\x1b[0m\\n")
            assert do_quantization == bool(dataset)
            for line in pathlib.Path(dataset).read_text().splitlines() if dataset else ():
                image = np.load(pathlib.Path(dataset).parent / line)
                assert list(image.shape) == self.shape and image.dtype == np.uint8
            return 0

        def export_rknn(self, path):
            pathlib.Path(path).write_bytes(b"RKNN" * 1000)
            return 0

        def init_runtime(self):
            return 0

        def inference(self, inputs, data_format):
            assert data_format == ["nhwc"] and inputs[0].dtype == np.uint8
            return self.session.run(None, {"pixels": inputs[0].transpose(0, 3, 1, 2).astype(np.float32)})
"""


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory):
    """A Python with what stands for the toolkit."""
    folder = tmp_path_factory.mktemp("toolkit")
    (folder / "rknn").mkdir()
    (folder / "rknn" / "api.py").write_text(textwrap.dedent(TOOLKIT))
    (folder / "rknn" / "__init__.py").touch()
    (folder / "rknn_toolkit2-9.8.dist-info").mkdir()
    words = "Metadata-Version: 2.1\nName: rknn-toolkit2\nVersion: 9.8\n"
    (folder / "rknn_toolkit2-9.8.dist-info" / "METADATA").write_text(words)
    python = folder / "python"
    # It is called isolated, which this Python may not be, or it would not see the folder.
    python.write_text(f'#!/bin/sh\nshift\nPYTHONSAFEPATH=1 PYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PYTHON_VARIABLE, raising=False)
        yield python


@pytest.fixture(scope="module")
def exported_for_chip(trained, tmp_path_factory, toolkit):
    """A run with such a file alone, and what the command printed of it."""
    from keras_resnet.run import Run

    home = tmp_path_factory.mktemp("rknn")
    run = Run(shutil.copytree(trained.folder, home / "resnet8-digits"))
    shutil.rmtree(run.exports, ignore_errors=True)
    wanted = ["--target", "rk3588", "--target-python", str(toolkit), "--samples", "60", "--json"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = main.run_command(["export", str(run.folder), *wanted])
    assert code == 0
    return run, printed.getvalue()


@pytest.fixture
def written(exported_for_chip):
    """The run with the file."""
    return exported_for_chip[0]


@linux
def test_a_file_is_written_and_simulated(exported_for_chip, kresnet):
    written, out = exported_for_chip
    (row,) = json.loads(out)
    assert row["file"] == FILE and row["verdict"] in ("PASSED", "NOT PROVEN") and row["agreement"] == 1.0
    assert row["simulator"] == "rknn-toolkit2 9.8's simulator of rk3588" and row["machine"].startswith(row["simulator"])
    assert row["latency_ms"] is None and row["cost"] == {"latencies": [], "first_ms": 0.0, "peak_mib": 0.0}
    assert row["bytes"] == file_size(written.exports / FILE) == 4000
    assert PYTHON_VARIABLE not in os.environ
    assert not list(written.exports.glob("*.tflite"))
    folder = written.exports / FILE
    names = {"model.rknn", "labels.txt", "kresnet.json", "model.onnx", "calibration.npy"}
    assert {each.name for each in folder.iterdir()} == names and find_format(folder) is get_format("rknn")
    remark = f"{FILE} was run in rknn-toolkit2 9.8's simulator of rk3588, not on a chip"
    assert remark in (written.exports / "model_card.md").read_text()
    code, _, _ = kresnet("report", written.folder)
    report = written.report_file.read_text()
    assert code == 0 and remark.split(" ", 1)[1].replace("'", "&#39;") in report and FILE in report


@linux
def test_it_is_verified_again_and_shown(written, toolkit, kresnet, monkeypatch):
    monkeypatch.setenv(PYTHON_VARIABLE, str(toolkit))
    code, out, err = kresnet("verify", written.folder, "--samples", 60)
    assert code == 0, err
    assert "was run in rknn-toolkit2 9.8's simulator of rk3588, not on a chip; what it takes there" in out
    assert "–" in out and "latency: median" not in out
    code, out, _ = kresnet("compare", written.folder, written.folder)
    assert code == 0 and FILE in out


@linux
def test_damaged_files_are_refused(written, toolkit, tmp_path, monkeypatch):
    monkeypatch.setenv(PYTHON_VARIABLE, str(toolkit))
    for name in ("model.rknn", "model.onnx", "calibration.npy"):
        folder = shutil.copytree(written.exports / FILE, tmp_path / name.replace(".", "-"))
        (folder / name).write_bytes((folder / name).read_bytes()[:-1])
        with pytest.raises(ExportError, match=f"{name} is missing, or is not what was written"):
            load_file(folder)
    folder = shutil.copytree(written.exports / FILE, tmp_path / "metadata")
    details = json.loads((folder / "kresnet.json").read_text())
    for section in ({}, {**details["rknn"], "chip": "abacus"}, {**details["rknn"], "sha256": {"../x": "0"}}, 5):
        (folder / "kresnet.json").write_text(json.dumps({**details, "rknn": section}))
        with pytest.raises(ExportError, match="was not exported by kresnet or is damaged"):
            load_file(folder)


@linux
def test_no_python_of_a_folder_is_run(written, monkeypatch):
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    with pytest.raises(UsageError, match="need rknn-toolkit2, which takes a Python environment of its own; make one"):
        load_file(written.exports / FILE)


@linux
def test_gray_images_that_are_not_square(toolkit, tmp_path, monkeypatch):
    import keras

    monkeypatch.setenv(PYTHON_VARIABLE, str(toolkit))
    keras.utils.set_random_seed(0)
    layers = keras.layers
    pixels = keras.Input((6, 10, 1))
    hidden = layers.Flatten()(layers.Conv2D(4, 3, padding="same", activation="relu")(pixels / 255))
    model = keras.Model(pixels, {"logits": layers.Dense(3)(hidden), "box": layers.Dense(4)(hidden)})
    metadata = ModelMetadata(("a", "b", "c"), (6, 10), (6, 10), {"scheme": "rk3566-float16"}, channels=1)
    options = RknnOptions(SCHEMES["float16"], "rk3566")
    get_format("rknn").write(model, Conversion(metadata, options), tmp_path / options.name)
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 10, 1), np.uint8)
    loaded = load_file(tmp_path / options.name)
    found, expected = loaded(images), model(images.astype(np.float32))
    assert loaded.card.classes == ("a", "b", "c") and set(found) == {"box", "logits"}
    for name, each in found.items():
        assert each.dtype == np.float32 and np.allclose(each, expected[name], atol=1e-4)
    assert not (tmp_path / options.name / "calibration.npy").exists()


@linux
def test_what_the_toolkit_says_is_passed_on(written, toolkit, kresnet, monkeypatch):
    monkeypatch.setenv(PYTHON_VARIABLE, str(toolkit))
    kept = written.verdicts_file.read_text()
    code, _, err = kresnet("export", written.folder, "--target", "rk2118", "--quantize", "float16", "--samples", 20)
    log = written.exports / "rk2118-float16.log"
    assert code == 1 and err[-1].endswith(
        f"rknn-toolkit2 could not build rk2118-float16: ValueError: no such op; the output of rknn-toolkit2 is in {log}"
    )
    assert "noise that is no answer" in log.read_text()
    assert not (written.exports / "rk2118-float16").exists() and written.verdicts_file.read_text() == kept
    with pytest.raises(ExportError, match="build failed with -1"):
        Runner(written.exports / FILE, "rv1103", 3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"formats": ("rknn",)}, f"--rknn needs --target with one of {', '.join(CHIPS)}. Received: no target"),
        (
            {"formats": ("rknn",), "target": ("rk9999",)},
            f"--rknn needs --target with one of {', '.join(CHIPS)}. Received: rk9999",
        ),
        ({"target": ("rk3589",)}, "--target must be one of .*rk3588, .*Did you mean 'rk3588'"),
        ({"target_python": "python"}, "--target-python is for --target with one of rk3588"),
        ({"target": ("rk3588",), "quantize": ("float32",)}, "--quantize of RKNN must be one of float16, int8"),
        ({"target": ("rk3588",), "batch": 2}, "--batch is for TFLite files; add --tflite"),
    ],
)
def test_what_cannot_be_had(trained, settings, words):
    with pytest.raises(UsageError, match=words):
        ExportRequest.from_settings(ExportSettings(**settings), trained)


def test_which_files_are_asked_for(trained):
    def names(**settings):
        request = ExportRequest.from_settings(ExportSettings(**settings), trained)
        return [each.name for each in request.files(trained)]

    assert names(target=("rk3588", "rv1106")) == [FILE, "rv1106-int8"]
    assert names(target=("rk3588",), quantize=("all",)) == ["rk3588-float16", FILE]
    assert names(target=("rk3588",), formats=("onnx",)) == ["model.onnx", FILE]
    assert names(target=("rk3588", "edgetpu")) == ["float32.tflite", "int8.tflite", FILE]


@linux
@pytest.mark.parametrize(
    ("python", "words"),
    [
        (None, "files for Rockchip need rknn-toolkit2, which takes a Python environment of its own"),
        ("/nowhere/python", "cannot run /nowhere/python for rknn-toolkit2: No such file or directory; make one"),
        (sys.executable, "has no rknn-toolkit2; make one: python3.11 -m venv rockchip"),
    ],
)
def test_without_the_toolkit_nothing_is_begun(trained, kresnet, monkeypatch, python, words):
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    named = ["--target-python", python] if python else []
    code, _, err = kresnet("export", trained.folder, "--target", "rk3588", *named)
    assert code == 2 and words in err[-1] and not (trained.exports / FILE).exists()


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason=f"{PYTHON_VARIABLE} names no Python with rknn-toolkit2")
def test_the_toolkit_itself(trained, tmp_path, monkeypatch):
    from keras_resnet.export.pipeline import export
    from keras_resnet.run import Run

    monkeypatch.setenv(PYTHON_VARIABLE, REAL)
    run = Run(shutil.copytree(trained.folder, tmp_path / "resnet8-digits"))
    request = ExportRequest(formats=("rknn",), schemes=("all",), chips=("rk3588",), samples=100)
    for verdict in export(run, request, silent):
        assert verdict.agreement > 0.95 and verdict.simulator.endswith("simulator of rk3588")
