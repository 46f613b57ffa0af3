"""Exports that are refused: requests, calibration images and files that cannot be."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from samples import paint, silent

from keras_resnet.errors import DataError, ExportError, UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export.calibration import build_calibration, check_calibration_images, measure_convergence
from keras_resnet.export.formats import get_format
from keras_resnet.export.load import load_file
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.tflite_options import TFLiteRequest, build_tflite_options
from keras_resnet.run import Run


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--onnx", "--io", "float"], "--io is for TFLite files"),
        (["--tflite", "--quantize", "int4"], "--quantize must be one of float32, float16"),
        (["--tflite", "--quantize", "8bit"], "there is no --quantize 8bit. Use --quantize int8."),
        (["--tflite", "--quantize", "float16", "--io", "int8"], "--io of float16 must be one of uint8, float"),
        (["--tflite", "--quantize", "float32", "--keep-float", "logits"], "--keep-float is for int8 files"),
        (["--tflite", "--quantize", "int8", "--io", "int8", "--keep-float", "logits"], "no integers"),
        (["--tflite", "--batch", "4", "--dynamic-batch"], "give one of them"),
        (["--tflite", "--max-drop", "101"], "between 0 and 100 points"),
        (["--tflite", "--engine", "edge"], "--engine must be one of tensorflow, litert-quantizer"),
        (["--tflite", "--engine", "litert-quantizer", "--quantize", "float16"], "is for int8 files"),
        (["--tflite", "--per-tensor", "--quantize", "float16"], "--per-tensor is for int8 files"),
        (["--tflite", "--ranges", "mse", "--quantize", "float16"], "--ranges mse is for int8 files"),
        (["--onnx", "--ranges", "mse"], "--ranges is for TFLite files"),
        (["--ranges", "entropy"], "--ranges must be one of min-max, percentile, mse. Received: 'entropy'"),
        (
            ["--tflite", "--ranges", "mse", "--engine", "litert-quantizer", "--quantize", "int8"],
            "--ranges mse is for --engine tensorflow. Received: litert-quantizer",
        ),
        (["--onnx", "--per-tensor"], "--per-tensor is for TFLite files"),
        (
            ["--tflite", "--per-tensor", "--engine", "litert-quantizer", "--quantize", "int8"],
            "--per-tensor is for --engine tensorflow. Received: litert-quantizer",
        ),
        (
            ["--tflite", "--engine", "litert-quantizer", "--io", "int8", "--quantize", "int8"],
            "makes files of one image",
        ),
    ],
)
def test_bad_requests(kresnet, trained, options, words):
    code, out, err = kresnet("export", trained.folder, *options)
    assert (code, out) == (2, "") and len(err) == 1 and words in err[0]


@pytest.mark.parametrize(
    ("schemes", "titles"),
    [(("dynamic",), ["ONNX", "OpenVINO"]), (("float16",), ["ONNX"]), (("float16", "int8"), []), (("all",), [])],
)
def test_default_files_that_are_written_beside_others_are_named(trained, schemes, titles):
    lines = []
    ExportRequest(formats=("onnx", "openvino", "savedmodel"), schemes=schemes).log_default_files(trained, lines.append)
    assert [line.partition(": the default files, because --quantize names none of ")[0] for line in lines] == titles
    assert all(line.endswith(f". Received: {schemes[0]}") for line in lines)


def test_tflite_is_what_an_export_writes_by_default(kresnet, trained, monkeypatch):
    def refuse(*arguments):
        raise ExportError("refused")

    monkeypatch.setattr("keras_resnet.api.exporting.export_run", refuse)
    for options in ([], ["--quantize", "int8"]):
        code, out, err = kresnet("export", trained.folder, *options)
        assert (code, out) == (1, "") and len(err) == 2
        assert (
            err[0]
            == "format: --tflite (the default; also available: --savedmodel, --onnx, --openvino, --coreml, --rknn,"
            " --c-array)"
        )


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("evaluate RUN --split test", "the data have no test split; --split must be one of train, validation."),
        ("predict RUN IMAGE --reject", "has no rule by which images are rejected as unknown"),
        ("predict RUN IMAGE --explain --label 11", "--label must be one of 0, 1, 2, "),
        ("predict RUN IMAGE --explain --object 2", "--object is for networks that find several objects"),
        ("predict RUN FOLDER --save IMAGE", "--save of several images must be a folder; "),
        ("compare RUN RUN --save page.txt", "--save writes a page, whose name must end in .html. Received: page.txt"),
        ("export RUN --c-array --quantize float16", "has no effect, because the files are always int8: leave it out"),
        ("export RUN --quantize int8 --keep-float logit", "Received: 'logit'. Did you mean 'logits'?"),
    ],
)
def test_what_a_run_has_not_is_refused_before_its_model_is_loaded(
    kresnet, trained, runs, tmp_path, monkeypatch, typed, words
):
    def refuse(*_):
        raise AssertionError("the model is loaded")

    monkeypatch.setattr("keras.saving.load_model", refuse)
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    names = {"RUN": trained.name, "IMAGE": tmp_path / "image.png", "FOLDER": tmp_path}
    code, out, err = kresnet(*(names.get(word, word) for word in typed.split()), "--runs", runs)
    assert (code, out) == (2, "") and words in err[-1]


def test_a_damaged_calibration_is_named_before_the_model_is_loaded(kresnet, trained, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("the model is loaded")

    run = shutil.copytree(trained.folder, tmp_path / "damaged")
    (run / "confidence.json").write_text("{")
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    monkeypatch.setattr("keras.saving.load_model", refuse)
    for words in (("predict", run, tmp_path / "image.png"), ("evaluate", run)):
        code, out, err = kresnet(*words)
        assert (code, out) == (1, "") and "confidence.json" in err[-1] and "kresnet calibrate damaged" in err[-1]


def test_what_cannot_be_exported(kresnet, exported, runs, tmp_path):
    run, _ = exported
    home = ["--runs", runs]
    paint(tmp_path / "few", 1, classes={"a": (255, 0, 0), "b": (0, 255, 0)})
    before = sorted(run.exports.iterdir())
    for options, code, words in (
        (["--tflite", "--quantize", "int8", "--calibration-data", tmp_path / "few"], 1, "20 images or more"),
        (["--tflite", "--quantize", "int8", "--calibration-data", tmp_path / "none"], 1, "none: no such folder"),
        (["--savedmodel", "--calibration-data", tmp_path / "few"], 2, "none is asked for"),
        (["--tflite", "--quantize", "int8", "--keep-float", "logit"], 2, "Received: 'logit'. Did you mean 'logits'?"),
    ):
        got, out, err = kresnet("export", run.name, *home, *options)
        assert (got, out) == (code, "") and words in err[-1], err
    assert [path for path in sorted(run.exports.iterdir()) if path.suffix != ".log"] == [
        path for path in before if path.suffix != ".log"
    ]


def test_a_file_that_cannot_be_verified(kresnet, exported, runs, tmp_path):
    run, _ = exported
    torn = tmp_path / "torn.tflite"
    torn.write_bytes((run.exports / "int8.tflite").read_bytes()[:5000])
    other = Run(shutil.copytree(run.folder, tmp_path / "runs" / "other"))
    other.labels_file.write_text("".join(f"{label}!\n" for label in run.classes()))
    for arguments, words in (
        ([torn, "--runs", runs], "damaged"),
        ([tmp_path / "absent.onnx", "--runs", runs], "there is no file"),
        ([run.exports / "int8.tflite", "--runs", tmp_path / "runs", "--run", "other"], "other labels than run other"),
    ):
        code, out, err = kresnet("verify", *arguments)
        assert (code, out) == (1, "") and len(err) == 1 and words in err[0]


def test_a_file_is_judged_by_the_run_that_it_stands_in(kresnet, exported, tmp_path):
    """Whatever its folder is called now, and wherever it is."""
    moved = Run(shutil.copytree(exported[0].folder, tmp_path / "elsewhere" / "renamed"))
    moved.rejected.mkdir()
    shutil.copy(moved.exports / "int8.tflite", moved.rejected)
    for file in (moved.exports / "float32.tflite", moved.rejected / "int8.tflite"):
        assert Run.containing(file) == moved
        code, out, _ = kresnet("evaluate", file, "--runs", tmp_path / "none", "--json")
        assert code == 0 and json.loads(out)["run"] == "renamed"
    shutil.copy(moved.exports / "int8.tflite", tmp_path)
    code, _, err = kresnet("evaluate", tmp_path / "int8.tflite", "--runs", tmp_path / "none")
    assert code == 1 and f"no run called '{exported[0].name}'" in err[-1]


def test_calibration_takes_pixels_only():
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 3), dtype=np.uint8)
    check_calibration_images(images, "these")
    for bad, words in (
        (images / 255, "neither scaled nor augmented"),
        (images[:2], r"Received: 2 \(these\)"),
        (images // 200, "scaled"),
        (np.repeat(images[:1], 30, axis=0), "the same"),
    ):
        with pytest.raises(DataError, match=words):
            check_calibration_images(bad, "these")


def test_ranges_converge(trained):
    from keras_resnet.data.load import load_dataset

    data, model = load_dataset(trained.spec().data, silent), load_model(trained)
    few, many = (measure_convergence(model, build_calibration(data, count=count)) for count in (20, 1000))
    assert 0 <= many.median <= few.median and many.largest < 0.5


def test_forms():
    file_name = get_format("tflite").file_name
    names = [file_name(options) for options in build_tflite_options(("all",))]
    assert names == [f"{name}.tflite" for name in ("float32", "float16", "dynamic", "int8", "int16x8", "int8-float-io")]
    assert [file_name(options) for options in build_tflite_options()] == ["float32.tflite", "int8.tflite"]
    assert [options.name for options in TFLiteRequest(io="int8").build(("all",))] == ["int8-int8-io", "int8-float-io"]
    assert build_tflite_options(("int8", "int8")) == build_tflite_options(("int8",))
    with pytest.raises(UsageError, match="Did you mean 'float16'"):
        build_tflite_options(("float61",))


def test_damaged_files(tmp_path):
    file = tmp_path / "x.tflite"
    with pytest.raises(ExportError, match="there is no file"):
        load_file(file)
    file.write_bytes(b"TFL3 but not really")
    with pytest.raises(ExportError, match="damaged"):
        load_file(file)
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(ExportError, match="is not an ONNX model: it is text, which begins with 'nothing'"):
        load_file(tmp_path / "x.onnx")
