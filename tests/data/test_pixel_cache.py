"""Decoded images are kept for the next command, whatever happens to the one that writes them."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from samples import paint
from sources import opened, whole

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.cache import pixel_cache
from keras_resnet.data.cache.pixel_cache import PixelCache
from keras_resnet.data.cache.room import images_folder
from keras_resnet.data.cache.segment import Segment, list_segments
from keras_resnet.data.load import load_dataset
from keras_resnet.data.readability import stamp_file
from keras_resnet.data.sources import image_folder as folders
from keras_resnet.errors import UsageError


def segments():
    return [file for folder in images_folder().glob("*") for file in list_segments(folder)]


def same_images(one, other):
    assert one.splits.keys() == other.splits.keys()
    for name, split in one.splits.items():
        np.testing.assert_array_equal(split.pixels, other.splits[name].pixels)
        np.testing.assert_array_equal(split.labels, other.splits[name].labels)


def test_the_second_command_decodes_nothing(tmp_path, decoded):
    root = paint(tmp_path / "photos", 5)
    plain, _ = opened(root, cache="off")
    assert len(decoded) == 15 and not images_folder().exists()
    first, said = opened(root)
    assert said[-1].startswith("cache: keeping 15 decoded images for the next command, 12.6 kB in ")
    decoded.clear()
    second, said = opened(root)
    assert not decoded
    assert said[-1] == "cache: 15 images were decoded by an earlier command (--cache off decodes again)"
    same_images(plain, first)
    same_images(plain, second)
    held_out = load_dataset(DataSpec(str(root)), said.append, ("validation",)).splits["validation"]
    np.testing.assert_array_equal(held_out.pixels, plain.splits["validation"].pixels)
    assert not decoded and len(segments()) == 1


def test_what_was_read_stays_writable(tmp_path):
    root = paint(tmp_path, 5)
    for _ in range(2):
        opened(root)[0].splits["train"].pixels[0] = 0


def test_a_file_that_changed_is_decoded_again(tmp_path, decoded):
    root = paint(tmp_path, 5)
    before, _ = opened(root)
    file = root / "red" / "001.png"
    file.write_bytes((root / "blue" / "002.png").read_bytes())
    decoded.clear()
    after, _ = opened(root)
    assert decoded == ["red/001.png"]
    assert not all(np.array_equal(before.splits[name].pixels, after.splits[name].pixels) for name in after.splits)
    os.utime(file, ns=(0, 0))
    same_images(after, opened(root)[0])
    assert decoded == ["red/001.png"] * 2


@pytest.mark.parametrize(
    "change", [{"image_size": 8}, {"image_size": (16, 8)}, {"levels": (0.0, 200.0)}, {"fit": "pad"}, {"channels": 1}]
)
def test_another_transform_has_other_pixels(tmp_path, decoded, change):
    root = paint(tmp_path, 5)
    opened(root)
    decoded.clear()
    opened(root, **change)
    assert len(decoded) == 15


def test_a_full_disk_is_told_and_stops_nothing(tmp_path):
    root = paint(tmp_path / "photos", 20, size=64)
    plain, _ = opened(root, cache="off")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        data, said = opened(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    told = [line for line in said if line.startswith("cache: ")]
    assert len(told) == 1 and told[0].endswith(": File too large") and "are not kept: cannot write" in told[0]
    same_images(plain, data)
    assert not list(images_folder().glob("*/*")) and not list(images_folder().glob("*/.*"))


def test_a_folder_that_cannot_be_written(tmp_path):
    images_folder().parent.mkdir(parents=True, exist_ok=True)
    images_folder().write_text("in the way")
    data, said = opened(paint(tmp_path, 5))
    assert data.splits["train"].count == 12 and any("images are not kept" in line for line in said)


KILLED = """
import os, signal, sys
from pathlib import Path
from keras_resnet.data.cache.segment import SegmentWriter
from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset
finish = SegmentWriter.finish
SegmentWriter.finish = lambda self: os.kill(os.getpid(), signal.SIGKILL)
load_dataset(DataSpec(sys.argv[1]), print)
"""


def test_what_a_killed_command_leaves_is_removed(tmp_path):
    root = paint(tmp_path, 5)
    assert subprocess.run([sys.executable, "-c", KILLED, root], check=False, capture_output=True).returncode == -9
    assert not segments() and len(list(images_folder().glob("*/.*"))) == 1
    plain, _ = opened(root, cache="off")
    same_images(plain, opened(root)[0])
    assert len(segments()) == 1 and not list(images_folder().glob("*/.*"))


def both(root, log=lambda message: None):
    """Two commands that open the cache before either has written."""
    files = sorted(root.glob("*/*.png"))
    caches = [PixelCache.open(root, "same", log) for _ in range(2)]
    for cache in caches:
        assert cache.make_room(len(files) * 3)
        for number, file in enumerate(files):
            cache.add(file, stamp_file(file), (16, 16), np.full((1, 1, 3), number, np.uint8))
    return files, caches


def test_two_commands_at_once(tmp_path):
    files, caches = both(paint(tmp_path, 5))
    for cache in caches:
        cache.close()
    third = PixelCache.open(tmp_path, "same", print)
    for cache in (*caches, third):
        assert [int(cache.find(file, stamp_file(file))[0][0, 0, 0]) for file in files] == list(range(15))
    assert third.find(files[0], stamp_file(files[0]))[1] == (16, 16)


def test_what_two_wrote_is_kept_once(tmp_path):
    files, caches = both(paint(tmp_path, 5))
    for cache in caches:
        cache.close()
    last = PixelCache.open(tmp_path, "same", print)
    last.make_room(3)
    last.add(files[0], stamp_file(files[0]), (16, 16), np.zeros((1, 1, 3), np.uint8))
    last.close()
    assert len(segments()) == 2 and all(last.has(file, stamp_file(file)) for file in files)


def test_many_segments_become_two(tmp_path):
    root = paint(tmp_path, 10)
    files = sorted(root.glob("*/*.png"))
    for number in range(0, 30, 3):
        cache = PixelCache.open(root, "same", print)
        cache.make_room(9)
        for place in range(number, number + 3):
            cache.add(files[place], stamp_file(files[place]), (16, 16), np.full((1, 1, 3), place, np.uint8))
        files[0].unlink(missing_ok=True)
        cache.close()
        assert len(segments()) <= pixel_cache.MAX_SEGMENTS
    last = PixelCache.open(root, "same", print)
    assert [int(last.find(file, stamp_file(file))[0][0, 0, 0]) for file in files[1:]] == list(range(1, 30))


@pytest.mark.parametrize("harm", ["pixel", "index", "end", "empty"])
def test_damage_is_found(tmp_path, decoded, harm):
    root = paint(tmp_path, 5)
    plain, _ = opened(root)
    (file,) = segments()
    content = bytearray(file.read_bytes())
    if harm == "end":
        del content[-100:]
    elif harm == "empty":
        content.clear()
    else:
        content[100 if harm == "pixel" else -100] ^= 1
    file.write_bytes(content)
    decoded.clear()
    data, said = opened(root)
    same_images(plain, data)
    assert decoded
    assert any("which is damaged" in line for line in said) == (harm == "pixel")
    opened(root)
    decoded.clear()
    same_images(plain, opened(root)[0])
    assert not decoded


def test_an_index_that_points_elsewhere_is_none(tmp_path):
    root = paint(tmp_path, 5)
    opened(root)
    (file,) = segments()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_resnet.data.cache.segment.CachedImage.end", property(lambda self: 10**9))
        assert Segment.open(file) is None
    assert Segment.open(file)


def test_the_bound(tmp_path, monkeypatch, decoded):
    roots = [paint(tmp_path / name, 5, size=64) for name in "abc"]
    monkeypatch.setenv("KRESNET_CACHE_GB", "0.0001")
    _, said = opened(roots[0])
    assert (
        "cache: decoded images are not kept: they would take 240 kB, more than 100 kB (KRESNET_CACHE_GB=… sets another"
        " limit)"
    ) in said
    monkeypatch.setenv("KRESNET_CACHE_GB", "0.0005")
    for number, root in enumerate(roots[:2]):
        opened(root)
        (folder,) = (each for each in images_folder().iterdir() if each.stat().st_mtime > 10**6)
        os.utime(folder, (number, number))
    opened(roots[0])  # used again, so it is not the one to go
    opened(roots[2])
    decoded.clear()
    opened(roots[0])
    assert not decoded and len(segments()) == 2
    opened(roots[1])
    assert len(decoded) == 15


@pytest.mark.parametrize("value", ["", "0"])
def test_a_bound_of_nothing_is_off(tmp_path, monkeypatch, value):
    monkeypatch.setenv("KRESNET_CACHE_GB", value)
    _, said = opened(paint(tmp_path, 5))
    assert any(line.startswith("cache: ") for line in said) == (value == "")
    assert images_folder().exists() == (value == "")


def test_a_bound_that_is_no_number(tmp_path, monkeypatch):
    monkeypatch.setenv("KRESNET_CACHE_GB", "many")
    with pytest.raises(UsageError, match=r"a number of gigabytes, 0 or more\. Received: 'many'"):
        opened(paint(tmp_path, 5))


@pytest.mark.parametrize("crop", ["pad", "resized"])
def test_images_that_do_not_fit_in_memory_come_from_it(tmp_path, monkeypatch, decoded, crop):
    from keras_resnet.config.spec import AugmentSpec

    root = paint(tmp_path, 8)
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    augment = AugmentSpec(flip=True, crop=crop, auto_augment="trivialaugment" if crop == "resized" else "none")
    seen = []
    for cache in ("off", "auto", "auto"):
        data, _ = opened(root, image_size=12, cache=cache)
        decoded.clear()
        seen.append(whole(data.splits["train"], augment=augment))
        if crop == "pad":
            assert bool(decoded) == (cache == "off")
        part = data.splits["train"].subset(np.array([3, 1]))
        np.testing.assert_array_equal(part.read_pixels(1), data.splits["train"].read_pixels(1))
    for batches in seen[1:]:
        for (images, labels), (images2, labels2) in zip(seen[0], batches, strict=True):
            np.testing.assert_array_equal(images, images2)
            np.testing.assert_array_equal(labels, labels2)


WIDE = {"image_size": (16, 24)}
TRANSFORMS = [
    {**WIDE, "fit": "crop"},
    {**WIDE, "fit": "pad"},
    {**WIDE, "fit": "stretch"},
    {"image_size": (24, 16), "fit": "stretch"},
    {**WIDE, "fit": "pad", "channels": 1},
    {**WIDE, "fit": "crop", "channels": 1},
]


@pytest.mark.parametrize("keeps", [True, False])
def test_each_fit_size_and_channels_have_pixels_of_their_own(tmp_path, monkeypatch, decoded, keeps):
    """The same folder opened in one way after another, twice, as trainings would."""
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: keeps)
    root = paint(tmp_path / "photos", 5, size=32)
    Image.effect_mandelbrot((40, 20), (-2, -1, 1, 1), 20).save(root / "red" / "000.png")

    def pixels(**options):
        splits = opened(root, **options)[0].splits
        return {
            name: np.stack(
                [each.read_pixels(row) if each.pixels is None else each.pixels[row] for row in range(each.count)]
            )
            for name, each in splits.items()
        }

    plain = [pixels(cache="off", **each) for each in TRANSFORMS]
    assert plain[0]["train"].shape == (12, 16, 24, 3) and plain[4]["train"].shape == (12, 16, 24, 1)
    for _ in range(2):
        decoded.clear()
        for options, expected in zip(TRANSFORMS, plain, strict=True):
            found = pixels(**options)
            for name, values in expected.items():
                np.testing.assert_array_equal(found[name], values)
    assert not decoded
    assert len(list(images_folder().iterdir())) == len(TRANSFORMS)


def test_a_table_and_its_folder_share_images(tmp_path, decoded):
    """Whether the table or its folder is named, and with one label or several."""
    root = paint(tmp_path, 5)
    files = sorted(root.glob("*/*.png"))
    table = root / "labels.csv"
    table.write_text("path,label\n" + "".join(f"{file.relative_to(root)},{file.parent.name}\n" for file in files))
    plain, _ = opened(table, cache="off", image_size=16)
    decoded.clear()
    same_images(plain, opened(table, image_size=16)[0])
    assert len(decoded) == 15
    several, _ = opened(table, image_size=16, annotations="label_sets")
    same_images(plain, opened(root, image_size=16)[0])
    assert len(decoded) == 15 and several.splits["train"].label_sets is not None
