"""Data that changed since the run was trained."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from samples import COLOURS, paint

from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.data.sources.arrays import in_memory
from keras_resnet.evaluation.analysis import describe_data_changes
from keras_resnet.reporting.page import render_report
from keras_resnet.run import Run
from keras_resnet.run.data_fingerprint import fingerprint_splits


def data_of(labels, pixels=None, classes=("a", "b")):
    labels = np.asarray(labels)
    images = np.zeros((len(labels), 8, 8, 3), np.uint8) if pixels is None else pixels
    images[:, 0, 0, 0] = np.arange(len(labels))
    return in_memory((images, labels), (images[:20], labels[:20]), classes)


SPLIT = "{0} has other labels or annotations, or another order"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: data_of(np.arange(40) % 2), ""),
        (lambda: data_of(np.arange(42) % 2), "(train has 42 images, had 40 (a 21, had 20; b 21, had 20))"),
        (lambda: data_of((np.arange(40) + 1) % 2), f"({SPLIT.format('train')}; {SPLIT.format('validation')})"),
        (lambda: data_of(np.arange(40) % 2, np.ones((40, 8, 8, 3), np.uint8)), "(images of train have other pixels; "),
        (
            lambda: data_of(np.r_[np.arange(36) % 2, np.zeros(4, int)]),
            "(train has other labels (a 22, had 20; b 18, had 20))",
        ),
        (
            lambda: data_of(np.r_[np.arange(20) % 2, np.zeros(9, int)]),
            "(train has 29 images, had 40 (a 19, had 20; b 10, had 20)",
        ),
    ],
)
def test_what_changed_in_the_data(trained, tmp_path, change, words):
    before = data_of(np.arange(40) % 2)
    run = Run.create(tmp_path, trained.spec(), before.classes, "of", {"data": fingerprint_splits(before)})
    told = describe_data_changes(run, change())
    assert (words in told) if words else told == ""
    assert not told or "that are there now" in told


def test_data_that_no_longer_fit_memory_have_not_changed(trained, tmp_path):
    """At one time pixels are kept, at another files are read: what can be compared is."""
    root = paint(tmp_path / "images", 12)
    names = sorted(COLOURS)
    files = [str(file) for name in names for file in sorted((root / name).iterdir())]
    labels = np.repeat(np.arange(3), 12)

    def data(kept):
        from keras_resnet.data.sources.image_folder import ImageFiles

        pixels = np.stack([np.asarray(Image.open(file)) for file in files]) if kept else None
        images = None if kept else ImageFiles(tuple(files))
        split = Split("train", labels, pixels, images, resize=16)
        rows = np.arange(0, 36, 3)
        return DatasetSplits("x", tuple(names), {"train": split, "validation": split.subset(rows)}, False, 16, 16)

    kept, read = (
        Run.create(tmp_path, trained.spec(), tuple(names), name, {"data": fingerprint_splits(data(name == "kept"))})
        for name in ("kept", "read")
    )
    assert describe_data_changes(kept, data(kept=False)) == describe_data_changes(kept, data(kept=True)) == ""
    assert describe_data_changes(read, data(kept=False)) == ""
    Image.new("RGB", (32, 32)).save(files[0])
    assert "files of validation have other names or sizes" in describe_data_changes(read, data(kept=False))


@pytest.fixture(scope="module")
def trained_on_few(tmp_path_factory):
    """A home of runs with the run few, and the images of two classes that it was trained on."""
    from keras_resnet.cli import main

    home, images = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("images") / "few"
    few = {name: COLOURS[name] for name in ("blue", "red")}
    paint(images / "train", 8, classes=few)
    paint(images / "val", 12, classes=few)
    options = ("--depth", "8", "--epochs", "1", "--precision", "float32", "--data", images, "--name", "few")
    assert main.run_command([str(each) for each in ("train", *options, "--runs", home)]) == 0
    return home, images


@pytest.fixture
def few(trained_on_few, tmp_path):
    """A copy of that run, and its images, which may be changed where they are."""
    home, images = trained_on_few
    kept = shutil.copytree(images, tmp_path / "kept")
    yield Run(shutil.copytree(home / "few", tmp_path / "runs" / "few")), images
    shutil.rmtree(images)
    kept.rename(images)


def what_changed(lines):
    """What is told of the data."""
    found = [re.search(r"the data changed since few was trained \((.*)\): model and files", line) for line in lines]
    return [each[1] for each in found if each]


@pytest.mark.slow
def test_export_and_verify_say_what_changed(few, kresnet):
    """Once each, with the numbers, on the terminal, in JSON, on the page and on the card; nothing where nothing did."""
    run, images = few
    file = run.exports / "float32.tflite"
    common = ("--samples", "20", "--max-drop", "100", "--runs", run.folder.parent)
    export, verify = ("export", "few", "--tflite", "--quantize", "float32", *common), ("verify", file, *common)

    def told():
        """By both commands."""
        code, out, err = kresnet(*export)
        assert code == 0, err
        code, again, more = kresnet(*verify)
        assert code == 0, more
        return what_changed([*out.splitlines(), *err]), what_changed([*again.splitlines(), *more])

    assert told() == ([], [])
    assert "data changed" not in (run.exports / "model_card.md").read_text() + render_report(run)
    for number in range(3):
        shutil.copy(images / "val/red/000.png", images / f"val/red/more{number}.png")
    (images / "val/blue/001.png").unlink()
    (images / "train/blue/002.png").unlink()
    (images / "train/blue/003.png").unlink()
    words = "train has 14 images, had 16 (blue 6, had 8)"
    words += "; validation has 26 images, had 24 (blue 11, had 12; red 15, had 12)"
    assert told() == ([words], [words])
    assert words in (run.exports / "model_card.md").read_text() and words in render_report(run)
    code, out, _ = kresnet(*verify, "--json")
    assert code == 0 and what_changed([json.loads(out)[0]["data_changed"]]) == [words]
    # As many as before, of other classes.
    (images / "train/red/000.png").rename(images / "train/blue/002.png")
    shutil.copy(images / "train/red/001.png", images / "train/blue/003.png")
    shutil.copy(images / "train/red/001.png", images / "train/blue/more.png")
    words = "train has other labels (blue 9, had 8; red 7, had 8); validation has"
    for each in told():
        assert len(each) == 1 and each[0].startswith(words)


def test_an_analysis_is_made_again_whatever_became_of_them_and_of_the_data(few, kresnet):
    """Lost, cut off, or of something else, and the data changed: they are made of the data as they are now, and say
    what these were when the run was trained. So does the page."""
    run, images = few
    home = ("--runs", run.folder.parent)
    before, whole = run.analysis()["data"], run.analysis_file.read_bytes()
    assert (before["train"]["images"], before["validation"]["images"]) == (16, 24)
    for number in range(3):
        shutil.copy(images / "val/red/000.png", images / f"val/red/more{number}.png")
    changed = "the data changed since few was trained (validation has 27 images, had 24 (red 15, had 12))"
    for damaged in (None, whole[: len(whole) // 2], b'{"data": 3}'):
        run.analysis_file.unlink()
        if damaged is not None:
            run.analysis_file.write_bytes(damaged)
        code, out, err = kresnet("report", "few", *home)
        assert (code, out) == (1, "") and "kresnet report few --again" in err[-1]
        code, _, err = kresnet("report", "few", "--again", *home)
        assert code == 0 and any(changed in line for line in err), err
        found = run.analysis()
        assert found["data"] == before and sum(map(sum, found["confusion"])) == 27
    assert before["train"]["sha256"][:16] in run.report_file.read_text()


@pytest.mark.parametrize("words", ["calibrate", "evaluate", "export --quantize int8", "robustness"])
def test_data_out_of_reach_are_said_to_be_so(trained, kresnet, tmp_path, monkeypatch, words):
    """None of these commands has --data; the folder of the training is named where the run shows it."""
    home = tmp_path / "project" / "saved_models"
    run = Run(shutil.copytree(trained.folder, home / "moved"))
    command, *options = words.split()
    call = (command, run.folder, *options)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    again = f"which is not in {elsewhere}: run this again from the folder in which it was trained"
    for source, end in (
        ("photos/", again),
        ("labels.csv", again),
        (
            f"{tmp_path}/gone",
            "which is no longer there: bring the data back to that place, or put a link to them there",
        ),
    ):
        document = run.document()
        document["spec"]["data"]["source"] = source
        run.write_json(run.spec_file, document)
        code, out, err = kresnet(*call)
        assert (code, out, err[-1]) == (1, "", f"kresnet: run moved was trained on {source}, {end}")
    document["spec"]["data"]["source"] = "photos/"
    run.write_json(run.spec_file, document)
    (tmp_path / "project" / "photos").mkdir()
    for each in (call, ("report", run.folder, "--again"), ("compress", run.folder, "--prune", "0.5")):
        code, _, err = kresnet(*each)
        assert code == 1 and err[-1] == f"kresnet: run moved was trained on photos/, {again} ({tmp_path}/project)", err
    code, _, err = kresnet("check", "--run", run.folder)
    assert code == 1 and err[-1].startswith("kresnet: run moved was trained on photos/, "), err
