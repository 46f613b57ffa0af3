"""What YOLO's layout does not allow is refused in one sentence."""

import pytest
from yolo_layout import config, folder, label, opened, picture

from keras_resnet.errors import DataError


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.5", r"train0\.txt, line 2 has 4 fields; an object is class x_center y_center width height, or"),
        ("0 0.5 0.5 0.5 0.5 0.9", "line 2 has 6 fields"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "line 2 has 8 fields"),
        ("2 0.5 0.5 0.5 0.5", r"class must be a number from 0 to 1, of the names in data\.yaml\. Received: '2'"),
        ("-1 0.5 0.5 0.5 0.5", "Received: '-1'"),
        ("0.5 0.5 0.5 0.5 0.5", r"Received: '0\.5'"),
        ("cat 0.5 0.5 0.5 0.5", "Received: 'cat'"),
        ("0 32 24 16 16", "must be fractions of the image's width and height, 0 to 1. Received: '32 24 16 16'"),
        ("0 0.5 0.5 -0.2 0.5", "must be fractions"),
        ("0 0.5 0.5 0.5 nan", "must be fractions"),
        ("0 0.5 0.5 0.5 inf", "must be fractions"),
        ("0 0.5 0.5 0.5 x", "must be fractions"),
        ("0 0.1 0.1 0.2 1.5 0.3 0.3", "must be fractions"),
    ],
)
def test_a_line_that_is_none(tmp_path, line, words):
    with pytest.raises(DataError, match=words) as caught:
        opened(folder(tmp_path, ["0 0.5 0.5 0.5 0.5", line]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"names": None}, r"names must be a list of the classes' names\. Received: no names"),
        ({"names": []}, "names must be a list"),
        ({"names": "cat"}, "names must be a list of the classes' names. Received: 'cat'"),
        ({"names": ["cat", True]}, "each of names must be text. Received: True; put it in quotes"),
        ({"names": ["cat", ["dog"]]}, "each of names must be text"),
        ({"names": ["cat", "cat"]}, "each label must be there once"),
        ({"nc": 3}, "nc must be the number of names, 2. Received: 3"),
        ({"train": None}, "names no images to train on: it needs train: with a table such as train.csv, or train:"),
        ({"train": None, "names": None}, "names no images to train on: it needs train: with a table"),
        ({"train": 7}, "train must be folders or lists of images. Received: 7"),
        ({"train": "pictures"}, "train names pictures; there is no such folder or list of images"),
        ({"val": "labels/val"}, "val names 'labels/val', where no images are"),
        ({"val": "../elsewhere"}, "val names ../elsewhere; there is no such"),
        ({"path": 3}, "path must be the folder that holds the images. Received: 3"),
        ({"val": "images/train"}, "are among those of training"),
    ],
)
def test_a_description_that_is_none(tmp_path, changes, words):
    (tmp_path / "elsewhere").mkdir()
    picture(tmp_path / "elsewhere" / "1.png")
    with pytest.raises(DataError, match=words) as caught:
        opened(folder(tmp_path / "set", **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["names: [cat", "- cat", "", "names: {0: cat, 2: dog}\ntrain: images/train", "\xff\x00"]
)
def test_a_damaged_description(tmp_path, text):
    folder(tmp_path)
    (tmp_path / "data.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        opened(tmp_path)
    assert "data.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_what_lies_nowhere(tmp_path):
    folder(tmp_path)
    (tmp_path / "train.txt").write_text("images/train/gone.png\n")
    config(tmp_path, train="train.txt")
    with pytest.raises(DataError, match=r"train\.txt lists images/train/gone\.png; there is no such image"):
        opened(tmp_path)
    config(tmp_path)
    for file in (tmp_path / "labels").rglob("*.txt"):
        file.unlink()
    with pytest.raises(DataError, match=r"none of the 4 images that .* names has a label file, such as .*labels/train"):
        opened(tmp_path)


@pytest.mark.parametrize("file", ["train/labels/1.txt", "labels/1.txt"])
def test_labels_without_a_description(tmp_path, file):
    label(tmp_path / file, "0 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match=r"no data\.yaml that says what their numbers mean: write one with names:"):
        opened(tmp_path)
