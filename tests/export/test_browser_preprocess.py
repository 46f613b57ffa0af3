"""A browser sees the pixels of a file that Python sees: upright, over white. Needs no LiteRT.js."""

import base64
import io

import numpy as np
import pytest
from browsing import chromium, served_scripts
from image_bytes import ODD_TAGS, STORED, encoded, exif_block, png
from PIL import Image

from keras_resnet.runtime.image import read_image

SEE = """async (base64) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const { decodeImage, has16Bits } = await import('/preprocess.js');
  const { data, width, height } = await decodeImage(new Blob([bytes]));
  return { data: Array.from(data), width, height, deep: await has16Bits(new Blob([bytes])) };
}"""


@pytest.fixture(scope="module")
def see():
    """File → (pixels (H, W, 3), whether it is told to have 16 bits)."""
    with served_scripts() as address, chromium() as browser:
        page = browser.new_page()
        page.goto(address)

        def look(data):
            found = page.evaluate(SEE, base64.b64encode(data).decode())
            return np.array(found["data"]).reshape(found["height"], found["width"], 3), found["deep"]

        yield look


LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_files_are_upright(see, kind, orientation):
    """Decoders of JPEG and AVIF may round otherwise."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(STORED), kind, exif=exif, **LOSSLESS.get(kind, {"quality": 95}))
    pixels, deep = see(data)
    expected = np.asarray(read_image(data)).astype(int)
    assert pixels.shape == expected.shape and not deep
    assert np.abs(pixels - expected).max() <= (0 if kind in LOSSLESS else 3)


@pytest.mark.parametrize("odd", ODD_TAGS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_odd_tags_do_no_harm(see, kind, odd):
    pixels, _ = see(encoded(Image.fromarray(STORED), kind, exif=exif_block(6, ODD_TAGS[odd])))
    assert pixels.shape == (40, 24, 3)


@pytest.mark.parametrize("block", [b"", b"II*\0", b"rubbish rubbish", exif_block(6)[:20], exif_block(6)[:11]])
def test_damaged_blocks_turn_nothing(see, block):
    data = encoded(Image.fromarray(STORED), "WEBP", lossless=True, exif=block)
    np.testing.assert_array_equal(see(data)[0], STORED)


def test_transparency_is_over_white_and_of_16_bits_8_are_seen(see):
    rng = np.random.default_rng(0)
    clear = encoded(Image.fromarray(rng.integers(0, 256, (24, 40, 4), dtype=np.uint8), "RGBA"), "PNG")
    np.testing.assert_array_equal(see(clear)[0], np.asarray(read_image(clear)))
    colour = png(40, 24, 16, 2, rng.bytes(40 * 24 * 6))
    assert see(colour)[1]
    np.testing.assert_array_equal(see(colour)[0], np.asarray(read_image(colour)))
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 65536, (24, 40)).astype(np.uint16)).save(buffer, "PNG")
    pixels, deep = see(buffer.getvalue())
    assert deep and np.abs(pixels - np.asarray(read_image(buffer.getvalue())).astype(int)).max() == 1
