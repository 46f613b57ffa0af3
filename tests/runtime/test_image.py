"""Every kind of image becomes RGB pixels in 0–255; what is no image is an error."""

import io
import json
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_bombs import bombs
from image_bytes import ODD_TAGS, STORED, encoded, exif_block, png, png_chunk
from PIL import Image
from samples import paint

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.errors import DataError, UsageError
from keras_resnet.runtime import preprocess as pixels_module
from keras_resnet.runtime.image import center_crop, preprocess, read_image, resize_and_crop

GREY = Image.fromarray(np.full((10, 12), 100, np.uint8))


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


# What brings an image upright that is stored so, by EXIF's numbers.
TURNED = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels.transpose(1, 0, 2), 2),
    8: np.rot90,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_undone(kind, orientation):
    """0 and 9 are none."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}
    data = encoded(Image.fromarray(STORED), kind, exif=exif, **options)
    without = encoded(Image.fromarray(STORED), kind, **options)
    expected = TURNED.get(orientation, TURNED[1])(np.asarray(Image.open(io.BytesIO(without)).convert("RGB")))
    np.testing.assert_array_equal(np.asarray(read_image(data)), expected)


@pytest.mark.parametrize("odd", ODD_TAGS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_odd_tags_beside_the_orientation_do_no_harm(kind, odd):
    data = encoded(Image.fromarray(STORED), kind, exif=exif_block(6, ODD_TAGS[odd]), quality=95)
    assert read_image(data).size == (24, 40)


@pytest.mark.parametrize("odd", ODD_TAGS)
def test_odd_tags_of_tiff_files_do_no_harm(odd):
    """Where the orientation is a tag of the file itself."""
    others = [(256, 4, 1, 40), (257, 4, 1, 24), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (274, 3, 1, 6)]
    others += [(277, 3, 1, 1), (278, 4, 1, 24), (279, 4, 1, 960)]
    tag, kind, count, value = ODD_TAGS[odd]
    tag = 0x0101 + 0x9000 if tag == 0x0100 else tag
    rows = [struct.pack("<HHII", *each) for each in (*others, (273, 4, 1, 8 + 2 + 12 * 11 + 4))]
    rows.append(struct.pack("<HHI", tag, kind, count) + value)
    directory = struct.pack("<H", len(rows)) + b"".join(sorted(rows, key=lambda row: row[:2][::-1])) + bytes(4)
    grey = STORED[..., 0]
    upright = read_image(b"II*\0" + struct.pack("<I", 8) + directory + grey.tobytes())
    np.testing.assert_array_equal(np.asarray(upright)[..., 0], np.rot90(grey, -1))


def test_an_orientation_behind_the_preprocess_file_a_png_file_counts():
    data, block = encoded(Image.fromarray(STORED), "PNG"), exif_block(6).removeprefix(b"Exif\0\0")
    assert read_image(data[:-12] + png_chunk((b"eXIf", block)) + data[-12:]).size == (24, 40)


@pytest.mark.parametrize(
    "block", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0rubbish rubbish", exif_block(6)[:20], exif_block(6)[:11], b""]
)
def test_a_damaged_block_turns_nothing(block):
    assert read_image(encoded(Image.fromarray(STORED), "JPEG", exif=block)).size == (40, 24)


@pytest.mark.parametrize("entry", [(0x0112, 2, 2, b"6\0\0\0"), (0x0112, 3, 0, bytes(4)), (0x0112, 5, 1, bytes(4))])
def test_an_orientation_of_another_type_is_none(entry):
    tag, kind, count, value = entry
    block = b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, tag, kind, count) + value + bytes(4)
    assert read_image(encoded(Image.fromarray(STORED), "JPEG", exif=block)).size == (40, 24)


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
    with pytest.raises(DataError, match=r": it is a folder$"):
        read_image(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_image("nowhere.png")


def test_resize_and_crop_keep_the_centre():
    image = Image.new("RGB", (30, 10))
    image.paste((255, 0, 0), (10, 0, 20, 10))
    assert (resize_and_crop(image, 10) == (255, 0, 0)).all()
    pixels = np.arange(2 * 6 * 6 * 3).reshape(2, 6, 6, 3)
    np.testing.assert_array_equal(center_crop(pixels, 4), pixels[:, 1:5, 1:5])
    assert preprocess(read_image(encoded(image, "PNG")), "center_crop", 20, 16).shape == (16, 16, 3)


# The scripts for devices


def samples():
    """(name, file) of images of every mode, in every format that keeps it, also with transparent values."""
    rng = np.random.default_rng(5)
    colour = Image.fromarray(rng.integers(0, 256, (21, 17, 3), dtype=np.uint8))
    clear = Image.fromarray(rng.integers(0, 256, (21, 17, 4), dtype=np.uint8), "RGBA")
    deep_values = rng.integers(0, 65536, (21, 17))
    images = {mode: colour.convert(mode) for mode in ("1", "L", "P", "RGB", "CMYK", "YCbCr")}
    images |= {"LA": clear.convert("LA"), "RGBA": clear, "PA": colour.convert("P").convert("PA")}
    images |= {"LAB": Image.frombytes("LAB", (17, 21), rng.bytes(21 * 17 * 3))}
    images |= {"I;16": Image.fromarray(deep_values.astype("<u2")), "I;16B": Image.fromarray(deep_values.astype(">u2"))}
    images |= {
        "I": Image.fromarray(deep_values.astype(np.int32)),
        "F": Image.fromarray(rng.random((21, 17), np.float32)),
    }
    kinds = ("PNG", "TIFF", "JPEG", "WEBP", "BMP", "GIF", "JPEG2000")
    for mode, image in images.items():
        for kind in kinds:
            for options in ({}, {"transparency": 7}):
                try:
                    yield f"{mode} {kind} {options}", encoded(image, kind, **options)
                except (OSError, ValueError, TypeError, SystemError):
                    continue  # a format that has no such mode
    yield "RGB with a transparent colour", encoded(colour, "PNG", transparency=colour.getpixel((0, 0)))
    yield "palette with alpha", encoded(colour.quantize(16), "PNG", transparency=bytes(range(0, 160, 10)))
    yield "RGB of 16 bits", png(17, 21, 16, 2, rng.bytes(21 * 17 * 6))
    yield "RGBA of 16 bits", png(17, 21, 16, 6, rng.bytes(21 * 17 * 8))
    yield "grey with alpha of 16 bits", png(17, 21, 16, 4, rng.bytes(21 * 17 * 4))
    yield "turned", encoded(colour, "JPEG", exif=exif_block(8, ODD_TAGS["text for a number"]))


def test_the_script_for_devices_sees_the_same_pixels(device):
    cards = [{"preprocessing": each, "resize": 18, "image_size": 14} for each in ("center_crop", "letterbox")]
    cards.append({"preprocessing": "stretch", "resize": [10, 20], "image_size": [10, 20], "channels": 1})
    files = dict(samples())
    assert len(files) > 60
    for number, data in enumerate(files.values()):
        (device / f"{number}.image").write_bytes(data)
    code = (
        "import json, sys; sys.modules['keras_resnet'] = None\n"
        "import numpy as np\nfrom classify import preprocess_file\n"
        f"cards = json.loads({json.dumps(json.dumps(cards))})\n"
        f"np.savez('seen.npz', **{{f'{{n}}-{{c}}': preprocess_file(f'{{n}}.image', cards[c])[0]"
        f" for n in range({len(files)}) for c in range({len(cards)})}})"
    )
    subprocess.run([sys.executable, "-c", code], cwd=device, check=True)
    seen = np.load(device / "seen.npz")
    for number, (name, data) in enumerate(files.items()):
        for which, card in enumerate(cards):
            geometry = card["preprocessing"], card["resize"], card["image_size"], card.get("channels", 3)
            expected = preprocess(read_image(data), *geometry)
            np.testing.assert_array_equal(seen[f"{number}-{which}"], expected, name)


@pytest.mark.parametrize("strip", [1, 100])
def test_large_images_are_converted_part_by_part_to_the_same_pixels(strip, monkeypatch):
    whole = {name: np.asarray(read_image(data)) for name, data in samples()}
    monkeypatch.setattr(pixels_module, "PIXELS_PER_STRIP", strip)
    for name, data in samples():
        np.testing.assert_array_equal(np.asarray(read_image(data)), whole[name], name)


# What takes too much


MEASURED = """
import resource, sys
from keras_resnet.runtime.preprocess import decode_image, letterbox, resize_and_crop
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    image = decode_image(sys.argv[1])
    resize_and_crop(image, 64), letterbox(image, 64)
    print("decoded")
except ValueError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def measured(file):
    """What was said, and the bytes that decoding an image took at its highest."""
    done = subprocess.run([sys.executable, "-c", MEASURED, file], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    told, kilobytes = done.stdout.splitlines()
    return told, int(kilobytes) * 1024


@pytest.mark.parametrize(("data", "words"), [pytest.param(*each[1:], id=each[0]) for each in bombs()])
def test_bombs_are_refused_before_they_take_memory(tmp_path, data, words):
    (tmp_path / "bomb").write_bytes(data)
    told, taken = measured(tmp_path / "bomb")
    assert words in told and taken < 50e6


@pytest.mark.parametrize(
    ("depth", "colour", "exif"), [(1, 3, False), (8, 6, False), (8, 2, True), (16, 0, False), (8, 6, True)]
)
def test_decoding_takes_few_bytes_for_each_pixel(tmp_path, depth, colour, exif):
    """12 at the most: the image, its turned copy, its colours; and some for what is converted at a time."""
    turned = [(b"eXIf", exif_block(6).removeprefix(b"Exif\0\0"))] if exif else []
    (tmp_path / "large.png").write_bytes(png(4_000, 5_000, depth, colour, None, *turned))
    told, taken = measured(tmp_path / "large.png")
    assert told == "decoded" and taken < 12 * 20e6 + 60e6


def test_threads_leave_the_filters_of_warnings_as_they_were():
    before = list(warnings.filters)
    images = [encoded(Image.new("RGB", (200, 200), (value, 0, 0)), "PNG") for value in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            list(pool.map(read_image, images))
    assert warnings.filters == before


def test_a_scan_names_a_bomb_and_goes_on(tmp_path, capfd):
    """Without Pillow's own warnings on the terminal."""
    folder = paint(tmp_path / "d", 40)
    (folder / "red" / "bomb.png").write_bytes(png(13_000, 13_000, 1, 3))
    told = []
    data = load_dataset(DataSpec(str(folder)), told.append)
    assert sum(split.count for split in data.splits.values()) == 120
    (line,) = [line for line in told if line.startswith("skipped: ")]
    assert "bomb.png: it has more than 89.5 megapixels" in line and capfd.readouterr().err == ""


def test_a_setting_that_is_no_number_is_a_wrong_request(tmp_path, kresnet, monkeypatch):
    monkeypatch.setenv("KRESNET_MAX_MEGAPIXELS", "lots")
    code, _, told = kresnet("train", "--data", paint(tmp_path / "d", 4), "--runs", tmp_path / "runs")
    assert code == 2 and "KRESNET_MAX_MEGAPIXELS must be a number above 0" in told[-1]
    assert not (tmp_path / "runs").exists()


def test_the_limit_can_be_set(tmp_path, monkeypatch):
    large, small = png(10_000, 9_000, 1, 0), encoded(GREY, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    monkeypatch.setenv("KRESNET_MAX_MEGAPIXELS", "90")
    assert read_image(large).size == (10_000, 9_000)
    monkeypatch.setenv("KRESNET_MAX_MEGAPIXELS", "0.0001")
    with pytest.raises(DataError, match=r"12 × 10 pixels are more than 0\.0001 megapixels"):
        read_image(small)
    for wrong in ("many", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("KRESNET_MAX_MEGAPIXELS", wrong)
        with pytest.raises(UsageError, match=f"must be a number above 0, in millions of pixels. Received: '{wrong}'"):
            read_image(small)


def test_long_and_thin_images_are_placed():
    for size in ((1, 50_000), (50_000, 1)):
        image = read_image(encoded(Image.new("L", size, 77), "PNG"))
        assert (resize_and_crop(image, 16) == 77).all()
        assert preprocess(image, "letterbox", 16, 16).shape == (16, 16, 3)


def test_of_many_pages_and_frames_the_first_is_decoded():
    pages = [Image.new("L", (12, 10), value) for value in (90, *range(200))]
    for kind in ("TIFF", "GIF", "PNG", "WEBP"):
        data = encoded(
            pages[0].convert("RGB"), kind, save_all=True, append_images=[p.convert("RGB") for p in pages[1:]]
        )
        assert np.abs(np.array(middle(data)) - 90).max() <= 1


def test_programs_are_not_run():
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{} loop\n%%EOF\n"
    with pytest.raises(DataError, match="EPS files are programs that draw, not pixels"):
        read_image(drawing)
