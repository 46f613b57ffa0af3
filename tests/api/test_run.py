"""A run in Python: what it says is what the commands print."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image
from samples import paint

import keras_resnet as kr
from keras_resnet import progress
from keras_resnet.api.results import Prediction
from keras_resnet.errors import DataError, ExportError, RunError, UsageError, VerdictError
from keras_resnet.export.verify import Reference
from keras_resnet.metrics.outcome import format_value


@pytest.fixture(scope="module")
def run(exported):
    return kr.Run(exported[0])


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six images in a folder."""
    return paint(tmp_path_factory.mktemp("photos") / "all", 2, size=24)


def test_open_run_finds_it_by_name_and_by_folder(run, runs):
    opened = [kr.open_run(run.name, runs=runs), kr.open_run(run.folder), kr.open_run(str(run.folder))]
    assert all(each == run for each in opened)
    with pytest.raises(RunError, match=f"no run called '{run.name}x' in .* Did you mean '{run.name}'"):
        kr.open_run(f"{run.name}x", runs=str(runs))


def test_a_run_stays_open_when_the_current_folder_changes(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained.folder.parent.parent)
    opened = kr.open_run(trained.name, runs=trained.folder.parent.name)
    monkeypatch.chdir(tmp_path)
    assert opened.is_finished and opened.metrics["samples"] > 0


def test_the_options_of_a_function_with_one_kind_of_them_are_called_options():
    for function, title in ((kr.Run.calibrate, "Options:"), (kr.Run.robustness, "Options:"), (kr.train, "Other:")):
        assert title in function.__doc__.splitlines(), function


def test_it_has_what_the_folder_has(run):
    rows = run.stored.read_log()
    assert run.history["val_loss"] == [row["val_loss"] for row in rows] and run.history["epoch"][-1] == 8
    assert run.spec == run.stored.spec() and run.classes == tuple("0123456789") and run.is_finished
    assert run.model is run.model and run.model.output_shape == (None, 10)
    assert run.name in repr(run) and "top-1 accuracy" in repr(run)


def test_a_run_that_is_not_finished_says_how_to_go_on(run, tmp_path):
    begun = shutil.copytree(
        run.folder, tmp_path / "begun", ignore=shutil.ignore_patterns("model.keras", "metrics.json")
    )
    opened = kr.open_run(begun)
    assert "not finished" in repr(opened)
    for ask in (lambda: opened.metrics, lambda: opened.model, opened.evaluate, opened.report):
        with pytest.raises(
            RunError, match=r"no finished model; continue it with: keras_resnet\.train\(resume='begun'\)"
        ):
            ask()


def test_evaluate_says_what_the_command_prints(run, runs, kresnet):
    _, out, _ = kresnet("evaluate", run.name, "--runs", runs, "--json")
    printed = json.loads(out)
    score = run.evaluate("validation")
    assert json.loads(json.dumps(asdict(score))) == printed
    recall = f"{score.metrics['macro_recall']:.2%}"
    _, out, _ = kresnet("evaluate", run.name, "--runs", runs)
    assert "macro recall" in out and recall in out and recall in score._repr_html_()
    interval = format_value(score.value, score.intervals["top1"])
    assert str(score) == f"top-1 accuracy {interval} of {score.samples} validation images ({run.name})"
    assert repr(score) == f"<Score {score}>"
    assert run.evaluate("val") == score
    with pytest.raises(UsageError, match=r"^split must be one of train, validation, test. Received: 'tset'"):
        run.evaluate("tset")


def test_predict_says_what_the_command_prints(run, runs, photos, kresnet):
    _, out, _ = kresnet("predict", run.name, photos, "--runs", runs, "--json")
    printed = [json.loads(line) for line in out.splitlines()]
    found = run.predict(photos)
    assert len(found) == 6 and [each.as_dict() for each in found] == printed
    assert run.predict(printed[0]["image"]).as_dict() == printed[0]
    assert str(found[0]).startswith(f"{printed[0]['image']}: {found[0].label} {found[0].probability:.1%}, ")


def test_paths_arrays_and_images_are_the_same_image(run, photos):
    file = next(photos.rglob("*.png"))
    pixels = np.asarray(Image.open(file))
    expected = run.predict(file).predictions
    assert run.predict(str(file)).predictions == run.predict(pixels).predictions == expected
    assert run.predict(Image.open(file)).predictions == expected
    several = [run.predict(pixels[None]), run.predict([file]), run.predict([pixels])]
    assert all(len(each) == 1 and each[0].predictions == expected for each in several)
    assert len(run.predict(file, top=2).predictions) == 2
    likely = run.predict(file).predictions
    least = likely[1]["probability"]
    assert run.predict(file, threshold=least).predictions == likely[:2]
    assert str(run.predict(file, threshold=1.0)).endswith("no label reaches its threshold")


@pytest.mark.parametrize(
    "pixels", [np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8), np.zeros((0, 8, 8, 3), np.uint8), 3.5], ids=str
)
def test_what_is_no_image_is_refused(run, pixels):
    with pytest.raises(UsageError, match=r"^images must be paths \(str or path\), Pillow's images, or arrays of uint8"):
        run.predict([pixels])


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.full((8, 8, 3), 200.0), r'of 0–255 become such by images\.astype\("uint8"\)'),
        (np.full((8, 8, 3), 0.5, np.float32), r'of 0–1 become such by \(255 \* images\)\.astype\("uint8"\)'),
    ],
)
def test_pixels_of_another_type_are_said_to_be_converted(run, images, said):
    with pytest.raises(UsageError, match=rf"Received: float\d\d \(8, 8, 3\)\. Pixels {said}$"):
        run.predict(images)


def test_what_is_said_of_the_data_is_said_once(run, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_logged_once", set())
    run.evaluate()
    assert "image size: 8 pixels" in capsys.readouterr().err
    run.evaluate()
    run.files["int8"].evaluate()
    assert "image size" not in capsys.readouterr().err


def test_a_damaged_file_among_several_is_left_out(run, photos, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = run.predict([tmp_path / "bad.png", photos])
    assert len(found) == 6 and found.unreadable == (str(tmp_path / "bad.png"),)
    with pytest.raises(DataError, match="cannot read image"):
        run.predict(tmp_path / "bad.png")


def test_files_have_their_verdicts(run, exported, pixels):
    verdicts = exported[1]
    files = run.files
    assert {each.path.name for each in files.values()} >= {"float32.tflite", "int8.tflite", "model.onnx"}
    int8 = files["int8"]
    assert int8.verdict == verdicts["int8.tflite"] and int8.size == int8.path.stat().st_size
    assert str(int8) == str(verdicts["int8.tflite"]) and "float32.tflite " in str(files)
    with pytest.raises(KeyError, match=r"no file called 'int9'; there are .*\. Did you mean 'int8'"):
        files["int9"]
    assert int8.predict(pixels[0]).label == int8.predict(pixels)[0].label


def test_export_returns_what_it_wrote(exported, tmp_path, monkeypatch):
    """In a copy: the run is for other tests too."""
    run = kr.open_run(shutil.copytree(exported[0].folder, tmp_path / "copy"))
    files = run.export("float32", samples=50)
    assert list(files) == ["float32"] and files.passed and files["float32"].verdict.samples == 50
    monkeypatch.setattr(Reference, "from_run", _worsened(Reference.from_run))
    failed = run.export("float32", samples=50, max_drop=0.5)
    assert not failed["float32"].passed and failed["float32"].path.parent == run.stored.rejected
    with pytest.raises(VerdictError, match=r"^FAILED: rejected/float32\.tflite, .*, 0\.5 points allowed"):
        run.export("float32", samples=50, max_drop=0.5, must_pass=True)


def _worsened(from_run):
    """A reference whose model is said to be right on images that it gets wrong, so that every file loses."""

    def make(*arguments):
        reference = from_run(*arguments)
        truth = reference.evaluation.ground_truth
        outputs = 20.0 * np.eye(10, dtype=np.float32)[truth]
        predictions = list(reference.task.postprocess(outputs, truth))
        metrics = reference.task.compute_metrics(predictions, truth)
        better = replace(reference.evaluation, metrics=metrics, predictions=predictions, outputs=outputs)
        return replace(reference, evaluation=better, own_evaluation=better)

    return make


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (("fp16",), {}, ".* Received: 'fp16'. Did you mean 'float16'"),
        (("mlpackage",), {}, ".* Received: 'mlpackage'. Did you mean 'coreml'"),
        ((), {"quantize": "int8"}, "export takes no keyword 'quantize'. Files are named without a keyword"),
        ((), {"quantise": "int8"}, r"export takes no keyword 'quantise'. Files are named .*: run.export\(.int8.\)"),
        ((), {"quantization": "int8"}, "export takes no keyword 'quantization'. Files are named without a keyword"),
        ((), {"formatt": "onnx"}, r"export takes no keyword 'formatt'. Files are named .*: run.export\(.onnx.\)"),
        ((), {"runtim": "openvino"}, "export takes no keyword 'runtim'. Did you mean 'runtime'"),
        (("int9",), {}, "what to export must be one of float32, .* Received: 'int9'. Did you mean 'int8'"),
        (("int8",), {"max_drop": -1}, "max_drop must be between 0 and 100 points. Received: -1"),
        (("int8",), {"batch": 0}, "batch must be 1 or more. Received: 0"),
        (("int8",), {"format": "tflite"}, "export takes no keyword 'format'"),
        (("onnx",), {"io": "float"}, "io is for TFLite files; add "),
        (("int8",), {"batch": 2, "dynamic_batch": True}, "batch fixes what dynamic_batch leaves open"),
        (("float32",), {"keep_float": "logits"}, "keep_float is for int8 files"),
    ],
    ids=str,
)
def test_impossible_exports_are_refused(run, names, options, said):
    with pytest.raises((UsageError, ExportError), match=f"^{said}"):
        run.export(*names, **options)


def test_report_writes_and_opens_the_page(run, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    page = run.report(open=True)
    assert page == run.stored.report_file.resolve() and opened == [page.as_uri()]


def test_notebooks_show_tables(run, photos):
    for shown in (run, run.files, run.files["int8"], run.files["int8"].verdict, run.predict(photos)):
        page = shown._repr_html_()
        assert "<table>" in page and "<script" not in page
    page = run.predict(photos)._repr_html_()
    assert page.count("<img alt=") == 6 and "<meter" in page and str(photos) in page


def test_what_a_class_is_called_is_no_html():
    found = [{"label": "<b>x</b>", "probability": 0.5}]
    shown = Prediction("a", found, picture=Image.new("RGB", (8, 8)))
    assert "&lt;b&gt;x&lt;/b&gt; 50.0%" in shown._repr_html_()
