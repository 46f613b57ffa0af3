"""A file of decoded images: pixels, then an index of them, then where that begins. Written once, then only read, by
memory-mapping."""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np

from keras_resnet.data.readability import FileStamp
from keras_resnet.runtime.temporary_files import hidden_name

SUFFIX = ".pixels"
MAGIC = b"KRSNPIX1"
# Where the index begins, its bytes, and the CRC-32 of these.
TRAILER = struct.Struct("<8sQQI")


@dataclass(frozen=True)
class CachedImage:
    """One image in a segment. stamp: of the file when it was decoded. size: its (width, height) in pixels, upright,
    before it was resized. shape: of its pixels, which begin at `offset` and have the CRC-32 `checksum`."""

    stamp: FileStamp
    size: tuple[int, int]
    offset: int
    shape: tuple[int, ...]
    checksum: int

    @property
    def end(self) -> int:
        """Return the offset behind its pixels."""
        return self.offset + math.prod(self.shape)

    def to_json(self) -> list[object]:
        """Return it as JSON has it."""
        return [*self.stamp, *self.size, self.offset, list(self.shape), self.checksum]

    @classmethod
    def from_json(cls, values: list[object], end: int) -> CachedImage:
        """Return it from JSON. Raises ValueError or TypeError unless it is one whose pixels end before `end`."""
        *numbers, shape, checksum = values
        if not isinstance(shape, list) or not all(isinstance(each, int) for each in [*numbers, *shape, checksum]):
            raise ValueError("not an image")
        size, changed, width, height, offset = numbers
        image = cls(FileStamp(size, changed), (width, height), offset, tuple(shape), checksum)  # type: ignore[arg-type]
        if not 0 <= image.offset <= image.end <= end or min(image.shape, default=0) < 1:
            raise ValueError("not in the file")
        return image


@dataclass(frozen=True, eq=False)
class Segment:
    """A finished file. images: by the names of their files. bytes: all of the file."""

    file: Path
    images: dict[str, CachedImage]
    pixels: np.ndarray
    checked: set[str] = field(default_factory=set)

    @classmethod
    def open(cls, file: Path) -> Segment | None:
        """Open a file; None where it is no whole segment, as after a power failure."""
        with suppress(OSError, ValueError, TypeError, struct.error, RecursionError), file.open("rb") as stream:
            end = stream.seek(-TRAILER.size, os.SEEK_END)
            magic, start, length, checksum = TRAILER.unpack(stream.read())
            if magic != MAGIC or start + length != end:
                return None
            stream.seek(start)
            text = stream.read(length)
            if zlib.crc32(text) != checksum:
                return None
            images = {name: CachedImage.from_json(values, start) for name, values in json.loads(text).items()}
            # As a plain array: parts of a memmap are memmaps, which take 10 times as long to make.
            return cls(file, images, np.asarray(np.memmap(file, np.uint8, mode="r")))
        return None

    def read(self, name: str) -> np.ndarray | None:
        """Return the pixels of an image, read-only; None where they are damaged. They are checked once."""
        image = self.images[name]
        pixels = self.pixels[image.offset : image.end]
        if name not in self.checked:
            if zlib.crc32(pixels.data) != image.checksum:
                return None
            self.checked.add(name)
        return pixels.reshape(image.shape)


class SegmentWriter:
    """Writes one segment, by several threads, under a hidden name until it is whole."""

    def __init__(self, file: Path) -> None:
        self.file, self.temporary = file, hidden_name(file)
        self.images: dict[str, CachedImage] = {}
        self._lock = Lock()
        self._stream: BinaryIO | None = None

    def add(self, name: str, stamp: FileStamp, size: tuple[int, int], pixels: np.ndarray) -> None:
        """Write one image, uint8 of any shape. Raises OSError."""
        data = np.ascontiguousarray(pixels)
        checksum = zlib.crc32(data.data)
        with self._lock:
            if self._stream is None:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self.temporary.open("wb")
            self.images[name] = CachedImage(stamp, size, self._stream.tell(), data.shape, checksum)
            self._stream.write(data.data)

    def finish(self) -> Segment | None:
        """Write the index, give the file its name and open it; None where nothing was added. Raises OSError."""
        if self._stream is None:
            return None
        text = json.dumps({name: each.to_json() for name, each in self.images.items()}, separators=(",", ":")).encode()
        with self._stream as stream:
            start = stream.tell()
            stream.write(text)
            stream.write(TRAILER.pack(MAGIC, start, len(text), zlib.crc32(text)))
        # Not synchronized with the disk, which takes seconds: after a power failure checksums tell what is missing.
        os.replace(self.temporary, self.file)
        return Segment.open(self.file)

    def abandon(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            if self._stream is not None:
                self._stream.close()
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)


def list_segments(folder: Path) -> Iterator[Path]:
    """Yield the segments in `folder`, the newest first; none where it cannot be looked into."""
    with suppress(OSError):
        yield from sorted(folder.glob(f"[!.]*{SUFFIX}"), reverse=True)
