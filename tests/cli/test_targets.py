"""An argument that names something else than the command takes: what it is, and which command takes it."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from keras_resnet.cli.targets import MODEL_KINDS
from keras_resnet.pretrained.readers import READERS
from keras_resnet.run import Run


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with an image, a text, a folder of images, and a run that has begun."""
    monkeypatch.chdir(tmp_path)
    for path in ("photos/a/1.png", "scan.png"):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(file)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "int8.tflite").write_bytes(b"x")
    run = tmp_path / "saved_models" / "mine"
    run.mkdir(parents=True)
    (run / "spec.json").write_text("{}")
    for path in (run / "report.html", run / "model.keras", tmp_path / "net.pt", tmp_path / "other.keras"):
        path.write_text("")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("inspect scan.png", "scan.png is an image (kresnet predict RUN scan.png says what it shows); kresnet inspect"),
        (
            "inspect mine",
            "mine is a run; kresnet inspect takes one of its exported files; write them with: kresnet export",
        ),
        ("inspect", "kresnet inspect takes an exported file; write them with: kresnet export mine"),
        ("bundle", "kresnet bundle takes an exported file; write them with: kresnet export mine"),
        ("verify scan.png", "kresnet verify takes a run or an exported file"),
        ("verify mine --run other", "--run says which run an exported file is of; mine is a run itself"),
        ("evaluate mine --run other", "--run says which run an exported file is of; mine is a run itself"),
        ("evaluate scan.png", "scan.png is an image"),
        ("evaluate photos", "photos is a folder but no run (kresnet train --data photos trains on the images in it)"),
        ("export int8.tflite", "int8.tflite is an exported file (kresnet verify, inspect and predict take it)"),
        ("export photos", "kresnet export takes a run, by its name or its folder"),
        ("report scan.png", "kresnet report takes a run"),
        ("report saved_models/mine/report.html", "is a file of run mine"),
        ("demo photos", "kresnet demo takes a run"),
        ("diagnose scan.png", "kresnet diagnose takes a run"),
        ("robustness scan.png", "kresnet robustness takes a run or an exported file"),
        ("compress photos --qat", "kresnet compress takes a run"),
        ("compare mine", "compare takes two runs or exported files, or more; one alone: kresnet report mine"),
        ("compare mine scan.png", "kresnet compare takes a run"),
        ("check mine", "mine is a run; its data are checked by: kresnet check --run mine"),
        ("check saved_models/mine", "is a run; its data are checked by: kresnet check --run saved_models/mine"),
        ("runs --runs nowhere", "--runs nowhere: no such folder"),
        ("train --data photos --download", "--download is for datasets of TFDS, and --data photos is on this machine"),
        ("train --data photos --data-dir x", "--data-dir is for datasets of TFDS, and --data photos is on this"),
        ("predict mine scan.png --conf 0.5", "No such option '--conf'. Use --threshold."),
        ("predict notes.txt", "notes.txt is not an image, a video, a run or an exported file; kresnet predict takes"),
        (
            "predict notes.txt scan.png",
            "notes.txt is not an image, a video, a run or an exported file; kresnet predict takes",
        ),
        (
            "inspect saved_models/mine/model.keras",
            "model.keras is the model of run mine (kresnet report, evaluate and predict take mine); kresnet inspect"
            " takes an exported file, such as int8.tflite",
        ),
        (
            "inspect other.keras",
            "other.keras is a Keras model, which kresnet does not run (kresnet train --weights other",
        ),
        ("verify net.pt", "kresnet verify takes a run or an exported file"),
        (
            "evaluate saved_models/mine/model.keras",
            "is the model of run mine (kresnet report, evaluate and predict take",
        ),
        ("predict saved_models/mine/model.keras scan.png", "kresnet predict takes a run or an exported file, such as"),
        (
            "predict net.pt scan.png",
            "net.pt is a PyTorch file, which kresnet does not run (kresnet train --weights net.pt starts from its"
            " weights, if they are those of a ResNet); kresnet predict takes a run or an exported file, such as"
            " int8.tflite",
        ),
        ("export net.pt", "is a PyTorch file, which kresnet does not run"),
        ("predict scan.png mine", "the run or exported file comes first: kresnet predict mine scan.png"),
    ],
)
def test_what_it_is_and_what_is_meant(kresnet, desk, typed, words):
    code, out, err = kresnet(*typed.split())
    assert (code, out) == (2, "") and words in err[-1], err


def test_all_files_of_weights_are_known():
    assert MODEL_KINDS.keys() == READERS.keys()


@pytest.mark.parametrize(
    "typed",
    [
        *("export", "verify", "verify --on local", "evaluate", "compress --qat", "report", "demo", "diagnose"),
        *("robustness", "predict scan.png", "predict photos", "predict photos scan.png"),
    ],
)
def test_the_newest_run_is_taken(kresnet, desk, typed):
    """Which has not finished here, so that each command ends with that, before it says more."""
    code, out, err = kresnet(*typed.split())
    assert (code, out) == (1, "") and "mine" in err[-1]
    code, out, err = kresnet(*typed.split(), "--runs", "photos")
    assert (code, out) == (1, "") and err == [
        f"kresnet: there are no runs in {Path.cwd() / 'photos'}; make one with: kresnet train --data FOLDER; or name"
        " their folder: --runs DIR"
    ]


@pytest.fixture(scope="module")
def with_two_files(exported, tmp_path_factory):
    """A copy of the exported run that has kept two files of those that need no TensorFlow."""
    run = Run(shutil.copytree(exported[0].folder, tmp_path_factory.mktemp("runs") / exported[0].name))
    kept = [row for row in run.verdict_rows() if row["file"] in ("int8.tflite", "model.onnx")]
    run.write_json(run.verdicts_file, kept)
    return run


@pytest.mark.parametrize("typed", ["evaluate", "report", "verify --samples 9 --max-drop 100"])
def test_the_newest_run_is_said_to_be(kresnet, with_two_files, tmp_path, typed):
    run = with_two_files
    (tmp_path / run.name).symlink_to(run.folder)
    code, out, err = kresnet(*typed.split(), "--runs", tmp_path)
    assert code == 0 and err[0] == f"run: {run.name} (the newest)" and run.name in out
    assert ("int8.tflite" in out and "model.onnx" in out) == typed.startswith("verify")


@pytest.mark.parametrize("command", ["report", "verify", "verify --on local", "evaluate", "robustness"])
def test_what_is_not_there_is_no_kind(kresnet, desk, command):
    code, _, err = kresnet(*command.split(), "mnie")
    assert code == 1 and "Did you mean 'mine'" in err[-1]


@pytest.mark.parametrize("name", ["docs.txt", "nowhere/photo", "photo.jpg"])
def test_a_file_that_is_not_there_is_said_to_be_missing(kresnet, desk, name):
    code, out, err = kresnet("predict", name)
    assert (code, out) == (1, "") and err[-1] == f"kresnet: cannot read {name}: no such file or folder"


def test_all_that_is_missing_is_named(kresnet, desk):
    code, out, err = kresnet("predict", "model.pt", "photo.jpg")
    assert (code, out) == (1, "") and "there is no file or folder model.pt, and no run called 'model.pt'" in err[-1]
    assert "cannot read photo.jpg" in err[-1]


@pytest.mark.parametrize("name", ["blank.pt", "nets/blank", "net.unheard"])
@pytest.mark.parametrize("command", ["verify", "evaluate", "export", "report", "robustness", "calibrate", "demo"])
def test_what_looks_like_a_file_is_said_to_be_no_file(kresnet, desk, command, name):
    code, out, err = kresnet(command, name)
    assert (code, out) == (1, "") and f"there is no file or folder {name}, and no run called '{name}' in" in err[-1]
    code, out, err = kresnet(command, "resnet18-rate0.1")
    assert (code, out) == (1, "") and err[-1].startswith("kresnet: no run called 'resnet18-rate0.1' in")


@pytest.mark.parametrize("command", ["verify", "evaluate", "inspect", "bundle", "predict", "robustness"])
def test_a_file_that_is_not_there_names_those_beside_it(kresnet, desk, tmp_path, command):
    exports = tmp_path / "saved_models" / "mine" / "exports"
    exports.mkdir()
    for name in ("int8.tflite", "float32.tflite", "labels.txt", "verdicts.json", ".hidden.tflite"):
        (exports / name).write_bytes(b"x")
    file = Path("saved_models", "mine", "exports", "int4.tflite")
    image = ["scan.png"] * (command == "predict")
    code, out, err = kresnet(command, file, *image)
    assert (code, out) == (1, "")
    assert err[-1].endswith(f"there is no file {file}; {file.parent} has float32.tflite and int8.tflite")
    code, _, err = kresnet(command, "saved_models/other/exports/int8.tflite", *image)
    assert code == 1 and err[-1].endswith("exports/int8.tflite, nor a folder saved_models/other")
    code, _, err = kresnet(command, "int4.tflite", *image)
    assert code == 1 and err[-1].endswith("there is no file int4.tflite; this folder has int8.tflite")


@pytest.mark.parametrize("command", ["verify", "evaluate", "inspect", "bundle", "predict", "robustness"])
def test_a_file_that_was_rejected_is_found(kresnet, desk, tmp_path, command):
    rejected = tmp_path / "saved_models" / "mine" / "exports" / "rejected" / "int8.tflite"
    rejected.parent.mkdir(parents=True)
    rejected.write_bytes(b"x")
    code, out, err = kresnet(command, rejected.parents[1] / "int8.tflite", *["scan.png"] * (command == "predict"))
    assert (code, out) == (1, "")
    assert f"int8.tflite was not within its budget and is in {rejected}" in err[-1]
