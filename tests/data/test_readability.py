"""Which files could be read is remembered, and only what a command needs is read."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from samples import paint
from sources import opened, spoil

from keras_resnet.config.spec import DataSpec
from keras_resnet.data import readability
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import image_folder as folders
from keras_resnet.errors import DataError, UsageError


@pytest.fixture(autouse=True)
def no_decoded_images(monkeypatch):
    """What is known of files, without the pixels that are kept of them."""
    monkeypatch.setenv("KRESNET_CACHE_GB", "0")


def split_of(root, name, **options):
    """One split of `root`, and what was said."""
    said = []
    data = load_dataset(DataSpec(str(root), **options), said.append, (name,))
    assert set(data.splits) == {name}
    return data.splits[name], said


@pytest.mark.parametrize("asked", ["train", "validation", "test"])
def test_only_the_split_that_is_needed_is_decoded(tmp_path, decoded, asked):
    for name, count in (("train", 6), ("val", 3), ("test", 2)):
        paint(tmp_path / name, count)
    whole, _ = opened(tmp_path)
    decoded.clear()
    split, said = split_of(tmp_path, asked)
    assert len(decoded) == split.count == whole.splits[asked].count
    np.testing.assert_array_equal(split.pixels, whole.splits[asked].pixels)
    assert any(line.startswith(f"reading {split.count} of 33 images") for line in said)


@pytest.mark.parametrize("asked", ["train", "validation"])
def test_what_is_held_out_is_the_same_when_it_is_read_alone(tmp_path, decoded, asked):
    paint(tmp_path, 20)
    spoil(tmp_path, "red", 2)
    whole, _ = opened(tmp_path, max_unreadable=0.1)
    decoded.clear()
    split, _ = split_of(tmp_path, asked, max_unreadable=0.1)
    assert len(decoded) == split.count
    np.testing.assert_array_equal(split.pixels, whole.splits[asked].pixels)
    np.testing.assert_array_equal(split.labels, whole.splits[asked].labels)


def test_without_a_memory_all_training_images_are_looked_at(tmp_path, decoded, monkeypatch):
    paint(tmp_path / "d", 20)
    whole, _ = opened(tmp_path / "d")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    decoded.clear()
    split, _ = split_of(tmp_path / "d", "validation")
    assert len(set(decoded)) == 60
    np.testing.assert_array_equal(split.pixels, whole.splits["validation"].pixels)


def test_images_read_from_disk_are_looked_at_once(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    paint(tmp_path, 20)
    spoil(tmp_path, "red", 1)
    first, said = opened(tmp_path, max_unreadable=0.1, image_size=16)
    assert len(decoded) == 61
    decoded.clear()
    again, said_again = opened(tmp_path, max_unreadable=0.1, image_size=16)
    assert decoded == [] and said_again == said
    for name in ("train", "validation"):
        np.testing.assert_array_equal(again.splits[name].labels, first.splits[name].labels)
    # Their pixels are read when they are used, as ever.
    assert again.splits["train"].image(0).size == (16, 16)


def test_a_file_that_changed_is_looked_at_again(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    paint(tmp_path, 20)
    spoil(tmp_path, "red", 1)
    opened(tmp_path, max_unreadable=0.1)
    mended, ruined, touched = (tmp_path / "red" / name for name in ("broken0.png", "000.png", "001.png"))
    Image.new("RGB", (16, 16)).save(mended)
    size, stamp = ruined.stat().st_size, ruined.stat().st_mtime_ns
    ruined.write_bytes(b"x" * size)  # as large as before
    os.utime(ruined, ns=(stamp, stamp + 1))
    os.utime(touched, ns=(0, 0))
    decoded.clear()
    data, said = opened(tmp_path, max_unreadable=0.1)
    assert sorted(decoded) == ["red/000.png", "red/001.png", "red/broken0.png"]
    assert sum(split.count for split in data.splits.values()) == 60
    assert len([line for line in said if line.startswith("skipped: ") and "red/000.png" in line]) == 1


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"files": 3}', b"\xff\xfe", b'{"decoder": 1, "files": {"a": [1]}}']
)
def test_a_damaged_memory_is_ignored_and_made_again(tmp_path, decoded, monkeypatch, damage):
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    paint(tmp_path, 4)
    opened(tmp_path)
    (document,) = readability.cache_folder().glob("*.json")
    whole = document.read_bytes()
    document.write_bytes(damage)
    decoded.clear()
    opened(tmp_path)
    assert len(decoded) == 12 and document.read_bytes() == whole
    told = json.loads(whole)
    for entry in ([1], ["a", "b", "c"], None, {"a": 1}):
        document.write_text(json.dumps({**told, "files": {**told["files"], "red/000.png": entry}}))
        opened(tmp_path)
        assert document.read_bytes() == whole


def test_another_pillow_decides_anew(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    paint(tmp_path, 4)
    opened(tmp_path)
    decoded.clear()
    monkeypatch.setattr(readability.PIL, "__version__", "99")
    opened(tmp_path)
    assert len(decoded) == 12


def test_what_the_system_has_against_a_file_is_not_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    paint(tmp_path, 4)

    def refuse(path, *rest):
        try:
            raise PermissionError(13, "Permission denied")
        except PermissionError as error:
            raise DataError(f"cannot read image {path}: Permission denied") from error

    with monkeypatch.context() as patch:
        patch.setattr(folders, "read_image", refuse)
        with pytest.raises(DataError, match="Permission denied"):
            opened(tmp_path)
    assert opened(tmp_path)[0].splits["train"].count == 9


@pytest.mark.parametrize("place", ["a file", "nowhere", "relative"])
def test_a_memory_that_cannot_be_kept_is_let_be(tmp_path, monkeypatch, place):
    paint(tmp_path / "d", 4)
    (tmp_path / "a file").write_text("in the way")
    home = {"nowhere": "/proc/nowhere", "relative": "some/where"}.get(place, str(tmp_path / place))
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    monkeypatch.setenv("HOME", str(tmp_path / "a file"))
    monkeypatch.chdir(tmp_path)
    assert opened(tmp_path / "d")[0].splits["train"].count == 9
    assert not (tmp_path / "some").exists()


def test_the_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(readability, "MAX_CACHE_FILES", 2)
    for number in range(4):
        opened(paint(tmp_path / str(number), 2))
    kept = list(readability.cache_folder().iterdir())
    assert len(kept) == 2
    monkeypatch.setattr(readability, "MAX_CACHE_BYTES", 10)
    opened(paint(tmp_path / "more", 2))
    assert sorted(readability.cache_folder().iterdir()) == sorted(kept)


def test_files_that_are_gone_are_forgotten(tmp_path, monkeypatch):
    paint(tmp_path, 4)
    opened(tmp_path)
    (tmp_path / "red" / "000.png").unlink()
    Image.new("RGB", (16, 16)).save(tmp_path / "red" / "new.png")
    opened(tmp_path)
    (document,) = readability.cache_folder().glob("*.json")
    files = json.loads(document.read_text())["files"]
    assert len(files) == 12 and "red/000.png" not in files and "red/new.png" in files


def test_a_split_that_is_not_there(tmp_path):
    paint(tmp_path / "train", 4)
    (tmp_path / "test").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "test" / "0.png")
    with pytest.raises(
        DataError, match=r"the test images have no labels to compare predictions with: .* no class folders"
    ):
        split_of(tmp_path, "test")
    (tmp_path / "test" / "0.png").unlink()
    (tmp_path / "test").rmdir()
    with pytest.raises(UsageError, match=r"--split must be one of train, validation\. Received: 'test'"):
        split_of(tmp_path, "test")


def test_evaluate_decodes_the_split_alone(tmp_path, decoded, kresnet):
    for name, count in (("train", 8), ("val", 2), ("test", 1)):
        paint(tmp_path / "d" / name, count)
    options = ("--depth", 8, "--batch-size", 8, "--steps", 2, "--name", "a", "--runs", tmp_path / "runs")
    assert kresnet("train", "--data", tmp_path / "d", *options)[0] == 0
    assert len(decoded) == 30  # no test images
    for split, count in (("validation", 6), ("test", 3)):
        decoded.clear()
        code, out, _ = kresnet("evaluate", "a", "--split", split, "--runs", tmp_path / "runs", "--json")
        assert code == 0 and json.loads(out)["samples"] == len(decoded) == count
