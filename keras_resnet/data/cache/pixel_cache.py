"""The cache of decoded images on disk, which all commands share: the second one that opens a folder decodes nothing.

An image is known by its path, its size in bytes and its time of change, and by the transform that it went through. Each
command writes what it had to decode as one segment, whole or not at all, so that any number of commands may read and
write at once; one that is killed leaves nothing but a hidden file, which the next one removes. Where anything here
fails, that is told, and images are decoded as they are without it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from keras_resnet.data.cache.room import Room, images_folder, read_limit
from keras_resnet.data.cache.segment import Segment, SegmentWriter, list_segments
from keras_resnet.data.readability import FileStamp, describe_decoder, stamp_file
from keras_resnet.progress import Log
from keras_resnet.runtime.image import ImageSize, height_and_width
from keras_resnet.runtime.plurals import counted, format_bytes, verb
from keras_resnet.runtime.temporary_files import remove_leftovers

FORMAT = 1
# More segments than these become two: the largest, and one of all others.
MAX_SEGMENTS = 8


@dataclass
class PixelCache:
    """The images below `root` after one transform. folder: where they lie; None keeps nothing. segments: the newest
    first. found: the names of the images that were taken from there. kind: what messages call an image. beside: a
    folder of the same images after another transform, which the same command uses."""

    root: Path
    log: Log
    folder: Path | None = None
    segments: list[Segment] = field(default_factory=list)
    writer: SegmentWriter | None = None
    found: set[str] = field(default_factory=set)
    kind: str = "decoded image"
    beside: Path | None = None

    @classmethod
    def open(cls, root: Path, transform: str, log: Log, is_on: bool = True) -> PixelCache:
        """Open what is known of the images below `root`, a folder or a table in it, after a `transform`: text that is
        another one for any other (see `describe_transform`).

        Raises UsageError where KRESNET_CACHE_GB is no number.
        """
        home, root = images_folder(), root if root.is_dir() else root.parent
        if not is_on or not read_limit() or home is None:
            return cls(root, log)
        words = "\n".join((os.path.realpath(root), transform, describe_decoder(), str(FORMAT)))
        folder = home / hashlib.sha256(os.fsencode(words)).hexdigest()[:32]
        with suppress(OSError):
            remove_leftovers(folder)
            os.utime(folder)
        segments = [each for each in map(Segment.open, list_segments(folder)) if each]
        return cls(root, log, folder, segments)

    def open_beside(self, transform: str, kind: str, log: Log) -> PixelCache:
        """Open what is known of the same images after another `transform`; messages call one of them `kind`. Where this
        cache keeps nothing, that one does not either; and this one is not removed to make room for it."""
        other = PixelCache.open(self.root, transform, log, self.folder is not None)
        other.kind, other.beside = kind, self.folder
        return other

    def has(self, path: Path | str, stamp: FileStamp | None) -> bool:
        """Return whether the file with that `stamp` is here."""
        return self._locate(self._name(path), stamp) is not None

    def find(self, path: Path | str, stamp: FileStamp | None) -> tuple[np.ndarray, tuple[int, int]] | None:
        """Return the pixels of a file, read-only, and the (width, height) that it had before the transform; None if it
        has to be decoded."""
        name = self._name(path)
        segment = self._locate(name, stamp)
        if segment is None:
            return None
        if (pixels := segment.read(name)) is None:
            self.log(f"cache: removing {segment.file}, which is damaged; its images are decoded again")
            self._remove(segment)
            return None
        self.found.add(name)
        return pixels, segment.images[name].size

    def make_room(self, missing: int) -> bool:
        """Prepare to keep `missing` bytes more, and return whether they will be. Where there is no room, that is told;
        else what others used longest ago goes for it."""
        if self.folder is None:
            return False
        if not missing:
            return True
        room = Room.measure(self.folder, self.beside)
        if room.held + missing > room.most:
            self.log(
                f"cache: {self.kind}s are not kept: they would take {format_bytes(room.held + missing)}, more than"
                f" {format_bytes(room.most)} ({room.reason})"
            )
            return False
        room.clear(room.held + missing)
        self._begin()
        return True

    def add(self, path: Path, stamp: FileStamp | None, size: tuple[int, int], pixels: np.ndarray) -> None:
        """Keep the pixels, uint8, of a file of (width, height) `size`; stamp: taken before it was read."""
        if stamp is not None and pixels.dtype == np.uint8:
            name = self._name(path)
            self._attempt(lambda writer: writer.add(name, stamp, size, pixels))

    def close(self) -> None:
        """Give what was added to all commands, and tell what was found and added."""
        if count := len(self.found):
            self.log(
                f"cache: {counted(count, 'image', ',')} {verb(count, 'was', 'were')} decoded by an earlier command"
                " (--cache off decodes again)"
            )
        if (added := self._finish()) is not None:
            self.log(
                f"cache: keeping {counted(len(added.images), self.kind, ',')} for the next command,"
                f" {format_bytes(added.pixels.size)} in {added.file.parent.parent} (--cache off keeps none)"
            )
            self._tidy()

    def _locate(self, name: str, stamp: FileStamp | None) -> Segment | None:
        for segment in self.segments:
            if (image := segment.images.get(name)) is not None and image.stamp == stamp:
                return segment
        return None

    def _begin(self) -> None:
        assert self.folder is not None
        self.writer = SegmentWriter(self.folder / f"{time.time_ns():020}-{os.getpid()}.pixels")

    def _finish(self) -> Segment | None:
        """End what was begun, and return it; None where there is nothing in it."""
        finished = self._attempt(SegmentWriter.finish)
        self.writer = None
        if finished is not None:
            self.segments.insert(0, finished)
        return finished

    def _attempt(self, write: Callable[[SegmentWriter], Segment | None]) -> Segment | None:
        """Call `write`; where the disk is full, or something else is wrong with it, keep nothing more."""
        writer = self.writer
        try:
            return write(writer) if writer else None
        except (OSError, ValueError) as error:  # ValueError: another thread met an error, and the file is closed
            if self.writer is not None:
                self.writer = None
                reason = getattr(error, "strerror", None) or str(error)
                self.log(f"cache: {self.kind}s are not kept: cannot write {self.folder}: {reason}")
            if writer:
                writer.abandon()
            return None

    def _tidy(self) -> None:
        """Remove segments of which every image is in a newer one, and make two of many."""
        known: set[str] = set()
        for segment in self.segments:
            if segment.images.keys() <= known:
                self._remove(segment)
            known |= segment.images.keys()
        if len(self.segments) > MAX_SEGMENTS:
            largest = max(self.segments, key=lambda each: each.pixels.size)
            self._merge([each for each in self.segments if each is not largest])

    def _merge(self, segments: list[Segment]) -> None:
        """Make one of `segments`, without what is in newer ones and without files that are gone."""
        self._begin()
        seen: set[str] = set()
        for segment in segments:
            for name, image in segment.images.items():
                path = self.root / name
                if name not in seen and path.exists() and (pixels := segment.read(name)) is not None:
                    self.add(path, image.stamp, image.size, pixels)
            seen |= segment.images.keys()
        if self._finish() is not None:
            for segment in segments:
                self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        """Remove a segment; whoever reads it just now keeps it."""
        self.segments = [each for each in self.segments if each is not segment]
        with suppress(OSError):
            segment.file.unlink(missing_ok=True)

    def _name(self, path: Path | str) -> str:
        """Return the path below the root, which is quicker to cut off than to compute."""
        text, start = str(path), f"{self.root}{os.sep}"
        return text[len(start) :] if text.startswith(start) else os.path.relpath(path, self.root)


@dataclass(frozen=True)
class CachedRows:
    """The files of a split in a cache, by their rows. stamps: as they were when the split was opened."""

    cache: PixelCache
    files: tuple[str, ...]
    stamps: tuple[FileStamp | None, ...]

    def open_beside(self, transform: str, kind: str, log: Log) -> CachedRows:
        """Return the same files after another `transform`; see `PixelCache.open_beside`."""
        return replace(self, cache=self.cache.open_beside(transform, kind, log))

    def has(self, row: int) -> bool:
        """Return whether the image at `row` is here."""
        return self.cache.has(self.files[row], self.stamps[row])

    def find(self, row: int) -> np.ndarray | None:
        """Return the pixels of the image at `row`, read-only; None if it has to be decoded."""
        found = self.cache.find(self.files[row], self.stamps[row])
        return None if found is None else found[0]

    def add(self, row: int, size: tuple[int, int], pixels: np.ndarray) -> None:
        """Keep the pixels, uint8, of the image at `row` of (width, height) `size`, if it is as when this was opened."""
        path, stamp = Path(self.files[row]), self.stamps[row]
        if stamp_file(path) == stamp:
            self.cache.add(path, stamp, size, pixels)

    def subset(self, rows: np.ndarray) -> CachedRows:
        """Return the images at `rows`, in that order."""
        return CachedRows(self.cache, tuple(self.files[row] for row in rows), tuple(self.stamps[row] for row in rows))


def describe_transform(method: str, size: ImageSize, channels: int, levels: Sequence[float]) -> str:
    """Return in words what images go through, as `runtime.image` takes it: whatever changes their pixels."""
    height, width = height_and_width(size)
    return f"{method} {height} x {width}, channels {channels}, levels {tuple(levels)}"
