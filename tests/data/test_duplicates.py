"""Images that are copied from one split to another are told, whatever they are called and however they are kept."""

import os
import re
import shutil

import numpy as np
import pytest
from layouts import tiny_coco
from PIL import Image
from samples import paint, silent

from keras_resnet.config.spec import DataSpec
from keras_resnet.data import duplicates
from keras_resnet.data.dataset import Split
from keras_resnet.data.duplicates import CONFLICTING, TAIL_BYTES, find_copies, log_copies
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import arrays, detection_folder, image_folder


@pytest.fixture(params=["in memory", "on disk"])
def kept(request, monkeypatch):
    """Where images are, once they have been read."""
    if request.param == "on disk":
        for module in (image_folder, detection_folder):
            monkeypatch.setattr(module, "fits_in_memory", lambda *of: False)
    return request.param


@pytest.fixture
def splits(tmp_path):
    """train/ and val/ without a common image."""
    paint(tmp_path / "data" / "train", 5)
    paint(tmp_path / "whole", 7)
    for label in ("blue", "green", "red"):
        (tmp_path / "data" / "val" / label).mkdir(parents=True)
        for number in (5, 6):
            shutil.copy(tmp_path / "whole" / label / f"{number:03}.png", tmp_path / "data" / "val" / label)
    rng = np.random.default_rng(7)
    for file in (tmp_path / "data" / "val").rglob("*.png"):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(file)
    return tmp_path / "data"


def warnings_of(source, only=None, **fields):
    told = []
    load_dataset(DataSpec(str(source), **fields), told.append, only)
    return [line for line in told if "of training images (" in line]


def test_nothing_is_told_where_all_images_differ(splits, kept):
    assert warnings_of(splits) == []


def test_copied_files_are_told_once_with_an_example(splits, kept):
    for number in (1, 3):
        shutil.copy(splits / "train/red" / f"{number:03}.png", splits / "val/red" / f"copy{number}.png")
    (told,) = warnings_of(splits)
    example = f"({splits}/val/red/copy1.png is {splits}/train/red/001.png)"
    assert told.startswith(f"warning: 2 of 8 validation images are copies of training images {example}: ")
    assert told.endswith("keep each image once")


def test_a_copy_under_another_label_is_one(splits, kept):
    shutil.copy(splits / "train/red/002.png", splits / "val/blue/other.png")
    (told,) = warnings_of(splits)
    assert "(" + f"{splits}/val/blue/other.png is {splits}/train/red/002.png)" in told


def conflicts_of(source, **fields):
    logged = []
    load_dataset(DataSpec(str(source), **fields), logged.append)
    return [line for line in logged if line.startswith(CONFLICTING)]


def test_equal_training_images_with_different_labels_are_warned_of_once(splits, kept, monkeypatch):
    assert conflicts_of(splits) == []
    shutil.copy(splits / "train/red/002.png", splits / "train/red/again.png")
    assert conflicts_of(splits) == [], "of one label they are no fault"
    for label in ("blue", "green"):
        shutil.copy(splits / "train/red/002.png", splits / f"train/{label}/copy.png")
    (logged,) = conflicts_of(splits)
    names = f"{splits}/train/blue/copy.png and {splits}/train/green/copy.png"
    assert logged.startswith(f"{CONFLICTING}: 4 images, such as {names}; no network can learn both labels")
    monkeypatch.setattr(duplicates, "MOST_FILES", 10)
    assert len(conflicts_of(splits)) == (kept == "in memory")


def test_sets_of_labels_that_differ_are_warned_of():
    images = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3), np.uint8)
    images[2] = images[0]
    train = Split.with_label_sets("train", np.array([[1, 0], [0, 1], [1, 1], [1, 0]], np.uint8), pixels=images)
    assert duplicates.find_conflicting_labels(train) == [[0, 2]]
    images[2] = images[3]
    assert duplicates.find_conflicting_labels(train) == [[2, 3]]


def test_the_same_pixels_in_another_format(splits):
    Image.open(splits / "train/red/002.png").save(splits / "val/red/same.bmp")
    assert len(warnings_of(splits)) == 1


def test_an_image_that_differs_in_a_pixel_is_another(splits, kept):
    image = Image.open(splits / "train/red/002.png")
    image.putpixel((15, 15), tuple(255 - value for value in image.getpixel((15, 15))))
    image.save(splits / "val/red/nearly.png")
    assert warnings_of(splits) == []


def test_copies_within_the_images_that_are_held_out_of(tmp_path, kept):
    root = paint(tmp_path / "data", 6)
    for label in ("blue", "green", "red"):
        for number in range(6):
            shutil.copy(root / label / f"{number:03}.png", root / label / f"{number:03} again.png")
    (told,) = warnings_of(root)
    count = int(re.match(r"warning: (\d+) of 7 validation images", told).group(1))
    assert 1 <= count <= 7


def test_copies_among_test_images_are_told_too(splits):
    shutil.copytree(splits / "train", splits / "test")
    assert warnings_of(splits)[0].startswith("warning: 15 of 15 test images are copies of training images")
    assert warnings_of(splits, only=("train", "validation")) == []


def test_links_are_told_by_the_layout_alone(splits, kept):
    (splits / "val/red/link.png").symlink_to(splits / "train/red/001.png")
    told = []
    load_dataset(DataSpec(str(splits)), told.append)
    assert [line for line in told if "two splits, by links" in line] and not warnings_of(splits)
    os.link(splits / "train/red/002.png", splits / "val/red/hard.png")  # which nothing tells from a copy
    assert len(warnings_of(splits)) == 1


def test_files_of_one_size_with_one_end_are_read_whole(tmp_path):
    """Uncompressed images whose last rows are alike."""
    rng = np.random.default_rng(0)
    for split, seeds in (("train", (1, 2)), ("val", (3, 2))):
        for number, seed in enumerate(seeds):
            pixels = np.zeros((64, 64, 3), np.uint8)
            pixels[:20] = np.random.default_rng(seed).integers(0, 256, (20, 64, 3))
            for label in ("a", "b"):
                (tmp_path / split / label).mkdir(parents=True, exist_ok=True)
                pixels[:4] = rng.integers(0, 256, (4, 64, 3)) if label == "b" else pixels[:4]
                Image.fromarray(pixels[::-1]).save(tmp_path / split / label / f"{number}.bmp")
    assert TAIL_BYTES < 44 * 64 * 3
    (told,) = warnings_of(tmp_path)
    assert told.startswith("warning: 1 of 4 validation images is a copy") and f"{tmp_path}/val/a/1.bmp" in told


def test_annotated_images_of_one_content_under_two_names(tmp_path, kept):
    for split in ("train", "val"):
        tiny_coco(tmp_path, split)
    files = {split: sorted(tmp_path.rglob(f"{split} *.png")) for split in ("train", "val")}
    rng = np.random.default_rng(0)
    for file in (*files["train"], *files["val"]):
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(file)
    fields = {"annotations": "objects", "image_size": 64}
    assert warnings_of(tmp_path, **fields) == []
    shutil.copy(files["train"][1], files["val"][0])
    (told,) = warnings_of(tmp_path, **fields)
    assert told.startswith("warning: 1 of 2 validation images is a copy")
    assert f"({files['val'][0]} is {files['train'][1]})" in told


def test_images_of_a_script_are_counted_by_their_rows():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 16, 16, 3), np.uint8)
    others = np.concatenate([images[6:7], rng.integers(0, 256, (3, 16, 16, 3), np.uint8)])
    data = arrays.in_memory((images, np.arange(8) % 2), (others, np.arange(4) % 2), ("a", "b"))
    assert find_copies(data.splits["train"], data.splits["validation"]) == [(6, 0)]
    told = []
    log_copies(data, told.append)
    assert "(validation image 1 is train image 7)" in told[0]


def test_the_bundled_digits_have_none(tfds_home):
    assert warnings_of("digits", data_dir=tfds_home) == []


def test_a_file_that_is_gone_meanwhile_is_no_copy(splits, monkeypatch):
    monkeypatch.setattr(image_folder, "fits_in_memory", lambda *of: False)
    shutil.copy(splits / "train/red/002.png", splits / "val/red/copy.png")
    data = load_dataset(DataSpec(str(splits)), silent)
    (splits / "train/red/002.png").unlink()
    assert find_copies(data.splits["train"], data.splits["validation"]) == []


def test_the_command_warns_and_trains(splits, tmp_path, kresnet):
    shutil.copy(splits / "train/red/001.png", splits / "val/red/copy.png")
    options = ("--precision", "float32", "--no-flip", "--steps", 1, "--runs", tmp_path / "runs")
    code, _, told = kresnet("train", "--depth", 8, "--data", splits, *options)
    assert code == 0 and "\n".join(told).count("warning: 1 of 7 validation images is a copy of") == 1
