"""One file that cannot be made, or that a compiler refuses: the others are written nonetheless."""

import errno
import json
import os
import re
import shutil
from contextlib import contextmanager

import pytest
from exports import copied, float32_only
from samples import COLOURS, paint, silent
from timing import COST

from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.export import accelerators, pipeline, verify
from keras_resnet.export.accelerators.ethos_u import EthosU
from keras_resnet.export.convert import CONVERTER
from keras_resnet.export.formats.onnx import ONNX
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
from keras_resnet.run import Run


@pytest.mark.slow
def test_what_can_be_written_is_and_data_are_judged_as_they_are(kresnet, tmp_path):
    """16 training images calibrate nothing: the default export writes float32 and names int8. Then images are added."""
    paint(tmp_path / "few" / "train", 8, classes={"blue": COLOURS["blue"], "red": COLOURS["red"]})
    paint(tmp_path / "few" / "val", 12, classes={"blue": COLOURS["blue"], "red": COLOURS["red"]})
    home = ("--runs", tmp_path / "runs")
    options = ("--depth", "8", "--epochs", "1", "--precision", "float32", "--data", tmp_path / "few", "--name", "few")
    assert kresnet("train", *options, *home)[0] == 0
    run = Run(tmp_path / "runs" / "few")
    code, out, err = kresnet("export", "few", "--tflite", "--json", *home)
    assert code == 1 and "could not make int8.tflite: calibration takes 20 images or more" in err[-1]
    assert [row["file"] for row in json.loads(out)] == ["float32.tflite"] == [row["file"] for row in run.verdicts()]
    assert (run.exports / "float32.tflite").is_file() and (run.exports / "model_card.md").is_file()
    assert not [file.name for file in run.exports.iterdir() if file.name.startswith(".")]
    code, out, err = kresnet("export", "few", "--tflite", "--quantize", "int8", *home)
    assert (code, out) == (1, "") and err[-1].startswith("kresnet: calibration takes 20 images or more")
    for number in range(3):
        shutil.copy(tmp_path / "few/val/red/000.png", tmp_path / f"few/val/red/more{number}.png")
    code, out, _ = kresnet("verify", run.exports / "float32.tflite", *home)
    changed = "the data changed since few was trained (validation has 27 images, had 24 (red 15, had 12))"
    assert code == 0 and changed in out and "27 validation images" in out
    before = run.analysis()["data"]
    code, _, err = kresnet("report", "few", "--again", *home)
    assert code == 0 and any(changed in line for line in err) and run.analysis()["data"] == before


@pytest.mark.slow
def test_each_file_that_fails_is_named_and_the_others_are_written(trained, kresnet, monkeypatch, tmp_path):
    """Without waiting for the converter: only that what is made is judged and placed."""
    run = copied(trained, tmp_path / "run")

    @contextmanager
    def converting(model_file, file_format, conversion, target, log):
        if file_format.name == "onnx":
            raise pipeline.ExportError("onnx cannot be had")

        def wait():
            if file_format.name == "savedmodel":
                raise pipeline.ExportError("savedmodel cannot be had")
            shutil.copy(genuine, target)

        yield wait

    genuine = tmp_path / "float32.tflite"
    (made,) = pipeline.export(run, ExportRequest(float32_only(), samples=20), silent)
    shutil.move(run.exports / made.file, genuine)
    monkeypatch.setattr(pipeline, "converting", converting)
    monkeypatch.setattr(ONNX, "require_installed", lambda self: None)
    arguments = ("--savedmodel", "--tflite", "--quantize", "float32", "--onnx", "--samples", "20", "--runs", tmp_path)
    code, out, err = kresnet("export", "run", *arguments)
    assert code == 1 and "float32.tflite" in out and (run.exports / "float32.tflite").is_file()
    named = "could not make saved_model: savedmodel cannot be had; model.onnx: onnx cannot be had"
    assert err[-1] == f"kresnet: {named}"
    with pytest.raises(pipeline.ExportError, match=re.escape(named)):
        pipeline.export(run, ExportRequest(float32_only(), ("savedmodel", "onnx"), samples=20), silent)


def test_an_interrupted_export_leaves_artifacts_and_report_of_the_files_that_are_there(
    exported, kresnet, monkeypatch, tmp_path
):
    genuine = shutil.copy(exported[0].exports / "float32.tflite", tmp_path)
    run = copied(exported[0], tmp_path / "run")
    run.report_file.unlink(missing_ok=True)

    @contextmanager
    def converting(model_file, file_format, conversion, target, log):
        def wait():
            if run.verdicts():
                raise KeyboardInterrupt
            shutil.copy(genuine, target)

        yield wait

    monkeypatch.setattr(pipeline, "converting", converting)
    monkeypatch.setattr(pipeline.CONVERTER, "prepare", lambda *_: None)
    files = ("--quantize", "float32", "--quantize", "float16", "--samples", "20")
    code, _, err = kresnet("export", "run", *files, "--runs", tmp_path)
    assert code == 130 and err[-1] == "kresnet: interrupted"
    assert "finished before the interruption: float32.tflite" in err
    assert (run.exports / "golden.npz").is_file() and "float32.tflite" in (run.exports / "model_card.md").read_text()
    page = run.report_file.read_text()
    assert "float32.tflite" in page and "NO EXPORTS" not in page


@pytest.fixture
def full_disk(exported, monkeypatch, tmp_path):
    """A run whose float32 files are made by copying one, and a function after which files of some names cannot be
    written."""
    genuine = shutil.copy(exported[0].exports / "float32.tflite", tmp_path)
    run, writing = copied(exported[0], tmp_path / "run"), Run.writing

    @contextmanager
    def converting(model_file, file_format, conversion, target, log):
        yield lambda: shutil.copy(genuine, target)

    def fill(*names):
        @contextmanager
        def full(self, path):
            with writing(self, path) as temporary:
                yield temporary
                if path.name in names:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(Run, "writing", full)

    monkeypatch.setattr(pipeline, "converting", converting)
    monkeypatch.setattr(pipeline.CONVERTER, "prepare", lambda *_: None)
    return run, fill


FLOATS = ("--quantize", "float32", "--quantize", "float16", "--samples", "20", "--max-drop", "0", "--require-proof")


@pytest.mark.parametrize("name", ["labels.txt", "model_card.md", "golden.npz", "report.html"])
def test_a_full_disk_hides_no_verdict(full_disk, kresnet, name):
    run, fill = full_disk
    fill(name)
    code, out, err = kresnet("export", "run", *FLOATS, "--runs", run.folder.parent)
    assert code == 1 and len(re.findall(r"^rejected/float(?:32|16)\.tflite .*FAILED", out, re.MULTILINE)) == 2, out
    assert re.search(rf"^kresnet: cannot write \S*{name}: No space left on device; .*not proven", err[-1]), err
    assert {row["file"] for row in run.verdicts()} == {"rejected/float32.tflite", "rejected/float16.tflite"}


def test_no_file_stays_without_its_verdict(full_disk, kresnet):
    run, fill = full_disk
    fill("verdicts.json")
    code, out, err = kresnet("export", "run", *FLOATS[:6], "--runs", run.folder.parent)
    reason = f"cannot write {run.verdicts_file}: No space left on device"
    assert (code, out) == (1, "")
    assert err[-1] == f"kresnet: could not make float32.tflite: {reason}; float16.tflite: {reason}"
    assert not list(run.exports.rglob("*.tflite")) and not run.verdicts_file.exists()


def test_a_file_is_converted_while_the_one_before_is_verified_but_not_while_that_is_timed(
    exported, monkeypatch, tmp_path
):
    """Also where the export is interrupted meanwhile: nothing is left of the files that were begun."""
    run, former = copied(exported[0], tmp_path / "run"), evaluate
    request = ExportRequest(tuple(TFLiteOptions(SCHEMES[name], "uint8") for name in ("float32", "float16")), samples=20)
    verified, timed, interrupted = [], [], []

    def record(*arguments):
        if arguments[3:]:  # a file, and not the Keras model
            verified.append(CONVERTER._job is not None)
            if interrupted:
                CONVERTER.wait_until_idle()
                raise KeyboardInterrupt
        return former(*arguments)

    def measure_cost(*arguments):
        timed.append(CONVERTER._job is not None)
        return COST

    monkeypatch.setattr(verify, "evaluate", record)
    monkeypatch.setattr(verify, "measure_cost", measure_cost)
    verdicts = pipeline.export(run, request, silent)
    assert [verdict.file for verdict in verdicts] == ["float32.tflite", "float16.tflite"]
    assert verified == [True, False] and timed == [False, False]
    there = {name: (run.exports / name).stat().st_mtime_ns for name in ("float32.tflite", "float16.tflite")}
    interrupted.append(True)
    with pytest.raises(KeyboardInterrupt):
        pipeline.export(run, request, silent)
    assert verified == [True, False, True]
    assert {name: (run.exports / name).stat().st_mtime_ns for name in there} == there
    assert [file.name for file in run.exports.glob(".*")] == []


def test_a_compiler_that_fails_refuses_and_the_others_are_asked(exported, monkeypatch, tmp_path):
    run = Run(shutil.copytree(exported[0].folder, tmp_path / "run"))

    def check(self, file, folder):
        raise pipeline.ExportError("vela failed on int8.tflite (exit 1); its output is in a log")

    monkeypatch.setattr(EthosU, "check", check)
    fits = accelerators.check_accelerators(run, [exported[1]["int8.tflite"]], ["ethos-u55-128", "edgetpu"], silent)
    assert [(each.target, each.file) for each in fits] == [("ethos-u55-128", "int8.tflite"), ("edgetpu", "int8.tflite")]
    assert fits[0].accepted == 0 and fits[0].refused[0].startswith("vela failed") and fits[1].accepted > 0.8
    assert len(json.loads((run.exports / "targets.json").read_text())) == 2
