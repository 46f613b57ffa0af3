"""Small image files that take gigabytes where they are decoded."""

import functools
import struct
import zlib

from image_bytes import encoded, png, png_chunk
from PIL import Image


def header_of(kind):
    """The beginning of a file that claims 30,000 × 30,000 pixels."""
    side = 30_000
    return {
        "PNG": b"\x89PNG\r\n\x1a\n"
        + png_chunk((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)))
        + png_chunk((b"IDAT", b"")),
        "GIF": b"GIF89a"
        + struct.pack("<HHBBB", side, side, 0, 0, 0)
        + b","
        + struct.pack("<HHHHBB", 0, 0, side, side, 0, 8),
        "BMP": b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(99),
        "PPM": b"P6 30000 30000 255\n" + bytes(99),
        "TGA": struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, side, side, 24, 0) + bytes(99),
    }[kind]


def icon(image):
    """An .ico file that says nothing of the size of the PNG in it."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(image), 22) + image


def claiming(place, size, kind, **options):
    """A sound file of 16 × 16 pixels with another `size` written `place` bytes behind a mark."""
    mark, behind = place
    content = bytearray(encoded(Image.new("RGB", (16, 16)), kind, **options))
    start = content.index(mark) + behind
    content[start : start + len(size)] = size
    return bytes(content)


def claiming_tiff():
    """As JPEG and WebP, whose sizes stand in tags 256 and 257."""
    content = claiming((struct.pack("<HH", 256, 4), 8), struct.pack("<I", 30_000), "TIFF")
    start = content.index(struct.pack("<HH", 257, 4)) + 8
    return content[:start] + struct.pack("<I", 30_000) + content[start + 4 :]


# The largest sides that these formats can claim, or enough.
CLAIMS = {
    "JPEG": lambda: claiming((b"\xff\xc0", 5), struct.pack(">HH", 65_500, 65_500), "JPEG"),
    "WEBP": lambda: claiming((b"VP8 ", 14), struct.pack("<HH", 16_383, 16_383), "WEBP"),
    "lossless WEBP": lambda: claiming((b"VP8L", 9), struct.pack("<I", 2**28 - 1), "WEBP", lossless=True),
    "JPEG2000": lambda: claiming((b"\xff\x51", 6), struct.pack(">II", 50_000, 50_000), "JPEG2000", no_jp2=True),
    "TIFF": claiming_tiff,
}


@functools.cache
def bombs():
    """Small files that take gigabytes, and what is said of them; made once."""
    return list(_make_bombs())


def _make_bombs():
    large = png(13_000, 13_000, 1, 3)
    yield "palette", large, "more than 89.5 megapixels, the most that is decoded; KRESNET_MAX_MEGAPIXELS=… raises"
    yield "icon", icon(large), "more than 89.5 megapixels"
    yield "just too large", png(10_000, 9_000, 1, 0), "more than 89.5 megapixels"
    yield "line", png(1, 2_000_000, 1, 0), "it has 1 × 2000000 pixels; a side may have 1,000,000"
    yield "row", png(2_000_000, 1, 1, 0), "it has 2000000 × 1 pixels; a side may have 1,000,000"
    text = (b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9))
    yield "text", png(8, 8, 8, 0, None, text), "Decompressed data too large"
    for kind in ("PNG", "GIF", "BMP", "PPM", "TGA"):
        yield f"{kind} header", header_of(kind), "more than 89.5 megapixels"
    for kind, claim in CLAIMS.items():
        yield f"{kind} header", claim(), "more than 89.5 megapixels"
