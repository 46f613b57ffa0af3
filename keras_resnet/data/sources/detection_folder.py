"""Folders of images with annotations of their objects, in COCO's format or Pascal VOC's, as label tools write them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.annotations import GroundTruth, ImageAnnotation, pad_annotations, require_shown, requires_object
from keras_resnet.data.bit_depth import find_levels
from keras_resnet.data.class_names import require_labels
from keras_resnet.data.dataset import (
    NAMED_IN_ERROR,
    SPLIT_SEED,
    DatasetSplits,
    Split,
    check_unreadable,
    choose_canvas,
    fits_memory,
    require_split,
    tell_held_out,
)
from keras_resnet.data.sources import coco, voc
from keras_resnet.data.sources.annotation_files import Read, subfolders, visible
from keras_resnet.data.sources.image_folder import Files
from keras_resnet.errors import DataError
from keras_resnet.progress import Log, counting
from keras_resnet.runtime.image import letterbox, read_image
from keras_resnet.runtime.image_files import image_files
from keras_resnet.runtime.plurals import counted, verb

# EXIF's orientations in which width and height change places.
SIDEWAYS = (5, 6, 7, 8)


def is_annotated(root: Path) -> bool:
    """Whether `root` has annotations of objects."""
    return coco.is_coco(root) or voc.is_voc(root)


def open_annotated(spec: DataSpec, log: Log, only: Collection[str] | None = None) -> DatasetSplits:
    """Read the folder `spec.source`, of its splits those in `only` (None: all); what is left out is counted and told to
    `log`.

    Every image is decoded once here, also if it is not to be kept: one that is damaged, or of another size than its
    annotation says, is met before training. Raises DataError for a folder of no known layout, for one without the
    annotations that are asked for, and where images of training are among those to validate with.
    """
    root = Path(spec.source).expanduser()
    found = _read(root, spec)
    found.tally.tell(log)
    listings, classes = dict(found.listings), found.classes
    require_labels(classes, f"--data {spec.source}")
    size, resize = choose_canvas(spec.image_size, None, log)
    total = _count(listings) + _count(found.bad)
    keep = fits_memory(total, resize)
    kept = "" if keep else "; too many to keep in memory"
    log(
        f"reading {counted(total, 'image')} with objects of {counted(len(classes), 'class', plural='classes')}"
        f" from {root}{kept}"
    )
    _require_apart(listings)
    _tell_unlisted(found.named, log)
    if "validation" not in listings:
        count = len(listings["train"])
        listings |= _held_out(listings["train"], spec.val_fraction, found)
        tell_held_out(len(listings["validation"]), count, spec.val_fraction, "drawn by a fixed seed", log, "an image")
    require_split(only, listings, {})
    levels = spec.levels or find_levels([each.file for each in listings["train"]], log)
    listings = {name: listed for name, listed in listings.items() if only is None or name in only}
    reading = _Reading(spec, resize, keep, found, levels, log)
    tested = {"test": listings.pop("test")} if "test" in listings else {}
    splits = reading.splits(listings)
    try:
        splits |= reading.splits(tested)
    except DataError as error:
        if only is not None:
            raise
        # Nothing is trained on it.
        log(f"test: left out, because {error}")
    return DatasetSplits(root.name, classes, splits, flips=True, image_size=size, resize=resize, levels=levels)


def _read(root: Path, spec: DataSpec) -> Read:
    """Raises DataError for a folder in none of the layouts."""
    if coco.is_coco(root):
        return coco.read_coco(root, spec.annotations == "masks")
    if not voc.is_voc(root):
        raise DataError(
            f"--data {spec.source} holds neither annotations/instances_*.json (COCO) nor Annotations/*.xml (Pascal VOC,"
            " ImageNet), nor what Roboflow, CVAT, Label Studio, FiftyOne or labelImg export as one of the two, and"
            f" images by class have no boxes of objects{_hint(root)}"
        )
    if spec.annotations == "masks":
        raise DataError(f"--data {spec.source} is in Pascal VOC's layout, whose boxes come without masks")
    return voc.read_voc(root)


def _count(by_split: Mapping[str, Sequence[object]]) -> int:
    return sum(len(each) for each in by_split.values())


def _hint(root: Path) -> str:
    """Of annotations one folder deeper, as in an archive that was unpacked, and of those in YOLO's format."""
    found = [folder for folder in subfolders(root) if coco.is_coco(folder)]
    if found:
        return f"; did you mean --data {found[0]}?"
    of_yolo = (root / "data.yaml").is_file() or any(visible(root, "labels/*.txt"))
    return "; labels/*.txt and data.yaml are YOLO's: export them as COCO or Pascal VOC" if of_yolo else ""


def _require_apart(listings: dict[str, list[ImageAnnotation]]) -> None:
    """Raises DataError if images of training are in another split too."""
    train = {each.file for each in listings["train"]}
    for name, listed in listings.items():
        shared = sorted(each.file for each in listed if each.file in train)
        if name != "train" and shared:
            raise DataError(
                f"{len(shared)} of {counted(len(listed), f'{name} image')} {verb(len(shared))} among those of training,"
                f" {shared[0]} first: a network would be judged by what it learned; list each image once"
            )


def _tell_unlisted(named: set[Path], log: Log) -> None:
    """Count image files that lie among those that annotations name, and are not `named`."""
    folders = {file.parent for file in named}
    beside = {file for folder in folders for file in image_files(folder)[0] if file.parent in folders}
    if unlisted := sorted(beside - named):
        log(
            f"left out {counted(len(unlisted), 'image file')} that {verb(len(unlisted))} in no split (first:"
            f" {unlisted[0]})"
        )


def _with_crowds(name: str, listed: list[ImageAnnotation], crowds: str, log: Log) -> list[ImageAnnotation]:
    """The images with their crowds as `crowds` wants them; how many there are is told."""
    count = sum(int(each.annotation.crowd.sum()) for each in listed)
    total = sum(len(each.annotation.crowd) for each in listed)
    if not count:
        return listed
    marked = (
        f"{name}: {count} of {counted(total, 'object')} {verb(count, 'is marked as a crowd', 'are marked as crowds')}"
        " (COCO's iscrowd, Pascal VOC's difficult)"
    )
    if crowds == "learn":
        log(f"{marked}, and learned as all others: data.crowds=learn")
        plain = [replace(each.annotation, crowd=np.zeros_like(each.annotation.crowd)) for each in listed]
        return [replace(each, annotation=annotation) for each, annotation in zip(listed, plain, strict=True)]
    way_out = "if they are single objects, as CVAT marks every mask, take them so by --set data.crowds=learn"
    if count == total:
        raise DataError(f"{marked}, which are neither learned nor missed: nothing is left; {way_out}")
    log(f"{marked}, neither learned nor missed; {way_out}")
    return listed


def _tell_unseen(name: str, objects: GroundTruth, classes: Sequence[str], log: Log) -> None:
    """Of what a split shows nothing: in training it is not learned, in validation nothing is known of it."""
    unseen = np.setdiff1d(np.arange(len(classes)), objects.labels[(objects.labels >= 0) & ~objects.crowd])
    if len(unseen):
        names = ", ".join(classes[label] for label in unseen[:NAMED_IN_ERROR])
        more = ", …" if len(unseen) > NAMED_IN_ERROR else ""
        known = counted(len(classes), "class", plural="classes")
        log(f"{name}: no object of {len(unseen)} of the {known}: {names}{more}")


def _held_out(listed: Sequence[ImageAnnotation], fraction: float, found: Read) -> dict[str, list[ImageAnnotation]]:
    if len(listed) < 2:
        first = next(iter(found.bad.get("train", ())), "")
        why = f": {first}" if first else ""
        raise DataError(f"there {verb(len(listed))} {counted(len(listed), 'image')}; splitting needs 2 or more{why}")
    order = np.random.default_rng(SPLIT_SEED).permutation(len(listed))
    wanted = min(max(1, round(fraction * len(listed))), len(listed) - 1)
    parts = {"validation": np.sort(order[:wanted]), "train": np.sort(order[wanted:])}
    return {name: [listed[row] for row in rows] for name, rows in parts.items()}


def _sized(each: ImageAnnotation, levels: tuple[float, ...]) -> Image.Image:
    """Raises DataError for an image that cannot be read, or is of another size than its annotation says."""
    image = read_image(each.file, levels)
    if image.size != each.annotation.size:
        told = " × ".join(map(str, each.annotation.size))
        turned = ", upright as its EXIF says" if _is_turned(each.file) else ""
        raise DataError(
            f"image {each.file} has {image.width} × {image.height} pixels{turned}, its annotation says {told}"
        )
    return image


def _is_turned(file: Path) -> bool:
    """Whether EXIF lays the image on its side."""
    with Image.open(file) as image:
        return image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS


@dataclass(frozen=True)
class _Reading:
    """How images are read: brought to squares of `resize` pixels, and kept in memory or not."""

    spec: DataSpec
    resize: int
    keep: bool
    found: Read
    levels: tuple[float, ...]
    say: Log

    def splits(self, listings: dict[str, list[ImageAnnotation]]) -> dict[str, Split]:
        """Raises DataError if too many images cannot be read, or a split shows nothing."""
        bad = {name: list(self.found.bad.get(name, ())) for name in listings}
        total = _count(listings) + _count(bad)
        splits = {name: self._split(name, listed, bad[name]) for name, listed in listings.items()}
        if total:
            check_unreadable(
                [each for of_split in bad.values() for each in of_split], total, self.spec.max_bad, self.say
            )
        return splits

    def _split(self, name: str, listed: list[ImageAnnotation], bad: list[str]) -> Split:
        """What cannot be read is added to `bad`; images without an object are left out and counted where they have to
        have one."""
        listed = _with_crowds(name, listed, self.spec.crowds, self.say)
        good, kept = self._read(name, listed, bad)
        shows = [each.annotation.shows for each in good]
        if requires_object(name, self.spec.annotations) and (blank := shows.count(False)):
            self.say(
                f"{name}: left out {blank} of {counted(len(listed), 'image')}, which"
                f" {verb(blank, 'shows', 'show')} no object"
            )
            good, kept = list(compress(good, shows)), list(compress(kept, shows))
        if not good:
            left_out = self.found.tally.summary
            reasons = "; ".join([*bad[:1], *([f"left out were {left_out}"] if left_out else [])])
            raise DataError(
                f"none of the {counted(len(listed) or len(bad), f'{name} image')} can be read and shows an object"
                f"{reasons and ': '}{reasons}"
            )
        objects = pad_annotations([each.annotation for each in good], self.spec.annotations == "masks")
        require_shown(objects.labels, objects.crowd, f"{name} images")
        _tell_unseen(name, objects, self.found.classes, self.say)
        pixels = np.stack(kept) if self.keep else None
        files = tuple(str(each.file) for each in good)
        images = None if self.keep else Files(files, self.levels)
        return Split(name, objects.labels[:, 0], pixels, images, self.resize, objects, files)

    def _read(
        self, name: str, listed: list[ImageAnnotation], bad: list[str]
    ) -> tuple[list[ImageAnnotation], list[Any]]:
        """Those that can be read, with their pixels if they are to be kept."""

        def read(each: ImageAnnotation) -> tuple[np.ndarray | None, str]:
            try:
                image = _sized(each, self.levels)
                return letterbox(image, self.resize) if self.keep else None, ""
            except DataError as error:
                return None, str(error)

        good: list[ImageAnnotation] = []
        kept: list[Any] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool, counting(len(listed), "images", f"reading {name}") as advance:
            for each, (pixels, trouble) in zip(listed, pool.map(read, listed), strict=True):
                advance(1, f"reading {name}")
                if trouble:
                    bad.append(trouble)
                else:
                    good.append(each)
                    kept.append(pixels)
        return good, kept
