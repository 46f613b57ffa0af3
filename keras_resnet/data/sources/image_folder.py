"""Image folders: `train/ val/ [test/]` with a folder per class in each, or one folder per class."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from keras_resnet.config.data import FITS, Fit
from keras_resnet.config.image_size import ImageSize, height_and_width
from keras_resnet.config.spec import DataSpec
from keras_resnet.data.bit_depth import find_levels
from keras_resnet.data.cache.pixel_cache import CachedRows, PixelCache, describe_transform
from keras_resnet.data.class_names import OneClassError
from keras_resnet.data.dataset import (
    DatasetSplits,
    Split,
    check_unreadable,
    count_bytes,
    fits_in_memory,
    log_held_out,
    require_all_classes,
    require_split,
    split_stratified,
)
from keras_resnet.data.image_size import (
    Shape,
    choose_channels,
    choose_fit,
    choose_native_size,
    choose_sizes,
    native_side,
)
from keras_resnet.data.label_set_split import split_label_sets
from keras_resnet.data.readability import ReadabilityCache, stamp_file
from keras_resnet.data.sources.annotation_files import subfolders
from keras_resnet.data.sources.folder_layout import find_layout
from keras_resnet.data.sources.listing import FolderLayout, Listing
from keras_resnet.data.sources.parallel_decode import decode_in_parallel
from keras_resnet.data.sources.split_names import split_of
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.image import Picture, fit_picture, read_image, read_shape, size_of
from keras_resnet.runtime.image_files import describe_pointer, readable_name, to_path
from keras_resnet.runtime.plurals import counted

SAMPLED_FILES = 200


class ImageFolder:
    """A folder per class."""

    layout = ""

    def recognizes(self, folder: Path | None, annotations: str) -> bool:
        """Return whether `folder` is one at all, if class labels are wanted: what does not fit is an error."""
        return folder is not None and annotations == "labels"

    def require_classes(self, folder: Path | None, spec: DataSpec) -> None:
        """Raise DataError for a single class folder, or a folder without any, which is seen without a list of all
        images."""
        if folder is None or spec.annotations != "labels" or not folder.is_dir():
            return
        inner = subfolders(folder)
        train = next((each for each in inner if split_of(each.name) == "train"), None)
        classes = subfolders(train) if train else [each for each in inner if split_of(each.name) is None]
        if len(classes) == 1 or not inner:
            self.find_layout(folder, lambda line: None)

    def open(self, spec: DataSpec, log: Log, only: Collection[str] | None = None) -> DatasetSplits:
        """Read the image folder at `spec.source`; unreadable files are named to `log` and skipped.

        Every file of the splits in `only` (None: of all) is decoded once here, so that a broken one is met before
        training and not in its middle; but for those that are not kept in memory and could be read before. Raises
        DataError where the folder cannot be a classification dataset, saying why.
        """
        root = self.find_root(to_path(spec.source))
        layout = self._find_classes(root, log)
        there = {**layout.listings, "validation": None}
        require_split(only, there, layout.unlabeled)
        wanted = [name for name in there if only is None or name in only]
        is_decided = spec.image_size and spec.fit and spec.channels
        training_files = layout.list_training_files()
        shapes = [] if is_decided else sample_shapes(training_files)
        fit = choose_fit(spec.fit, shapes, spec.image_size, log)
        native, why = (
            (None, "") if spec.image_size else choose_native_size([native_side(shape, fit) for shape in shapes])
        )
        size, resize = choose_sizes(spec.image_size, spec.resize, native, log, why, fit)
        channels = choose_channels(spec.channels, shapes, log)
        levels = spec.levels or find_levels(training_files, log)
        transform = describe_transform(FITS[fit], resize, channels, levels)
        cache = PixelCache.open(root, transform, log, spec.cache == "auto")
        known = ReadabilityCache.load(root, channels)
        reader = _Reader(resize, fit, channels, levels, known, cache, layout, spec.max_unreadable, log)
        # Only training asks a service.
        reader.keeps_in_memory = spec.service is None or "train" not in wanted
        try:
            splits = _read_splits(reader, wanted, spec.val_fraction)
        except DataError:
            # Which files are missing is why there are too few images.
            with suppress(DataError):
                reader.require_readable(log)
            raise
        finally:
            reader.known.keep(file for listing in layout.listings.values() for file in listing.files)
            cache.close()
        reader.require_readable(log)
        if spec.annotations == "labels":
            require_all_classes(splits, layout.classes)
        name = readable_name(root.name)
        return DatasetSplits(
            name, layout.classes, splits, None, size, resize, levels=levels, fit=fit, channels=channels
        )

    def _find_classes(self, root: Path, log: Log) -> FolderLayout:
        """Return the layout of `root`; what has to be said of it is logged when it is known that a classifier can learn
        from it. Raises DataError where it cannot be a dataset."""
        lines: list[str] = []
        try:
            return self.find_layout(root, lines.append)
        except OneClassError:
            lines.clear()
            raise
        finally:
            for line in lines:
                log(line)

    def find_root(self, source: Path) -> Path:
        """Return the folder that `--data` names. Raises DataError where it is none."""
        if not source.is_dir():
            raise DataError(f"--data {source} is not a folder")
        return source

    def find_layout(self, root: Path, log: Log) -> FolderLayout:
        """Return the images and classes in `root`. Raises DataError where it cannot be a dataset."""
        return find_layout(root, log)


@dataclass
class _Reader:
    """Decodes images and brings them to `resize` pixels, as `fit` of `config.data.FITS` says. levels, channels: see
    `runtime.image.read_image`. bad: what could not be read so far."""

    resize: ImageSize
    fit: Fit
    channels: int
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
        keep = self.keeps_in_memory and fits_in_memory(count, self.resize, self.channels)
        classes, total = len(self.layout.classes), self.layout.total
        images = counted(total, "image")
        amount = images if count == total else f"{count} of {images}"
        kept = "" if keep else "; too many to keep in memory" if self.keeps_in_memory else "; a data service reads them"
        self.log(f"reading {amount} of {counted(classes, 'class', plural='classes')} from {self.known.root}{kept}")
        missing = sum(not self.cache.has(file, stamp_file(file)) for file in files)
        self.caches_all = self.cache.make_room(missing * count_bytes(self.resize, self.channels))
        return keep

    def require_readable(self, log: Log) -> None:
        """Name to `log` what could not be read. Raises DataError where that is too much of all that is listed."""
        check_unreadable(self.bad, self.layout.total, self.max_unreadable, log)

    def held_out(self, truth: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of `truth` of readable images (see `Listing.truth`) to train on and to validate with."""
        self.require_readable(lambda message: None)
        if truth.ndim == 1:
            rows = split_stratified(truth, fraction, self.layout.classes)
        else:
            rows = split_label_sets(truth, fraction)
        how = "stratified (there is no validation split)"
        log_held_out(len(rows[1]), len(truth), fraction, how, self.log)
        return rows

    def split(self, name: str, listing: Listing, keep: bool) -> Split:
        """Return those of `listing` that can be read: their pixels, or only the names of their files."""
        good, pixels = self.readable(name, listing.files, keep)
        return self.build(name, listing.select(good), pixels, keep)

    def build(self, name: str, listing: Listing, pixels: Sequence[np.ndarray], keep: bool) -> Split:
        """Return the files of `listing`, all of which can be read, with their `pixels` if these are kept in memory."""
        truth, files = listing.truth, tuple(map(str, listing.files))
        split = Split(name, truth) if truth.ndim == 1 else Split.with_label_sets(name, truth)
        split = replace(split, files=files, resize=self.resize, method=FITS[self.fit], channels=self.channels)
        if keep:
            # By all cores: the first use of so much memory takes longer than the copying.
            kept = np.empty((len(pixels), *height_and_width(self.resize), self.channels), np.uint8)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(kept.__setitem__, range(len(pixels)), pixels))
            return replace(split, pixels=kept)
        prepared = CachedRows(self.cache, files, tuple(map(stamp_file, listing.files)))
        return replace(split, images=ImageFiles(files, self.levels, self.channels), prepared=prepared)

    def readable(self, name: str, files: Sequence[Path], keep: bool) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the rows of `files` that can be read, (count,) int64, and their pixels if these are to be kept."""
        decoded = decode_in_parallel(files, self._pixels if keep else self._look, f"reading {name}")
        self.bad += decoded.errors
        return np.asarray(decoded.rows, np.int64), [each for each in decoded.values if each is not None]

    def _look(self, path: Path) -> None:
        """Decode a file of which it is not known whether that can be done, or which is to be in the cache and is not.
        Raises DataError if it cannot be decoded."""
        self._require_there(path)
        stamp = stamp_file(path)
        why = self.known.find_error(path, stamp)
        if why is None or (not why and self.caches_all and not self.cache.has(path, stamp)):
            self._pixels(path)
        elif why:
            raise DataError(why)

    def _require_there(self, path: Path) -> None:
        """Raise DataError for a file that the layout knows not to be there, or that may not be read."""
        if why := self.layout.missing.get(path):
            raise DataError(why)

    def _pixels(self, path: Path) -> np.ndarray:
        self._require_there(path)
        stamp = stamp_file(path)
        if found := self.cache.find(path, stamp):
            self.known.note(path, stamp, "")
            return found[0]
        try:
            image = read_image(path, self.levels, self.channels)
            pixels = fit_picture(image, FITS[self.fit], self.resize, self.channels)
        except DataError as error:
            # What the system has against it, such as a missing right, may be mended without a change of the file.
            reason = f"{error}{describe_pointer(path)}"
            if not _is_os_error(error):
                self.known.note(path, stamp, reason)
            raise DataError(reason) from error
        self.known.note(path, stamp, "")
        self.cache.add(path, stamp, size_of(image), pixels)
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
        rows = reader.held_out(train.truth[good], fraction)
        splits = {
            name: reader.build(name, train.select(good[part]), [pixels[row] for row in part] if keep else [], keep)
            for name, part in zip(("train", "validation"), rows, strict=True)
        }
    else:
        # Which ones are held out depends on which can be read, not on their pixels.
        good, _ = reader.readable("train", train.files, keep=False)
        rows = reader.held_out(train.truth[good], fraction)
        parts = {name: good[part] for name, part in zip(("train", "validation"), rows, strict=True) if name in wanted}
        keep = reader.announce([*(train.files[row] for part in parts.values() for row in part), *others])
        splits = {name: reader.split(name, train.select(part), keep) for name, part in parts.items()}
    return splits | {name: reader.split(name, listing, keep) for name, listing in rest.items()}


def sample_shapes(files: Sequence[Path]) -> list[Shape]:
    """Return (height, width, channels) from the headers of `SAMPLED_FILES` files spread over all of them."""
    shapes = []
    for path in files[:: max(1, -(-len(files) // SAMPLED_FILES))]:
        try:
            shapes.append(read_shape(path))
        except DataError:  # the scan names it
            continue
    return shapes


@dataclass(frozen=True)
class ImageFiles:
    """Image files, decoded when they are read; levels, channels: see `runtime.image.read_image`."""

    files: tuple[str, ...]
    levels: tuple[float, ...] = ()
    channels: int = 3

    def __getitem__(self, row: int) -> Picture:
        return read_image(self.files[row], self.levels, self.channels)

    def read_scaled(self, row: int, at_least: int) -> Picture:
        """Return the image at `row`, scaled while it is decoded (see `runtime.image.read_image`)."""
        return read_image(self.files[row], self.levels, self.channels, at_least)
