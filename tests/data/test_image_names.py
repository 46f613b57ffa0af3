"""What people call an image: its path from the folder of the dataset, as each class may have a 0.png."""

import shutil

import numpy as np
from label_tables import paint_mixed, write_csv
from samples import paint, silent
from yolo_layout import folder as yolo_folder

import keras_resnet
from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset


def names_of(split):
    return {split.name_image(row) for row in range(split.count)}


def test_in_folders_by_class(tmp_path, monkeypatch):
    for split, count in (("train", 3), ("val", 2)):
        paint(tmp_path / "photos" / split, count)
    monkeypatch.chdir(tmp_path)
    for source in ("photos", "./photos/", str(tmp_path / "photos")):
        split = load_dataset(DataSpec(source), silent).splits["validation"]
        files = [file for file in (tmp_path / "photos" / "val").rglob("*.png")]
        assert names_of(split) == {file.relative_to(tmp_path / "photos").as_posix() for file in files}
        assert names_of(split.subset(np.arange(2))) < names_of(split)


def test_of_tables_beside_their_images_and_apart(tmp_path):
    truth = paint_mixed(tmp_path / "images", 24)
    rows = [{"path": f"images/{name}", "labels": "|".join(labels)} for name, labels in truth.items()]
    table = write_csv(tmp_path / "labels.csv", rows)
    split = load_dataset(DataSpec(str(table), annotations="label_sets"), silent).splits["train"]
    assert names_of(split) < {f"images/{name}" for name in truth}


def test_of_objects(tmp_path):
    yolo_folder(tmp_path)
    split = load_dataset(DataSpec(str(tmp_path), annotations="objects"), silent).splits["train"]
    assert names_of(split) == {"images/train/train0.png", "images/train/train1.png"}


def test_without_files():
    split = load_dataset(DataSpec("digits"), silent).splits["validation"]
    assert split.name_image(2) == "validation image 3"


def test_a_check_names_both_of_equal_images(tmp_path):
    paint(tmp_path / "photos" / "train", 4)
    first, second = (sorted((tmp_path / "photos").rglob("*.png"))[row] for row in (0, -1))
    shutil.copy(first, second)
    report = keras_resnet.check(tmp_path / "photos", save=tmp_path / "page.html")
    names = [file.relative_to(tmp_path / "photos").as_posix() for file in (first, second)]
    found = report.by_kind["conflicting_labels"][0]
    assert sorted(found.example.partition(": ")[0].split(" = ")) == names
    assert all(f"{name} (" in (tmp_path / "page.html").read_text() for name in names)
