"""Image folders: `train/ val/ [test/]` with a folder per class in each, or one folder per class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.bit_depth import find_levels
from keras_resnet.data.cache.pixel_cache import CachedRows, PixelCache
from keras_resnet.data.dataset import (
    DatasetSplits,
    Split,
    check_unreadable,
    fits_in_memory,
    log_held_out,
    require_all_classes,
    require_split,
    split_stratified,
)
from keras_resnet.data.image_size import choose_native_size, choose_sizes
from keras_resnet.data.readability import ReadabilityCache, stamp_file
from keras_resnet.data.sources.folder_layout import FolderLayout, Listing, find_layout
from keras_resnet.data.sources.parallel_decode import decode_in_parallel
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.image import read_image, read_image_size, resize_and_crop
from keras_resnet.runtime.image_files import describe_pointer, readable_name, to_path
from keras_resnet.runtime.plurals import counted

SAMPLED_FILES = 200


class ImageFolder:
    """A folder per class."""

    layout = ""

    def recognizes(self, folder: Path | None, annotations: str) -> bool:
        """Return whether `folder` is one at all, if class labels are wanted: what does not fit is an error."""
        return folder is not None and annotations == "labels"

    def open(self, spec: DataSpec, log: Log, only: Collection[str] | None = None) -> DatasetSplits:
        """Read the image folder at `spec.source`; unreadable files are named to `log` and skipped.

        Every file of the splits in `only` (None: of all) is decoded once here, so that a broken one is met before
        training and not in its middle; but for those that are not kept in memory and could be read before. Raises
        DataError where the folder cannot be a classification data set, saying why.
        """
        root = to_path(spec.source)
        if not root.is_dir():
            raise DataError(f"--data {spec.source} is not a folder")
        layout = find_layout(root, log)
        there = {**layout.listings, "validation": None}
        require_split(only, there, layout.unlabeled)
        wanted = [name for name in there if only is None or name in only]
        native, why = (
            (None, "") if spec.image_size else choose_native_size(_shorter_sides(layout.listings["train"].files))
        )
        size, resize = choose_sizes(spec.image_size, spec.resize, native, log, why)
        levels = spec.levels or find_levels(layout.listings["train"].files, log)
        cache = PixelCache.open(root, f"resize_and_crop {resize}, levels {levels}", log, spec.cache == "auto")
        reader = _Reader(resize, levels, ReadabilityCache.load(root), cache, layout, spec.max_unreadable, log)
        # Only training asks a service.
        reader.keeps_in_memory = spec.service is None or "train" not in wanted
        try:
            splits = _read_splits(reader, wanted, spec.val_fraction)
        finally:
            reader.known.keep(file for listing in layout.listings.values() for file in listing.files)
            cache.close()
        reader.require_readable(log)
        require_all_classes(splits, layout.classes)
        name = readable_name(root.name)
        return DatasetSplits(
            name, layout.classes, splits, flip_safe=None, image_size=size, resize=resize, levels=levels
        )


@dataclass
class _Reader:
    """Decodes images at `resize` pixels. levels: see `runtime.image.read_image`. bad: what could not be read so far."""

    resize: int
    levels: tuple[float, ...]
    known: ReadabilityCache
    cache: PixelCache
    layout: FolderLayout
    max_unreadable: float
    log: Log
    bad: list[DataError] = field(default_factory=list)
    caches_all: bool = False
    keeps_in_memory: bool = True

    def announce(self, files: Sequence[Path]) -> bool:
        """Tell that the images in `files` are read now, and return whether their pixels are kept in memory. Those that
        are not in the cache get room there."""
        count = len(files)
        keep = self.keeps_in_memory and fits_in_memory(count, self.resize)
        classes, total = len(self.layout.classes), self.layout.total
        images = counted(total, "image")
        amount = images if count == total else f"{count} of {images}"
        kept = "" if keep else "; too many to keep in memory" if self.keeps_in_memory else "; a data service reads them"
        self.log(f"reading {amount} of {counted(classes, 'class', plural='classes')} from {self.known.root}{kept}")
        missing = sum(not self.cache.has(file, stamp_file(file)) for file in files)
        self.caches_all = self.cache.make_room(missing * self.resize * self.resize * 3)
        return keep

    def require_readable(self, log: Log) -> None:
        """Name to `log` what could not be read. Raises DataError where that is too much of all that is listed."""
        check_unreadable(self.bad, self.layout.total, self.max_unreadable, log)

    def held_out(self, labels: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of (count,) `labels` of readable images to train on and to validate with."""
        self.require_readable(lambda message: None)
        rows = split_stratified(labels, fraction, self.layout.classes)
        how = "stratified (there is no val folder)"
        log_held_out(len(rows[1]), len(labels), fraction, how, self.log)
        return rows

    def split(self, name: str, listing: Listing, keep: bool) -> Split:
        """Return those of `listing` that can be read: their pixels, or only the names of their files."""
        good, pixels = self.readable(name, listing.files, keep)
        return self.build(name, _select(listing, good), pixels, keep)

    def build(self, name: str, listing: Listing, pixels: Sequence[np.ndarray], keep: bool) -> Split:
        """Return the files of `listing`, all of which can be read, with their `pixels` if these are kept in memory."""
        labels = np.asarray(listing.labels, np.int64)
        files = tuple(map(str, listing.files))
        if keep:
            kept = np.stack(pixels) if pixels else np.zeros((0, self.resize, self.resize, 3), np.uint8)
            return Split(name, labels, pixels=kept, files=files)
        stamps = tuple(map(stamp_file, listing.files))
        return Split(
            name,
            labels,
            images=ImageFiles(files, self.levels),
            resize=self.resize,
            files=files,
            prepared=CachedRows(self.cache, files, stamps),
        )

    def readable(self, name: str, files: Sequence[Path], keep: bool) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the rows of `files` that can be read, (count,) int64, and their pixels if these are to be kept."""
        decoded = decode_in_parallel(files, self._pixels if keep else self._look, f"reading {name}")
        self.bad += decoded.errors
        return np.asarray(decoded.rows, np.int64), [each for each in decoded.values if each is not None]

    def _look(self, path: Path) -> None:
        """Decode a file of which it is not known whether that can be done, or which is to be in the cache and is not.
        Raises DataError if it cannot be decoded."""
        stamp = stamp_file(path)
        why = self.known.find_error(path, stamp)
        if why is None or (not why and self.caches_all and not self.cache.has(path, stamp)):
            self._pixels(path)
        elif why:
            raise DataError(why)

    def _pixels(self, path: Path) -> np.ndarray:
        stamp = stamp_file(path)
        if found := self.cache.find(path, stamp):
            self.known.note(path, stamp, "")
            return found[0]
        try:
            image = read_image(path, self.levels)
            pixels = resize_and_crop(image, self.resize)
        except DataError as error:
            # What the system has against it, such as a missing right, may be mended without a change of the file.
            reason = f"{error}{describe_pointer(path)}"
            if not _is_os_error(error):
                self.known.note(path, stamp, reason)
            raise DataError(reason) from error
        self.known.note(path, stamp, "")
        self.cache.add(path, stamp, image.size, pixels)
        return pixels


def _is_os_error(error: BaseException | None) -> bool:
    """Return whether an error comes from an error of the operating system, at any remove."""
    while error is not None and getattr(error, "errno", None) is None:
        error = error.__cause__
    return error is not None


def _read_splits(reader: _Reader, wanted: Sequence[str], fraction: float) -> dict[str, Split]:
    """Return the `wanted` splits; validation is held out of the training images where there is none."""
    listings = reader.layout.listings
    if "validation" in listings or set(wanted) <= {"test"}:
        keep = reader.announce([file for name in wanted for file in listings[name].files])
        return {name: reader.split(name, listings[name], keep) for name in wanted}
    train = listings["train"]
    rest = {name: listings[name] for name in wanted if name in listings and name != "train"}
    others = [file for each in rest.values() for file in each.files]
    if {"train", "validation"} <= set(wanted):
        keep = reader.announce([*train.files, *others])
        good, pixels = reader.readable("train", train.files, keep)
        rows = reader.held_out(np.asarray(train.labels, np.int64)[good], fraction)
        splits = {
            name: reader.build(name, _select(train, good[part]), [pixels[row] for row in part] if keep else [], keep)
            for name, part in zip(("train", "validation"), rows, strict=True)
        }
    else:
        # Which ones are held out depends on which can be read, not on their pixels.
        good, _ = reader.readable("train", train.files, keep=False)
        rows = reader.held_out(np.asarray(train.labels, np.int64)[good], fraction)
        parts = {name: good[part] for name, part in zip(("train", "validation"), rows, strict=True) if name in wanted}
        keep = reader.announce([*(train.files[row] for part in parts.values() for row in part), *others])
        splits = {name: reader.split(name, _select(train, part), keep) for name, part in parts.items()}
    return splits | {name: reader.split(name, listing, keep) for name, listing in rest.items()}


def _select(listing: Listing, rows: np.ndarray) -> Listing:
    return Listing([listing.files[row] for row in rows], [listing.labels[row] for row in rows])


def _shorter_sides(files: list[Path]) -> list[int]:
    """In pixels, from the headers of `SAMPLED_FILES` files spread over the classes."""
    sides = []
    for path in files[:: -(-len(files) // SAMPLED_FILES)]:
        try:
            sides.append(min(read_image_size(path)))
        except DataError:  # the scan names it
            continue
    return sides


@dataclass(frozen=True)
class ImageFiles:
    """Image files, decoded when they are read; levels: see `runtime.image.read_image`."""

    files: tuple[str, ...]
    levels: tuple[float, ...] = ()

    def __getitem__(self, row: int) -> Image.Image:
        return read_image(self.files[row], self.levels)

    def read_scaled(self, row: int, at_least: int) -> Image.Image:
        """Return the image at `row`, scaled while it is decoded (see `runtime.image.read_image`)."""
        return read_image(self.files[row], self.levels, at_least)
