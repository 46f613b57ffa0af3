"""Data that changed between the start of a training and its resumption."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from interrupted_runs import interrupted
from PIL import Image
from samples import paint, silent

from keras_resnet.data.sources import image_folder as folders
from keras_resnet.training.checkpoint import manifests
from keras_resnet.training.train import resume


@pytest.fixture
def pictures(tmp_path):
    return paint(tmp_path / "pictures", 20)


def of_pictures(short, pictures):
    return replace(short, data=replace(short.data, source=str(pictures), image_size=16, resize=16))


CHANGES = {
    "deleted": (lambda folder: (folder / "red" / "003.png").unlink(), "validation has 11 images, had 12"),
    "moved": (
        lambda folder: (folder / "red" / "003.png").rename(folder / "blue" / "red.png"),
        "train has other labels (blue 21, had 20; red 7, had 8)",
    ),
    "changed": (
        lambda folder: Image.new("RGB", (16, 16)).save(folder / "red" / "003.png"),
        "images of train have other pixels",
    ),
    "renamed": (
        lambda folder: (folder / "red" / "003.png").rename(folder / "red" / "003b.png"),
        "files of train have other names or sizes",
    ),
}


@pytest.mark.parametrize(
    ("what", "in_memory"),
    [
        ("deleted", True),
        pytest.param("renamed", False, marks=pytest.mark.slow),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("moved", True), ("changed", True))),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("deleted", False), ("changed", False))),
    ],
)
def test_changed_data_are_told_and_refused(short, pictures, tmp_path, kresnet, monkeypatch, what, in_memory):
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: in_memory)
    # All images of one split, so that each change is in it.
    monkeypatch.setattr(
        folders, "split_stratified", lambda labels, share, classes: np.split(np.arange(len(labels)), [48])
    )
    monkeypatch.setattr(folders, "require_all_classes", lambda splits, classes: None)
    run = interrupted(of_pictures(short, pictures), tmp_path / "runs")
    change, words = CHANGES[what]
    if what == "changed" and not in_memory:
        words = CHANGES["renamed"][1]
    change(pictures)
    before, step = run.spec_file.read_bytes(), int(manifests(run.checkpoints)[-1].stem.partition("-")[2])
    code, _, err = kresnet("train", "--resume", "cut", "--runs", tmp_path / "runs")
    assert code == 1 and "the data of run cut has changed since it was started: " in err[-1] and words in err[-1], err
    assert "--resume cut --data-changed" in err[-1] and run.spec_file.read_bytes() == before
    code, _, err = kresnet("train", "--resume", "cut", "--data-changed", "--runs", tmp_path / "runs")
    assert code == 0 and run.is_finished
    (told,) = run.document()["changes"]
    assert words in told["description"] and told["step"] == step >= 1
    assert run.document()["data"]["validation"]["images"] == 12 - (what == "deleted")


@pytest.mark.slow
def test_data_that_are_as_they_were_go_on(short, pictures, tmp_path, monkeypatch):
    """Read from disk at first, kept in memory then; touched, copied elsewhere and back."""
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    run = interrupted(of_pictures(short, pictures), tmp_path / "runs")
    monkeypatch.undo()
    copy = shutil.copytree(pictures, tmp_path / "copy")
    shutil.rmtree(pictures)
    copy.rename(pictures)
    assert resume(run, silent).is_finished and "changes" not in run.document()


def test_data_changed_is_for_what_goes_on(kresnet, tmp_path):
    code, _, err = kresnet("train", "--data-changed", "--runs", tmp_path)
    assert code == 2 and "--data-changed is for a run that goes on: it needs --resume" in err[-1]
