"""What all layouts of image files with files of annotations share: the images are read here, the annotations by each
layout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import ExifTags, Image

from keras_resnet.config.data import FITS
from keras_resnet.config.spec import DataSpec
from keras_resnet.data.annotations import (
    GroundTruth,
    ImageAnnotation,
    pad_annotations,
    require_objects,
    requires_object,
)
from keras_resnet.data.bit_depth import find_levels
from keras_resnet.data.cache.pixel_cache import CachedRows, PixelCache, describe_transform
from keras_resnet.data.class_names import require_labels
from keras_resnet.data.dataset import (
    MAX_NAMES_IN_ERROR,
    SPLIT_SEED,
    DatasetSplits,
    Split,
    check_unreadable,
    count_bytes,
    describe_too_few,
    fits_in_memory,
    log_held_out,
    require_split,
)
from keras_resnet.data.image_size import choose_channels, choose_square_size
from keras_resnet.data.readability import stamp_file
from keras_resnet.data.sources.annotation_files import FolderAnnotations
from keras_resnet.data.sources.image_folder import ImageFiles, sample_shapes
from keras_resnet.data.sources.label_sets import LayoutReader, list_label_sets
from keras_resnet.data.sources.listing import FolderLayout
from keras_resnet.data.sources.parallel_decode import decode_in_parallel
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.image import fit_picture, read_image, size_of
from keras_resnet.runtime.image_files import ARRAY_SUFFIX, list_images
from keras_resnet.runtime.plurals import counted, verb

# EXIF's orientations in which width and height change places.
SIDEWAYS_ORIENTATIONS = (5, 6, 7, 8)


class DetectionFolder(ABC):
    """A layout of image files with files of annotations: a subclass finds and reads the annotations, and this class
    the images."""

    layout: ClassVar[str]

    @abstractmethod
    def is_layout(self, root: Path) -> bool:
        """Return whether the folder `root` has annotations in this layout."""

    @abstractmethod
    def read_annotations(self, root: Path, masks: bool) -> FolderAnnotations:
        """Read the annotations in `root`, with masks if wanted. Raises DataError for a folder that cannot be trained
        on."""

    def recognizes(self, folder: Path | None, annotations: str) -> bool:
        """Return whether `folder` is in this layout, if boxes or masks are wanted, or the labels of all objects."""
        return folder is not None and annotations != "labels" and self.is_layout(folder)

    def require_classes(self, folder: Path | None, spec: DataSpec) -> None:  # noqa: B027 - most layouts have no more
        """Pass: a detector may learn a single class."""

    def open(self, spec: DataSpec, log: Log, only: Collection[str] | None = None) -> DatasetSplits:
        """Read the folder `spec.source`, of its splits those in `only` (None: all); log what is left out, counted.

        Every image is decoded once here, also if it is not to be kept: one that is damaged, or of another size than its
        annotation says, is met before training. Raises DataError for a folder without the annotations that are asked
        for, and where images of training are among those to validate with.
        """
        if spec.annotations == "label_sets":
            return LayoutReader(partial(self._label_sets, spec.max_unreadable)).open(spec, log, only)
        root = Path(spec.source).expanduser()
        annotated = self.read_annotations(root, spec.annotations == "masks")
        annotated.tally.log_all(log)
        listings, classes = dict(annotated.listings), annotated.classes
        require_labels(classes, f"--data {spec.source}")
        size, resize = choose_square_size(spec.image_size, None, log)
        total = _count(listings) + _count(annotated.bad)
        shapes = [] if spec.channels else sample_shapes([each.file for each in listings["train"]])
        channels = choose_channels(spec.channels, shapes, log)
        keep = fits_in_memory(total, resize, channels)
        kept = "" if keep else "; too many to keep in memory"
        log(
            f"reading {counted(total, 'image')} with objects of {counted(len(classes), 'class', plural='classes')}"
            f" from {root}{kept}"
        )
        _require_apart(listings)
        _log_unlisted(annotated.named, log)
        if "validation" not in listings:
            count = len(listings["train"])
            listings |= _hold_out(listings["train"], spec.val_fraction, annotated)
            log_held_out(
                len(listings["validation"]), count, spec.val_fraction, "drawn by a fixed seed", log, "an image"
            )
        require_split(only, listings, {})
        levels = spec.levels or find_levels([each.file for each in listings["train"]], log)
        listings = {name: listed for name, listed in listings.items() if only is None or name in only}
        transform = describe_transform(FITS["pad"], resize, channels, levels)
        cache = PixelCache.open(root, transform, log, spec.cache == "auto")
        reader = _SplitReader(spec, resize, channels, keep, annotated, levels, cache, log)
        try:
            splits = reader.all_splits(listings, test_needed=only is not None)
        finally:
            cache.close()
        return DatasetSplits(
            root.name, classes, splits, True, size, resize, levels=levels, fit="pad", channels=channels
        )

    def _label_sets(self, max_unreadable: float, root: Path, log: Log) -> FolderLayout:
        """Return the images of `root`, each with the labels of its objects. Raises DataError where more than
        `max_unreadable` of their annotations cannot be used."""
        annotated = self.read_annotations(root, masks=False)
        annotated.tally.log_all(log)
        _require_apart(annotated.listings)
        require_labels(annotated.classes, f"--data {root}")
        bad = [each for of_split in annotated.bad.values() for each in of_split]
        check_unreadable(bad, _count(annotated.listings) + len(bad), max_unreadable, log)
        log("labels: those of the objects in each image")
        images = {
            split: [(each.file, sorted(set(each.annotation.labels.tolist()))) for each in listed]
            for split, listed in annotated.listings.items()
        }
        return list_label_sets(images, annotated.classes, log)


def _count(by_split: Mapping[str, Sequence[object]]) -> int:
    return sum(len(each) for each in by_split.values())


def _require_apart(listings: dict[str, list[ImageAnnotation]]) -> None:
    """Raise DataError if images of training are in another split too."""
    train = {each.file for each in listings["train"]}
    for name, listed in listings.items():
        shared = sorted(each.file for each in listed if each.file in train)
        if name != "train" and shared:
            raise DataError(
                f"{len(shared)} of {counted(len(listed), f'{name} image')} {verb(len(shared))} among those of training,"
                f" {shared[0]} first: the network would be evaluated on images that it was trained on; list each image"
                " once"
            )


def _log_unlisted(named: set[Path], log: Log) -> None:
    """Count image files that lie among those that annotations name, and are not `named`."""
    folders = {file.parent for file in named}
    beside = {file for folder in folders for file in list_images(folder)[0] if file.parent in folders}
    if unlisted := sorted(beside - named):
        log(
            f"left out {counted(len(unlisted), 'image file')} that {verb(len(unlisted))} in no split (first:"
            f" {unlisted[0]})"
        )


def _apply_crowds(name: str, listed: list[ImageAnnotation], crowds: str, log: Log) -> list[ImageAnnotation]:
    """Return the images with their crowds as `crowds` wants them, and log how many there are."""
    count = sum(int(each.annotation.iscrowd.sum()) for each in listed)
    total = sum(len(each.annotation.iscrowd) for each in listed)
    if not count:
        return listed
    marked = (
        f"{name}: {count} of {counted(total, 'object')} {verb(count, 'is marked as a crowd', 'are marked as crowds')}"
        " (COCO's iscrowd, Pascal VOC's difficult)"
    )
    if crowds == "learn":
        log(f"{marked}, and learned as all others: data.crowds=learn")
        plain = [replace(each.annotation, iscrowd=np.zeros_like(each.annotation.iscrowd)) for each in listed]
        return [replace(each, annotation=annotation) for each, annotation in zip(listed, plain, strict=True)]
    way_out = "if they are single objects, as CVAT marks every mask, take them so by --set data.crowds=learn"
    if count == total:
        raise DataError(f"{marked}, which are neither learned nor missed: nothing is left; {way_out}")
    log(f"{marked}, neither learned nor missed; {way_out}")
    return listed


def _log_missing_classes(name: str, objects: GroundTruth, classes: Sequence[str], log: Log) -> None:
    """Log the classes of which a split shows nothing: in training it is not learned, in validation nothing is known of
    it."""
    unseen = np.setdiff1d(np.arange(len(classes)), objects.labels[(objects.labels >= 0) & ~objects.iscrowd])
    if len(unseen):
        names = ", ".join(classes[label] for label in unseen[:MAX_NAMES_IN_ERROR])
        more = ", …" if len(unseen) > MAX_NAMES_IN_ERROR else ""
        known = counted(len(classes), "class", plural="classes")
        log(f"{name}: no object of {len(unseen)} of the {known}: {names}{more}")


def _hold_out(
    listed: Sequence[ImageAnnotation], fraction: float, annotated: FolderAnnotations
) -> dict[str, list[ImageAnnotation]]:
    if len(listed) < 2:
        first = next(iter(annotated.bad.get("train", ())), "")
        why = f". Not read: {first}" if first else ""
        raise DataError(f"{describe_too_few('the dataset', len(listed), 'annotated image')}{why}")
    order = np.random.default_rng(SPLIT_SEED).permutation(len(listed))
    wanted = min(max(1, round(fraction * len(listed))), len(listed) - 1)
    parts = {"validation": np.sort(order[:wanted]), "train": np.sort(order[wanted:])}
    return {name: [listed[row] for row in rows] for name, rows in parts.items()}


def _require_size(each: ImageAnnotation, size: tuple[int, int]) -> None:
    """Raise DataError for an image of a (width, height) `size` that its annotation does not say."""
    if size != each.annotation.size:
        stated = " × ".join(map(str, each.annotation.size))
        turned = ", upright as its EXIF says" if _is_sideways(each.file) else ""
        raise DataError(f"image {each.file} has {size[0]} × {size[1]} pixels{turned}, its annotation says {stated}")


def _is_sideways(file: Path) -> bool:
    """Return whether EXIF lays the image on its side."""
    if file.suffix.lower() == ARRAY_SUFFIX:
        return False
    with Image.open(file) as image:
        return image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS_ORIENTATIONS


@dataclass(frozen=True)
class _SplitReader:
    """How images are read: brought to squares of `resize` pixels, and kept in memory or not."""

    spec: DataSpec
    resize: int
    channels: int
    keep: bool
    annotated: FolderAnnotations
    levels: tuple[float, ...]
    cache: PixelCache
    log: Log

    def all_splits(self, listings: dict[str, list[ImageAnnotation]], test_needed: bool) -> dict[str, Split]:
        """Read all `listings`. Raises DataError if too many images cannot be read, or a split shows nothing; for test
        images only if they are needed."""
        files = (each.file for listed in listings.values() for each in listed)
        missing = sum(not self.cache.has(file, stamp_file(file)) for file in files)
        self.cache.make_room(missing * count_bytes(self.resize, self.channels))
        tested = {"test": listings["test"]} if "test" in listings else {}
        splits = self.splits({name: listed for name, listed in listings.items() if name != "test"})
        try:
            return splits | self.splits(tested)
        except DataError as error:
            if test_needed:
                raise
            # Nothing is trained on it.
            self.log(f"test: left out, because {error}")
            return splits

    def splits(self, listings: dict[str, list[ImageAnnotation]]) -> dict[str, Split]:
        """Raise DataError if too many images cannot be read, or a split shows nothing."""
        bad = {name: list(self.annotated.bad.get(name, ())) for name in listings}
        total = _count(listings) + _count(bad)
        splits = {name: self._split(name, listed, bad[name]) for name, listed in listings.items()}
        if total:
            check_unreadable(
                [each for of_split in bad.values() for each in of_split], total, self.spec.max_unreadable, self.log
            )
        return splits

    def _split(self, name: str, listed: list[ImageAnnotation], bad: list[str]) -> Split:
        """Read one split. What cannot be read is added to `bad`; images without an object are left out and counted
        where they have to have one."""
        listed = _apply_crowds(name, listed, self.spec.crowds, self.log)
        good, kept = self._read(name, listed, bad)
        shows = [each.annotation.has_objects for each in good]
        if requires_object(name, self.spec.annotations) and (blank := shows.count(False)):
            self.log(
                f"{name}: left out {blank} of {counted(len(listed), 'image')}, which"
                f" {verb(blank, 'shows', 'show')} no object"
            )
            good, kept = list(compress(good, shows)), list(compress(kept, shows))
        if not good:
            left_out = self.annotated.tally.summary
            reasons = "; ".join([*bad[:1], *([f"left out were {left_out}"] if left_out else [])])
            raise DataError(
                f"none of the {counted(len(listed) or len(bad), f'{name} image')} can be read and shows an object"
                f"{reasons and ': '}{reasons}"
            )
        objects = pad_annotations([each.annotation for each in good], self.spec.annotations == "masks")
        require_objects(objects.labels, objects.iscrowd, f"{name} images")
        _log_missing_classes(name, objects, self.annotated.classes, self.log)
        pixels = np.stack([each for each in kept if each is not None]) if self.keep else None
        files = tuple(str(each.file) for each in good)
        split = Split(
            *(name, objects.labels[:, 0], pixels, None, self.resize, objects, files), FITS["pad"], self.channels
        )
        if self.keep:
            return split
        prepared = CachedRows(self.cache, files, tuple(stamp_file(each.file) for each in good))
        return replace(split, images=ImageFiles(files, self.levels, self.channels), prepared=prepared)

    def _read(
        self, name: str, listed: list[ImageAnnotation], bad: list[str]
    ) -> tuple[list[ImageAnnotation], list[np.ndarray | None]]:
        """Return those that can be read, with their pixels if they are to be kept."""
        decoded = decode_in_parallel(listed, self._decode, f"reading {name}")
        bad += map(str, decoded.errors)
        return [listed[row] for row in decoded.rows], decoded.values

    def _decode(self, each: ImageAnnotation) -> np.ndarray | None:
        """Return the pixels if they are kept in memory. Raises DataError for an image that cannot be read, or is of
        another size than its annotation says."""
        stamp = stamp_file(each.file)
        if found := self.cache.find(each.file, stamp):
            pixels, size = found
            _require_size(each, size)
            return pixels if self.keep else None
        image = read_image(each.file, self.levels, self.channels)
        _require_size(each, size_of(image))
        if not self.keep and self.cache.writer is None:
            return None
        pixels = fit_picture(image, FITS["pad"], self.resize, self.channels)
        self.cache.add(each.file, stamp, size_of(image), pixels)
        return pixels if self.keep else None
