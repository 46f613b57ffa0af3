"""Folders as people have them: what is taken as a split, what as a class, and what is left out."""

import os
import re
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import paint
from sources import opened

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources.folder_layout import split_of
from keras_resnet.errors import DataError
from keras_resnet.runtime.image_files import find_images, list_images
from keras_resnet.runtime.plurals import counted


def fill(folder, per_class, *classes):
    """Class folders with so many images each."""
    return paint(folder, per_class, classes={name: (9 * number, 99, 200) for number, name in enumerate(classes)})


def image(path):
    """One image at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), 77, np.uint8)).save(path, format="PNG")
    return path


def counts(data):
    return {name: split.count for name, split in data.splits.items()}


def left_out(said):
    """Kind → how many, from the line that tells it."""
    (line,) = [line for line in said if line.startswith("left out ")]
    words = line.partition(": ")[2].partition(";")[0]
    found = {kind: int(number) for kind, number in (each[:-1].rsplit(" (", 1) for each in words.split(", "))}
    assert line.startswith(f"left out {counted(sum(found.values()), 'file')}: ")
    return found


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


def test_linked_folders_are_followed_and_no_image_is_taken_twice(tmp_path):
    root = fill(tmp_path / "d", 3, "cat", "dog")
    fill(tmp_path / "elsewhere", 7, "cat")
    (root / "cat" / "more").symlink_to(tmp_path / "elsewhere" / "cat")
    (root / "cat" / "again").symlink_to(tmp_path / "elsewhere" / "cat")
    (root / "cat" / "loop").symlink_to("..")
    (root / "dog" / "self").symlink_to("self")
    (root / "dog" / "copy.png").symlink_to("000.png")
    (root / "dog" / "one.png").symlink_to(image(tmp_path / "one.png"))
    data, said = opened(root)
    assert np.bincount(np.concatenate([split.labels for split in data.splits.values()])).tolist() == [10, 4]
    told = {"links to what is counted already": 2, "links back to where they stand": 1, "dangling links": 1}
    assert left_out(said) == told


def test_a_class_folder_may_be_a_link(tmp_path):
    fill(tmp_path / "elsewhere", 4, "cats")
    root = fill(tmp_path / "d", 4, "dog")
    (root / "cat").symlink_to(tmp_path / "elsewhere" / "cats")
    data, _ = opened(root)
    assert data.classes == ("cat", "dog") and counts(data) == {"train": 6, "validation": 2}


def test_images_in_two_classes_or_splits_by_links_are_told(tmp_path):
    root = fill(tmp_path / "d" / "train", 4, "cat", "dog").parent
    fill(tmp_path / "d" / "val", 2, "cat", "dog")
    (root / "val" / "cat" / "x.png").symlink_to(root / "train" / "cat" / "000.png")
    (root / "val" / "dog" / "y.png").symlink_to(root / "train" / "cat" / "001.png")
    _, said = opened(root)
    assert "1 image is in two classes, by links" in said
    assert "2 images are in two splits, by links: accuracy on them says nothing about new images" in said


def test_dangling_links_are_counted(tmp_path):
    fill(tmp_path, 4, "cat", "dog")
    for number in range(3):
        (tmp_path / "cat" / f"far{number}.png").symlink_to(f"/nowhere/{number}.png")
    _, said = opened(tmp_path)
    assert left_out(said) == {"dangling links": 3}
    assert any("DVC and git-annex" in line for line in said)


def test_classes_of_dangling_links_alone(tmp_path):
    fill(tmp_path, 4, "dog")
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "far.png").symlink_to("/nowhere/far.png")
    with pytest.raises(DataError, match=r"cat holds no images, only dangling links \(1\); .*DVC and git-annex"):
        opened(tmp_path)


def test_what_systems_and_programs_leave_behind(tmp_path):
    fill(tmp_path, 4, "cat", "dog")
    for folder in ("@eaDir", "__MACOSX", ".ipynb_checkpoints", "$RECYCLE.BIN"):
        image(tmp_path / "cat" / folder / "deep" / "000.png")
    image(tmp_path / "__MACOSX" / "000.png")
    for name in ("Thumbs.db", "desktop.ini", "._000.png", ".DS_Store"):
        (tmp_path / "dog" / name).write_bytes(b"x")
    data, said = opened(tmp_path)
    assert data.classes == ("cat", "dog") and sum(counts(data).values()) == 8
    assert left_out(said) == {
        "in __MACOSX": 2,
        **dict.fromkeys(("in @eaDir", "in .ipynb_checkpoints", "in $RECYCLE.BIN"), 1),
        **dict.fromkeys(("Thumbs.db", "desktop.ini", "._* of macOS", "hidden"), 1),
    }


def test_files_that_are_no_images_are_counted_by_suffix(tmp_path):
    fill(tmp_path, 4, "cat", "dog")
    for name in ("a.pdf", "a.mpg", "a.h5", "a.eps", "A.PDF", "a.txt", "a", "a.jpg~"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    data, said = opened(tmp_path, max_unreadable=0.0)
    assert sum(counts(data).values()) == 8
    once = (".mpg", ".h5", ".eps", ".txt", ".jpg~", "without a suffix")
    assert left_out(said) == {".pdf": 2, **dict.fromkeys(once, 1)}


def test_a_pipe_is_no_image(tmp_path):
    fill(tmp_path, 4, "cat", "dog")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    _, said = opened(tmp_path)
    assert left_out(said) == {"pipes and devices": 1}


@pytest.mark.parametrize(
    ("suffix", "words"), [("heic", "no HEIC: convert"), ("HEIF", "no HEIC"), ("cr2", "camera raw"), ("jxl", "JPEG XL")]
)
def test_pictures_that_pillow_does_not_read_say_what_to_do(tmp_path, suffix, words):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"a.{suffix}").write_bytes(b"x")
    with pytest.raises(DataError, match=rf"cat holds no images, only \.{suffix.lower()} \(1\); Pillow reads .*{words}"):
        opened(tmp_path)


def test_every_suffix_that_counts_is_of_a_format_that_pillow_opens(tmp_path):
    from keras_resnet.runtime.image_files import image_suffixes

    opens = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN or kind == "MPO"}
    assert image_suffixes() <= opens
    assert {
        ".jpg",
        ".jpeg",
        ".png",
        ".bmp",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".jp2",
        ".avif",
    } <= image_suffixes()
    assert not {".pdf", ".mpg", ".mpeg", ".h5", ".hdf", ".eps", ".ps", ".wmf", ".grib", ".bufr"} & image_suffixes()


def test_pointers_of_git_lfs_say_how_to_fetch_them(tmp_path):
    fill(tmp_path, 4, "cat", "dog")
    (tmp_path / "cat" / "far.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError, match=r"far\.png: .*pointer of Git LFS: git lfs pull fetches it"):
        opened(tmp_path)


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
    with pytest.raises(DataError, match=r"3 images and no class folders: .* labels in a \.csv file are not read; sort"):
        opened(tmp_path)


def test_a_folder_around_the_data_set_is_named(tmp_path):
    fill(tmp_path / "photos", 4, "cat", "dog")
    with pytest.raises(DataError, match=rf"one class only \(photos\).*is the data set itself {tmp_path / 'photos'}\?"):
        opened(tmp_path)


def test_names_that_are_almost_the_same_are_told(tmp_path):
    fill(tmp_path, 4, "Cat", "cat", "hot dog", "hot_dog")
    data, said = opened(tmp_path)
    assert len(data.classes) == 4
    told = [line for line in said if line.startswith("classes with almost the same name: ")]
    assert told == [f"classes with almost the same name: {pair}" for pair in ("'Cat', 'cat'", "'hot dog', 'hot_dog'")]


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
