"""Image files made byte by byte, as cameras and tools write them."""

import io
import struct
import zlib

import numpy as np


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


STORED = np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def exif_block(orientation, *others):
    """EXIF as cameras write it, entry by entry: (tag, type, count, four bytes)."""
    entries = [(0x0112, 3, 1, struct.pack("<HH", orientation, 0)), *others]
    rows = [struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in sorted(entries)]
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(rows)) + b"".join(rows) + bytes(4)


ODD_TAGS = {
    "text for a number": (0x0100, 2, 3, b"ab\0\0"),
    "nothing": (0x010F, 2, 0, bytes(4)),
    "a place behind the end": (0x8298, 5, 1, struct.pack("<I", 9999999)),
    "an unknown type": (0x9999, 77, 1, bytes(4)),
    "endless": (0x927C, 7, 2**31, struct.pack("<I", 8)),
    "its own directory": (0x8769, 4, 1, struct.pack("<I", 8)),
}


def png(width, height, depth, colour, content=None, *chunks):
    """A PNG file row by row; of zeros without `content`."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = (width * channels * depth + 7) // 8
    rows = [content[y * row : (y + 1) * row] for y in range(height)] if content else [bytes(row)] * height
    packed = zlib.compress(b"".join(b"\0" + each for each in rows))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = [(b"PLTE", bytes(6)), (b"tRNS", b"\x10")] if colour == 3 else []
    parts = [(b"IHDR", header), *palette, *chunks, (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(png_chunk, parts))


def png_chunk(part):
    kind, content = part
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
