"""Images that resized crops are cut from are decoded once: with the pixels of decoding them for every crop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import jpeg, paint, photo
from sources import opened, whole

from keras_resnet.config.spec import AugmentSpec, DataSpec, Spec
from keras_resnet.data.cache.room import images_folder
from keras_resnet.data.sources import image_folder as folders
from keras_resnet.data.uncropped import UncroppedImages, keep_uncropped
from keras_resnet.training.distribute import Devices
from keras_resnet.training.prepare import keep_uncropped_chief_first

PLAIN = AugmentSpec(flip=True, crop="resized")
AUGMENTS = [
    PLAIN,
    AugmentSpec(flip=True, crop="resized", auto_augment="randaugment", random_erase=0.5, mixup=0.2, repeats=2),
]


@pytest.fixture(autouse=True)
def from_files(monkeypatch):
    """No image is kept in memory."""
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)


def photos(root, width=60, height=44, per_class=8):
    for kind in ("cats", "dogs"):
        (root / kind).mkdir(parents=True)
        for number in range(per_class):
            image = photo(width + number, height, number + len(kind))
            (root / kind / f"{kind}{number}.jpg").write_bytes(jpeg(image, quality=90))
    return root


def prepared(root, augment=PLAIN, **options):
    """The data of a training on resized crops of the images in `root`, and what is told of the cache."""
    said = []
    data, _ = opened(root, **{"image_size": 12, **options})
    return keep_uncropped(data, augment, said.append), said


def same(one, other):
    assert len(one) == len(other) > 0
    for batch, batch2 in zip(one, other, strict=True):
        for values, values2 in zip(batch, batch2, strict=True):
            np.testing.assert_array_equal(values, values2)


@pytest.mark.parametrize("augment", AUGMENTS, ids=["plain", "randaugment"])
def test_pixels_are_those_of_decoding_each_time(tmp_path, decoded, augment):
    root = photos(tmp_path)
    off, said = prepared(root, augment, cache="off")
    assert not said and not isinstance(off.splits["train"].images, UncroppedImages)
    expected = whole(off.splits["train"], augment=augment, batch_size=6)
    for words in ("cache: keeping 13 uncropped images for the next command, 109 kB in ", "decoded by an earlier"):
        data, said = prepared(root, augment)
        assert len(said) == 1 and words in said[0]
        train = data.splits["train"]
        decoded.clear()
        same(expected, whole(train, augment=augment, batch_size=6))
        same(expected[3:], whole(train, augment=augment, batch_size=6, first_step=3))
        ranks = [whole(train, augment=replace(augment, mixup=0.0), batch_size=6, rank=n, ranks=2) for n in range(2)]
        assert not decoded
        joined = [tuple(map(np.concatenate, zip(*parts, strict=True))) for parts in zip(*ranks, strict=True)]
        same(whole(off.splits["train"], augment=replace(augment, mixup=0.0), batch_size=6), joined)


OPTIONS = [
    {"channels": 1},
    {"image_size": (8, 16), "fit": "pad"},
    {"image_size": (16, 8), "fit": "stretch", "channels": 1},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_channels_and_fits(tmp_path, decoded, options):
    root = photos(tmp_path)
    shown = {"image_size": options.get("image_size", 12), "fit": options.get("fit", "crop"), "augment": PLAIN}
    one, other = (prepared(root, cache=cache, **options)[0].splits["train"] for cache in ("off", "auto"))
    expected = whole(one, **shown)
    decoded.clear()
    same(expected, whole(other, **shown))
    assert not decoded


def test_images_of_many_channels(tmp_path, decoded):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(6):
            np.save(tmp_path / name / f"{number}.npy", rng.integers(0, 256, (30, 20 + number, 5)).astype(np.uint8))
    one, other = (prepared(tmp_path, cache=cache, image_size=16)[0].splits["train"] for cache in ("off", "auto"))
    expected = whole(one, image_size=16, augment=PLAIN)
    decoded.clear()
    same(expected, whole(other, image_size=16, augment=PLAIN))
    assert expected[0][0].shape == (8, 16, 16, 5) and not decoded


def test_scaled_images_are_kept_scaled(tmp_path, decoded):
    root = photos(tmp_path, 160, 130)
    scaled, full = (replace(PLAIN, scaled_decoding=each) for each in (True, False))
    kept = {}
    for augment in (scaled, full):
        one, other = (prepared(root, augment, cache=cache)[0].splits["train"] for cache in ("off", "auto"))
        expected = whole(one, augment=augment)
        decoded.clear()
        same(expected, whole(other, augment=augment))
        assert not decoded
        kept[augment.scaled_decoding] = other
    # 20 pixels a side: 1/4 of it.
    assert [kept[True].image_to_crop(0, each).size[1] for each in (20, 0)] == [33, 130]
    assert kept[False].image_to_crop(0, 0).size[1] == kept[True].image(0).size[1] == 130
    # What was kept for one is not taken for the other.
    assert kept[False].image_to_crop(0, 20).size[1] == 33


def test_a_changed_file_is_decoded_again(tmp_path, decoded):
    root = photos(tmp_path)
    prepared(root)
    train = opened(root, image_size=12)[0].splits["train"]
    file = Path(train.files[0])
    file.write_bytes(jpeg(photo(50, 41, 77), quality=90))
    decoded.clear()
    data, said = prepared(root)
    assert set(decoded) == {f"{file.parent.name}/{file.name}"} and "cache: 12 uncropped images were decoded" in said[0]
    assert "keeping 1 uncropped image for" in said[1]
    assert data.splits["train"].image_to_crop(0, 0).size == (50, 41)


def test_a_file_that_is_gone_is_told_by_training(tmp_path, decoded):
    root = photos(tmp_path)
    data, _ = opened(root, image_size=12)
    Path(data.splits["train"].files[0]).unlink()
    said = []
    kept = keep_uncropped(data, PLAIN, said.append)
    with pytest.raises(Exception, match="no such file"):
        whole(kept.splits["train"], augment=PLAIN)


def test_what_does_not_fit_is_told_and_decoded_each_time(tmp_path, decoded, monkeypatch):
    """The resized images of the same training stay: they count, but they do not go for these."""
    root = photos(tmp_path)
    expected = whole(prepared(root, cache="off")[0].splits["train"], augment=PLAIN)
    monkeypatch.setenv("KRESNET_CACHE_GB", "0.000113")
    said = []
    data, _ = opened(root, image_size=12)
    before = list(images_folder().glob("*/*"))
    kept = keep_uncropped(data, PLAIN, said.append)
    assert said == [
        "cache: uncropped images are not kept: they would take 116 kB, more than 113 kB (KRESNET_CACHE_GB=… sets"
        " another limit)"
    ]
    assert list(images_folder().glob("*/*")) == before != []
    decoded.clear()
    same(expected, whole(kept.splits["train"], augment=PLAIN))
    assert decoded


def test_damage_is_found(tmp_path, decoded):
    root = photos(tmp_path)
    expected = whole(prepared(root)[0].splits["train"], augment=PLAIN)
    file = max(images_folder().glob("*/*.pixels"), key=lambda each: each.stat().st_size)
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    same(expected, whole(prepared(root)[0].splits["train"], augment=PLAIN))
    assert not file.exists()


def test_other_trainings_keep_none(tmp_path, decoded, monkeypatch):
    root = photos(tmp_path)
    data, _ = opened(root, image_size=12)
    assert keep_uncropped(data, AugmentSpec(), print) is data
    spec = Spec(data=DataSpec(str(root), service="127.0.0.1:5050"), augment=PLAIN)
    assert keep_uncropped_chief_first(spec, data, Devices(None, ""), print) is data
    spec = replace(spec, data=replace(spec.data, service=None))
    kept = keep_uncropped_chief_first(spec, data, Devices(None, ""), print)
    assert isinstance(kept.splits["train"].images, UncroppedImages)
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: True)
    in_memory, _ = opened(paint(tmp_path / "small", 5))
    assert keep_uncropped(in_memory, PLAIN, print) is in_memory
