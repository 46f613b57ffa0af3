"""JPEGs: which decoders agree bit for bit, and what is scaled while it is decoded."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from samples import jpeg, photo
from sources import opened, whole

from keras_resnet.config.spec import AugmentSpec
from keras_resnet.data.scaled_decoding import decide_scaled_decoding, least_side
from keras_resnet.data.sources import image_folder as folders
from keras_resnet.errors import DataError
from keras_resnet.runtime.image import read_image


def turned(image, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(image, quality=90, exif=exif)


SIZES = ((97, 61), (64, 48), (33, 1), (240, 180))
KINDS = {
    "4:4:4": {"subsampling": 0, "quality": 95},
    "4:2:2": {"subsampling": 1, "quality": 85},
    "4:2:0": {"subsampling": 2, "quality": 75},
    "progressive": {"progressive": True, "quality": 60},
    "optimized": {"optimize": True, "quality": 100},
    "low": {"quality": 5},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_tensorflow_decodes_the_pixels_of_pillow(options, mode):
    for seed, size in enumerate(SIZES):
        encoded = jpeg(photo(*size, seed).convert(mode), **options)
        decoded = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        np.testing.assert_array_equal(decoded, np.asarray(read_image(encoded)))
        scaled = tf.io.decode_jpeg(encoded, channels=3, ratio=2, dct_method="INTEGER_ACCURATE").numpy()
        side = -(-min(size) // 2)
        if min(size) >= 2 * side:
            np.testing.assert_array_equal(scaled, np.asarray(read_image(encoded, at_least=side)))


def test_what_tensorflow_does_with_other_files():
    """CMYK is equal too, and both refuse a truncated file; but TensorFlow does not turn an image as EXIF says."""
    image = photo(96, 64)
    encoded = turned(image, 6)
    assert tf.io.decode_jpeg(encoded, channels=3).shape == (64, 96, 3) and read_image(encoded).size == (64, 96)
    encoded = jpeg(image.convert("CMYK"), quality=90)
    decoded = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    np.testing.assert_array_equal(decoded, np.asarray(read_image(encoded)))
    truncated = jpeg(image)[:-200]
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_jpeg(truncated)
    with pytest.raises(DataError, match="truncated"):
        read_image(truncated)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_scaled_image_is_upright(orientation):
    encoded = turned(photo(160, 96), orientation)
    full, half = read_image(encoded), read_image(encoded, at_least=48)
    assert half.size == (full.width // 2, full.height // 2)
    difference = np.asarray(full.resize(half.size, Image.Resampling.BOX), int) - np.asarray(half)
    assert abs(difference).mean() < 3


@pytest.mark.parametrize("at_least", [1, 11, 12, 13, 47, 48, 49, 96, 97, 500])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_sides_stay_long_enough(at_least, mode):
    image = read_image(jpeg(photo(160, 96).convert(mode)), at_least=at_least)
    assert min(image.size) >= min(96, at_least) and 96 // min(image.size) in (1, 2, 4, 8)
    assert min(image.size) < 2 * at_least or 96 // min(image.size) == 8 or at_least > 48


def test_other_formats_are_read_whole(tmp_path):
    photo(160, 96).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", at_least=8).size == (160, 96)


def folder(root, size, monkeypatch):
    for name in ("cats", "dogs"):
        (root / name).mkdir(parents=True)
        for number in range(6):
            (root / name / f"{number}.jpg").write_bytes(jpeg(photo(*size, number), quality=90))
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    return opened(root, image_size=16)[0]


@pytest.mark.parametrize(
    ("size", "asked", "wanted", "words"),
    [
        ((160, 130), None, True, "at 1/2, 1/4 or 1/8 of their size, with 27 pixels a side or more (half of them"),
        ((60, 40), None, False, ""),
        ((60, 40), True, True, "at 1/2, 1/4 or 1/8"),
        ((160, 130), False, False, "decodes JPEGs in full ("),
    ],
)
def test_the_choice_is_told(tmp_path, monkeypatch, size, asked, wanted, words):
    said = []
    data = folder(tmp_path, size, monkeypatch)
    augment = AugmentSpec(crop="resized", scaled_decoding=asked)
    assert decide_scaled_decoding(augment, data.splits["train"], 16, said.append) is wanted
    assert words in "".join(said) and bool(said) == bool(words)
    said.clear()
    assert decide_scaled_decoding(replace(augment, crop="pad"), data.splits["train"], 16, said.append) is (
        asked is True
    )
    assert not said


def test_only_the_crops_of_training_are_scaled(tmp_path, monkeypatch):
    train = folder(tmp_path, (160, 130), monkeypatch).splits["train"]
    scaled, plain = (
        AugmentSpec(flip=True, crop="resized", scaled_decoding=each, auto_augment="trivialaugment")
        for each in (True, False)
    )
    assert least_side(scaled, 16) == 27 and least_side(replace(scaled, crop="pad"), 16) == least_side(plain, 16) == 0
    before = train.read_pixels(3)
    one, late, other = (
        whole(train, image_size=16, augment=augment, first_step=step)
        for augment, step in ((scaled, 0), (scaled, 2), (plain, 0))
    )
    np.testing.assert_array_equal(one[2][0], late[0][0])
    difference = one[0][0].astype(int) - other[0][0]
    assert difference.any() and abs(difference).mean() < 20
    np.testing.assert_array_equal(train.read_pixels(3), before)
    part = train.subset(np.array([3]))
    assert part.image_to_crop(0, 27).size == train.image_to_crop(3, 27).size == (40, 33)
    assert part.image_to_crop(0, 0).size == (160, 130)


def test_gray_wide_and_padded_images_are_scaled_too(tmp_path, monkeypatch):
    folder(tmp_path, (160, 130), monkeypatch)
    data, _ = opened(tmp_path, image_size=(8, 16), fit="pad", channels=1)
    train = data.splits["train"]
    augment = AugmentSpec(flip=True, crop="resized", scaled_decoding=True)
    assert least_side(augment, (8, 16)) == 27 and train.image_to_crop(0, 27).size == (40, 33)
    images, _ = whole(train, image_size=(8, 16), augment=augment, fit="pad")[0]
    assert images.shape == (8, 8, 16, 1)


def test_arrays_are_read_whole(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(5):
            np.save(tmp_path / name / f"{number}.npy", np.full((160, 130, 5), number, np.uint8))
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    said = []
    train = opened(tmp_path, image_size=16)[0].splits["train"]
    augment = AugmentSpec(flip=True, crop="resized")
    assert not decide_scaled_decoding(augment, train, 16, said.append) and not said
    assert [each.size for each in train.image_to_crop(0, 32)] == [(130, 160)] * 5
