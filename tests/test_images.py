"""Every kind of image becomes RGB pixels in 0–255; what is no image is an error."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_resnet.data.images import center_crop, placed, read_image, to_pixels
from keras_resnet.errors import DataError

GREY = Image.fromarray(np.full((10, 12), 100, np.uint8))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def middle(data):
    return tuple(int(v) for v in np.asarray(read_image(data))[5, 5])


def deep(values, dtype):
    return Image.fromarray(np.full((10, 12), values, dtype))


def clear(mode):
    """A fully transparent dark image of `mode`."""
    image = Image.new("RGBA", (12, 10), (9, 9, 9, 0))
    return image.convert(mode)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(GREY, "PNG"), (100, 100, 100)),
        (encoded(GREY.point(lambda v: 255).convert("1"), "PNG"), (255, 255, 255)),
        (encoded(GREY.convert("RGB"), "BMP"), (100, 100, 100)),
        (encoded(GREY.convert("RGB").quantize(4), "PNG"), (100, 100, 100)),
        (encoded(deep(100 * 257, np.uint16), "PNG"), (100, 100, 100)),
        (encoded(deep(60, np.uint16), "PNG"), (0, 0, 0)),
        (encoded(deep(100 * 257, np.int32), "TIFF"), (100, 100, 100)),
        (encoded(deep(0.5, np.float32), "TIFF"), (128, 128, 128)),
        (encoded(deep(100.0, np.float32), "TIFF"), (100, 100, 100)),
        (encoded(deep(np.nan, np.float32), "TIFF"), (0, 0, 0)),
        (encoded(GREY.convert("YCbCr"), "JPEG", quality=95), (100, 100, 100)),
        (encoded(clear("RGBA"), "PNG"), (255, 255, 255)),
        (encoded(clear("LA"), "PNG"), (255, 255, 255)),
        (encoded(GREY.convert("P"), "GIF", transparency=100), (255, 255, 255)),
    ],
)
def test_modes(data, expected):
    assert middle(data) == expected


def test_cmyk_and_lab_and_webp_are_near_their_colour():
    red = Image.new("RGB", (12, 10), (200, 30, 30))
    for data in (encoded(red.convert("CMYK"), "JPEG", quality=95), encoded(red, "WEBP", quality=95)):
        assert np.abs(np.array(middle(data)) - (200, 30, 30)).max() < 12
    lab = Image.new("LAB", (12, 10), (128, 128, 128))
    r, g, b = middle(encoded(lab, "TIFF"))
    assert max(r, g, b) - min(r, g, b) < 6 and 100 < g < 140


def test_exif_rotation_is_undone():
    image = Image.new("RGB", (20, 10))
    image.paste((255, 255, 255), (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying; to be turned clockwise
    upright = read_image(encoded(image, "PNG", exif=exif))
    assert upright.size == (10, 20)
    assert upright.getpixel((5, 2)) == (255, 255, 255) and upright.getpixel((5, 17)) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_several(kind):
    frames = [Image.new("RGB", (12, 10), colour) for colour in ((250, 250, 250), (0, 0, 0))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert min(middle(data)) > 230


@pytest.mark.parametrize("data", [b"", b"this is text", encoded(GREY, "PNG")[:40], encoded(GREY, "JPEG")[:200]])
def test_what_is_no_image_is_named(tmp_path, data):
    file = tmp_path / "x.png"
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"cannot read image .*x\.png: "):
        read_image(file)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r": Is a directory$"):
        read_image(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_image("nowhere.png")


def test_resize_and_crop_keep_the_centre():
    image = Image.new("RGB", (30, 10))
    image.paste((255, 0, 0), (10, 0, 20, 10))
    assert (to_pixels(image, 10) == (255, 0, 0)).all()
    pixels = np.arange(2 * 6 * 6 * 3).reshape(2, 6, 6, 3)
    np.testing.assert_array_equal(center_crop(pixels, 4), pixels[:, 1:5, 1:5])
    assert placed(read_image(encoded(image, "PNG")), "classify", 20, 16).shape == (16, 16, 3)
