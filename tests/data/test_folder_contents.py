"""What lies in folders of images: links, leftovers of programs, files that are no images."""

import os

import numpy as np
import pytest
from class_folders import counts, fill, image, left_out
from PIL import Image
from sources import opened

from keras_resnet.errors import DataError


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
    images = (("cat/x.png", "000.png"), ("dog/y.png", "001.png"))
    one, two = (f"{root}/val/{link} = {root}/train/cat/{file}" for link, file in images)
    learned = "no network can learn both labels; keep each image in one class"
    assert f"warning: 1 image is in two classes, by links ({two}): {learned}" in said
    measured = "accuracy on them says nothing about new images"
    assert f"warning: 2 images are in two splits, by links ({one}, {two}): {measured}" in said


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
    assert image_suffixes() - {".npy"} <= opens
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
