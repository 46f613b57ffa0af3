"""Folders as people have them: what is taken as a split, what as a class, and what is left out."""

import os
import re
import tempfile
import unicodedata
from pathlib import Path

import pytest
from class_folders import counts, fill, image, left_out
from samples import paint
from sources import opened

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources.split_names import split_of
from keras_resnet.errors import DataError
from keras_resnet.runtime.image_files import find_images, list_images


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        ({"Train": 5, "Val": 2}, ("train", "validation")),
        ({"training": 5, "validation": 2}, ("train", "validation")),
        ({"train": 5, "valid": 2}, ("train", "validation")),
        ({"TRAIN": 5, "TEST": 2, "dev": 3}, ("train", "test", "validation")),
        ({"training_set": 5, "test_set": 2, "eval": 3}, ("train", "test", "validation")),
        ({"Train Images": 5, "Testing": 2, "VALIDATION-DATA": 3}, ("train", "test", "validation")),
    ],
)
def test_splits_by_their_usual_names(tmp_path, folders, splits):
    for folder, count in folders.items():
        fill(tmp_path / folder, count, "cat", "dog")
    data, said = opened(tmp_path)
    assert data.classes == ("cat", "dog")
    assert counts(data) == {split: 2 * count for split, count in zip(splits, folders.values(), strict=True)}
    (told,) = [line for line in said if line.startswith("splits: ")]
    assert all(f"{split} ({folder}/)" in told for split, folder in zip(splits, folders, strict=True))


@pytest.mark.parametrize("name", ["trainer", "valley", "contest", "evaluator", "testset2", "data", "images", "set"])
def test_other_names_are_no_splits(name):
    assert split_of(name) is None


@pytest.mark.parametrize("names", [("train", "val"), ("Training", "test_set"), ("test", "train", "valid")])
def test_splits_in_class_folders_are_refused(tmp_path, kresnet, names):
    """They were taken for images of the class: what had been held out was trained on, and nothing was said."""
    for label in ("cat", "dog"):
        fill(tmp_path / "d" / label, 4, *names)
    code, out, err = kresnet("train", "--data", tmp_path / "d", "--runs", tmp_path / "runs")
    first, *_ = inner = sorted(names)
    held = " and ".join(f"{name}/" for name in inner)
    assert (code, out) == (1, "") and err[-1] == (
        f"kresnet: class folder {tmp_path / 'd/cat'} has {held} in it: put the splits"
        f" outside, as in {tmp_path / 'd' / first / 'cat'}; or rename them, if all of these images are for training"
    )
    assert not (tmp_path / "runs").exists()


def test_other_folders_in_class_folders_are_images_of_the_class(tmp_path):
    """Also one that is called as a split is, or several that are called as one."""
    fill(tmp_path / "vehicle", 3, "bus", "train", "car")
    fill(tmp_path / "animal", 3, "training", "train")
    data, _ = opened(tmp_path)
    assert data.classes == ("animal", "vehicle") and sum(counts(data).values()) == 15


def test_two_folders_for_one_split_are_refused(tmp_path):
    for name in ("train", "val", "Validation"):
        fill(tmp_path / name, 2, "cat", "dog")
    with pytest.raises(DataError, match=r"Validation and .*val are both named for validation images"):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["train", "test", "Val"])
def test_a_class_called_like_a_split(tmp_path, name):
    fill(tmp_path, 5, "bus", "car", name)
    data, said = opened(tmp_path)
    assert data.classes == tuple(sorted(("bus", "car", name)))
    assert counts(data) == {"train": 12, "validation": 3}
    assert any(line.startswith(f"{name}/: taken as a class, since images lie in it as in bus/, car/") for line in said)


@pytest.mark.parametrize("name", ["train", "test"])
def test_what_may_be_a_class_or_a_split_is_refused(tmp_path, name):
    fill(tmp_path, 5, "bus", "car")
    fill(tmp_path / name, 5, "steam", "diesel")
    with pytest.raises(DataError, match=rf"{name}: it has class folders in it, and stands beside bus/, car/; ren"):
        opened(tmp_path)


def test_a_test_split_beside_the_class_folders(tmp_path):
    fill(tmp_path, 5, "cat", "dog")
    fill(tmp_path / "test", 3, "cat", "dog")
    data, _ = opened(tmp_path)
    assert data.classes == ("cat", "dog") and counts(data) == {"train": 8, "validation": 2, "test": 6}


@pytest.mark.parametrize("inside", ["", "unknown"])
def test_unlabelled_test_images(tmp_path, inside):
    fill(tmp_path / "train", 5, "cat", "dog")
    for number in range(4):
        image(tmp_path / "test" / inside / f"{number}.png")
    data, said = opened(tmp_path)
    assert counts(data) == {"train": 8, "validation": 2}
    assert any(line.startswith("test: 4 images without labels") for line in said)


def test_validation_images_need_labels(tmp_path):
    fill(tmp_path / "train", 5, "cat", "dog")
    image(tmp_path / "val" / "0.png")
    with pytest.raises(DataError, match="val holds 1 image and no class folders"):
        opened(tmp_path)


def test_splits_without_class_folders(tmp_path):
    for name in ("train/0.png", "train/1.png", "test/0.png"):
        image(tmp_path / name)
    with pytest.raises(DataError, match="train holds 2 images and no class folders"):
        opened(tmp_path)


def test_no_training_images(tmp_path):
    for name in ("val", "test"):
        fill(tmp_path / name, 2, "cat", "dog")
    with pytest.raises(DataError, match=r"has test/, val/ and no train folder"):
        opened(tmp_path)


def test_other_folders_beside_the_splits_are_told(tmp_path):
    for name in ("train", "val"):
        fill(tmp_path / name, 3, "cat", "dog")
    fill(tmp_path / "more", 2, "cat")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "readme.txt").write_text("text")
    image(tmp_path / "train" / "loose.png")
    data, said = opened(tmp_path)
    assert counts(data) == {"train": 6, "validation": 6}
    assert left_out(said) == {"images in more/ beside the splits": 2, ".txt": 1, "images beside the class folders": 1}


def test_one_spelling_of_a_class_in_every_split(tmp_path):
    for split, form in (("train", "NFC"), ("val", "NFD"), ("test", "NFD")):
        fill(tmp_path / split, 2, unicodedata.normalize(form, "café"), "dog")
    data, _ = opened(tmp_path)
    assert data.classes == ("café", "dog") and data.classes[0] == unicodedata.normalize("NFC", "café")
    assert counts(data) == {"train": 4, "validation": 4, "test": 4}


def test_two_spellings_of_a_class_in_one_split_are_refused(tmp_path):
    fill(tmp_path, 2, unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café"), "dog")
    with pytest.raises(DataError, match=r"each label must be there once\. Received twice: 'café'"):
        opened(tmp_path)


@pytest.mark.parametrize(("per_class", "told"), [(2, "2 of 4 .*50.0%"), (3, "2 of 6 .*33.3%"), (5, "2 of 10 .*20.0%")])
def test_the_share_held_out_is_the_real_one(tmp_path, per_class, told):
    fill(tmp_path, per_class, "cat", "dog")
    data, said = opened(tmp_path)
    (line,) = [line for line in said if line.startswith("validation: ")]
    assert counts(data)["validation"] == 2
    assert re.search(told, line)
    assert ("cannot put each class on both sides" in line) == (per_class < 5)


def test_a_flat_folder_with_a_table_says_what_is_supported(tmp_path):
    for number in range(3):
        image(tmp_path / f"{number}.png")
    (tmp_path / "labels.csv").write_text("0.png,cat\n")
    with pytest.raises(
        DataError, match=r"3 images and no class folders: .* to read labels from a \.csv file, name it: .*; sort"
    ):
        opened(tmp_path)


def test_a_folder_around_the_data_set_is_named(tmp_path):
    fill(tmp_path / "photos", 4, "cat", "dog")
    with pytest.raises(DataError, match=rf"one class only \(photos\).*is the dataset itself {tmp_path / 'photos'}\?"):
        opened(tmp_path)


def test_names_that_are_almost_the_same_are_told(tmp_path):
    fill(tmp_path, 4, "Cat", "cat", "hot dog", "hot_dog")
    data, said = opened(tmp_path)
    assert len(data.classes) == 4
    told = [line for line in said if line.startswith("warning: classes with almost the same name: ")]
    assert [line.partition("name: ")[2].partition(",")[0] for line in told] == [
        "'Cat' and 'cat'",
        "'hot dog' and 'hot_dog'",
    ]


def test_odd_names_and_deep_folders(tmp_path):
    odd = 'it\'s a "dog" $(x) é 🐕'
    fill(tmp_path, 2, "cat", odd)
    image(tmp_path.joinpath(odd, *["deep folder"] * 40) / "a b'c\".PNG")
    data, said = opened(tmp_path)
    assert data.classes == ("cat", odd) and sum(counts(data).values()) == 5
    assert not any(line.startswith("left out") for line in said)


def test_classes_that_one_split_alone_has(tmp_path):
    fill(tmp_path / "train", 2, "cat", "dog")
    fill(tmp_path / "val", 2, "cat", "dog", "emu")
    with pytest.raises(DataError, match=r"do not hold the same classes; they differ in: emu$"):
        opened(tmp_path)


def test_a_folder_that_cannot_be_read(tmp_path):
    # As another user, since root may read everything; below /tmp, since nobody else enters tmp_path.
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        fill(Path(scratch), 2, "cat", "dog")
        os.chmod(Path(scratch, "dog"), 0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(DataError, match=r"cannot read folder .*dog: Permission denied"):
                list_images(Path(scratch))
        finally:
            os.seteuid(user)
            os.chmod(Path(scratch, "dog"), 0o755)


def test_a_path_that_is_too_long_for_the_system(tmp_path):
    here, start = tmp_path / "cat", Path.cwd()
    here.mkdir()
    os.chdir(here)
    try:
        for _ in range(20):
            os.mkdir("x" * 250)
            os.chdir("x" * 250)
        os.chdir(start)
        with pytest.raises(DataError, match=r"cannot read folder .*: File name too long"):
            find_images(tmp_path)
    finally:
        os.chdir(start)


def test_the_folder_is_left_as_it_was(tmp_path):
    fill(tmp_path / "train", 3, "cat", "dog")
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    opened(tmp_path)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_the_command_refuses_in_a_sentence_and_leaves_nothing(tmp_path, kresnet):
    root = tmp_path / "d"
    fill(root, 2, "bus", "car")
    fill(root / "train", 2, "steam", "diesel")
    code, out, err = kresnet("train", "--data", root, "--depth", 8, "--runs", tmp_path / "runs")
    assert code == 1 and not out and "rename it if it is a class" in err[-1]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("inside", ["images", "nothing"])
def test_a_folder_called_like_a_bundled_set_does_not_take_its_place(tmp_path, monkeypatch, inside, tfds_home):
    """`--data digits` is the default of every command, wherever it is typed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    if inside == "images":
        paint(tmp_path / "digits", 4)
    said = []
    data = load_dataset(DataSpec(data_dir=tfds_home), said.append)
    assert data.classes == tuple("0123456789") and said[0].endswith("the folder of that name here is ./digits")
    if inside == "images":
        assert load_dataset(DataSpec("./digits"), said.append).classes == ("blue", "green", "red")


def test_the_folder_of_a_class_is_answered_with_the_one_that_holds_it(tmp_path):
    for folder in ("photos", "splits/train"):
        for label in ("cat", "dog"):
            image(tmp_path / folder / label / "0.png")
    for given, meant in (("photos/cat", "photos"), ("splits/train/cat", "splits")):
        with pytest.raises(DataError, match=rf"; did you mean --data {tmp_path / meant}, which holds it"):
            opened(tmp_path / given)
