"""Data that changed since the run was trained."""

import shutil

import numpy as np
import pytest
from PIL import Image
from samples import COLOURS, paint

from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.data.sources.arrays import in_memory
from keras_resnet.evaluation.analysis import describe_data_changes
from keras_resnet.run import Run
from keras_resnet.run.data_fingerprint import fingerprint_splits

pytestmark = pytest.mark.usefixtures("untimed")


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


def test_an_analysis_is_made_again_whatever_became_of_them_and_of_the_data(kresnet, tmp_path):
    """Lost, cut off, or of something else, and the data changed: they are made of the data as they are now, and say
    what these were when the run was trained. So does the page."""
    few = {name: COLOURS[name] for name in ("blue", "red")}
    paint(tmp_path / "few" / "train", 8, classes=few)
    paint(tmp_path / "few" / "val", 12, classes=few)
    home = ("--runs", tmp_path / "runs")
    options = ("--depth", "8", "--epochs", "1", "--precision", "float32", "--data", tmp_path / "few", "--name", "few")
    assert kresnet("train", *options, *home)[0] == 0
    run = Run(tmp_path / "runs" / "few")
    before, whole = run.analysis()["data"], run.analysis_file.read_bytes()
    assert (before["train"]["images"], before["validation"]["images"]) == (16, 24)
    for number in range(3):
        shutil.copy(tmp_path / "few/val/red/000.png", tmp_path / f"few/val/red/more{number}.png")
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
