"""Images of one, three and many channels: what is read of files, and how they become a network's input."""

import io

import numpy as np
import pytest
import tifffile
from image_bytes import encoded
from PIL import Image

from keras_resnet.errors import DataError
from keras_resnet.runtime.image import preprocess, read_deep_values, read_image, read_shape, show_in_rgb, size_of

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 30, 6), dtype=np.uint8)
COLORS = Image.fromarray(PIXELS[..., :3])


def npy(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def tiff(values, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def stacked(picture):
    return np.dstack([np.asarray(each) for each in picture])


MANY = {
    "array": npy(PIXELS),
    "array of floats": npy((PIXELS / 255).astype(np.float32)),
    "array of 16 bits": npy(PIXELS.astype(np.uint16) * 257),
    "TIFF, one plane a channel": tiff(np.moveaxis(PIXELS, 2, 0), photometric="minisblack", planarconfig="separate"),
    "TIFF, colors and more": tiff(PIXELS, photometric="rgb", extrasamples=["unspecified"] * 3),
    "TIFF, one page a channel": tiff(np.moveaxis(PIXELS, 2, 0), photometric="minisblack", compression="zlib"),
}


@pytest.mark.parametrize("name", MANY)
def test_all_channels_of_a_file_are_read(name):
    picture = read_image(MANY[name], channels=6)
    np.testing.assert_array_equal(stacked(picture), PIXELS)
    assert size_of(picture) == (30, 12)


@pytest.mark.parametrize("name", [each for each in MANY if "page" not in each])
def test_the_shape_is_known_without_being_asked_for(name):
    assert read_shape(MANY[name]) == (12, 30, 6)


def test_pages_are_channels_only_where_so_many_are_wanted():
    assert read_shape(MANY["TIFF, one page a channel"]) == (12, 30, 1)
    np.testing.assert_array_equal(np.asarray(read_image(MANY["TIFF, one page a channel"]))[..., 0], PIXELS[..., 0])


def test_colors_and_more_are_colors_where_three_channels_are_wanted():
    np.testing.assert_array_equal(np.asarray(read_image(MANY["TIFF, colors and more"])), PIXELS[..., :3])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "CMYK"])
def test_the_channels_of_usual_modes_are_taken_as_they_are(mode):
    count = len(Image.new(mode, (1, 1)).getbands())
    image = Image.merge(mode, [Image.fromarray(PIXELS[..., channel]) for channel in range(count)])
    data = encoded(image, "TIFF")
    np.testing.assert_array_equal(stacked(read_image(data, channels=count)), PIXELS[..., :count])


def test_arrays_are_gray_and_colored_images_too():
    assert read_shape(npy(PIXELS[..., 0])) == (12, 30, 1) and read_shape(npy(PIXELS[..., :3])) == (12, 30, 3)
    np.testing.assert_array_equal(np.asarray(read_image(npy(PIXELS[..., :3]))), PIXELS[..., :3])
    for values in (PIXELS[..., 0], PIXELS[..., :1]):
        np.testing.assert_array_equal(np.asarray(read_image(npy(values))), np.dstack([PIXELS[..., 0]] * 3))
    assert not np.asarray(read_image(npy(np.zeros((4, 5), bool)))).any()


def test_values_of_more_than_8_bits_take_the_levels():
    data = npy(np.array([[[0, 50, 100, 200]]], np.uint16))
    assert stacked(read_image(data, (0.0, 100.0), 4)).ravel().tolist() == [0, 128, 255, 255]
    assert [values.max() for values in read_deep_values(data)] == [200]
    assert not list(read_deep_values(npy(PIXELS)))


@pytest.mark.parametrize(
    ("data", "channels", "words"),
    [
        (npy(PIXELS), 3, "its channels are 6, and the network takes 3"),
        (npy(PIXELS), 4, "its channels are 6, and the network takes 4"),
        (encoded(COLORS, "PNG"), 6, "its channels are 3, and the network takes 6"),
        (npy(np.array(["a"])), 3, "it holds <U1"),
        (npy(np.zeros((2, 2, 2, 2))), 3, r"it holds float64 \(2, 2, 2, 2\), not numbers"),
        (npy(np.zeros((2, 2, 65))), 65, "of at most 64 channels"),
        (npy(np.zeros((0, 2, 3))), 3, "not numbers"),
        (npy(PIXELS)[:100], 6, "EOF"),
        (npy(PIXELS)[:-100], 6, "."),
        (npy(np.array([[{}]], object)), 3, "Python objects"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(data, channels, words):
    with pytest.raises(DataError, match=words) as error:
        read_image(data, channels=channels)
    assert "\n" not in str(error.value)


def test_an_array_may_not_claim_more_than_is_decoded():
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 3)})
    with pytest.raises(DataError, match="megapixels"):
        read_image(header.getvalue())


def test_without_tifffile_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(DataError, match="TIFF files of many channels need tifffile: pip install tifffile"):
        read_image(MANY["TIFF, colors and more"], channels=6)


@pytest.mark.parametrize("method", ["center_crop", "letterbox", "stretch"])
@pytest.mark.parametrize("size", [16, (16, 32), (20, 8)])
def test_each_channel_of_many_is_treated_as_an_image_of_its_own(method, size):
    many = preprocess(read_image(npy(PIXELS), channels=6), method, size, size, 6)
    for channel in range(6):
        alone = preprocess(Image.fromarray(PIXELS[..., channel]), method, size, size, 1)
        np.testing.assert_array_equal(many[..., channel], alone[..., 0])
    three = preprocess(COLORS, method, size, size)
    np.testing.assert_array_equal(three, many[..., :3])


def test_gray_is_the_luma_of_colors():
    gray = preprocess(COLORS, "stretch", (12, 30), (12, 30), 1)
    np.testing.assert_array_equal(gray[..., 0], np.asarray(COLORS.convert("L")))


def test_a_letterbox_holds_the_whole_image_and_black():
    white = Image.new("RGB", (200, 50), "white")
    pixels = preprocess(white, "letterbox", (40, 80), (40, 80))
    assert (pixels[:20] == 255).all() and (pixels[20:] == 0).all()
    assert (preprocess(white, "stretch", (40, 80), (40, 80)) == 255).all()


def test_a_crop_of_other_proportions_is_the_middle():
    stripes = np.zeros((40, 200, 3), np.uint8)
    stripes[:, 60:140] = 255
    pixels = preprocess(Image.fromarray(stripes), "center_crop", (20, 40), (20, 40))
    assert pixels.min() > 230  # but for the filter, which reaches over the edge
    # What is cut at last is the middle of what it was resized to.
    assert preprocess(Image.fromarray(stripes), "center_crop", (40, 80), (20, 40)).shape == (20, 40, 3)


def test_many_channels_can_be_looked_at():
    np.testing.assert_array_equal(np.asarray(show_in_rgb(read_image(npy(PIXELS), channels=6))), PIXELS[..., :3])
    two = show_in_rgb(read_image(npy(PIXELS[..., :2]), channels=2))
    np.testing.assert_array_equal(np.asarray(two), np.dstack([PIXELS[..., 0]] * 3))
