"""YOLO's layout, as Ultralytics reads it: data.yaml, images/ and labels/ with a text file for each image.

data.yaml has `names` (a list, or a number for each name) and `train`, `val` and perhaps `test`: folders of images, text
files that list images, or lists of both, relative to `path`. The labels of images/…/a.jpg are in labels/…/a.txt, those
of an image in another folder beside it; an image without that file shows nothing. A line is an object, in fractions of
the image's width and height: class x_center y_center width height, or class x1 y1 x2 y2 x3 y3 …, the corners of a
polygon (docs.ultralytics.com/datasets/detect and /segment).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from reprlib import repr as quote
from typing import TypeGuard

import numpy as np

from keras_resnet.data.annotations import Annotation, ImageAnnotation
from keras_resnet.data.sources import coco_masks
from keras_resnet.data.sources.annotation_files import (
    ROUNDING_PIXELS,
    FolderAnnotations,
    Tally,
    find_file,
    find_file_by_suffix,
    find_files,
    parse_finite,
    read_lines,
    resolve_inside,
    subfolders,
)
from keras_resnet.data.sources.detection_folder import DetectionFolder
from keras_resnet.data.sources.manifest_files import names_tables
from keras_resnet.data.sources.parallel_decode import decode_in_parallel
from keras_resnet.data.sources.yolo_config import class_names, find_config, parse_config
from keras_resnet.errors import DataError
from keras_resnet.runtime.image import read_image_size
from keras_resnet.runtime.image_files import list_images
from keras_resnet.runtime.plurals import counted

# Keys of data.yaml → our splits.
SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
BOX_FIELDS = 5
# A class and three corners.
MIN_POLYGON_FIELDS = 7

REPEATED = "{line that repeats|lines that repeat} another one of {its|their} file exactly"
NO_TEST = "{split of data.yaml that is|splits of data.yaml that are} not there"
UNLABELED_TEST = "test {split|splits}, of which no image has a label file"
NO_MASK = "{object that is a box and has|objects that are boxes and have} no mask"


class YOLO(DetectionFolder):
    """Folders with a data.yaml and a text file of objects for each image."""

    layout = "data.yaml with labels/*.txt (YOLO)"

    def is_layout(self, root: Path) -> bool:
        """Return whether `root` has a data.yaml that names no tables, or text files of labels."""
        config = find_config(root)
        if config is not None:
            return not names_tables(config)
        labels = (folder / "labels" for folder in (root, *subfolders(root))) if root.is_dir() else ()
        return any(True for each in labels for _ in find_files(each, "*.txt"))

    def read_annotations(self, root: Path, masks: bool) -> FolderAnnotations:
        """Read all splits of `root`. An image whose label file is not in the format cannot be used. Raises DataError
        for a data.yaml that is not in the format, and where no label file is found."""
        file = find_config(root)
        root = root.parent if root == file else root
        if file is None:
            raise DataError(
                f"{root} has labels/*.txt, YOLO's, and no data.yaml that says what their numbers mean: write one with"
                " names: [first class, second class] and train: images"
            )
        config = parse_config(file)
        tally = Tally()
        names = class_names(file, config)
        splits = _list_images(root, file, config, tally)
        named = {image for images in splits.values() for image in images}
        labeled = {
            split for split, images in splits.items() if any(_label_file(root, each).is_file() for each in images)
        }
        if not labeled:
            raise DataError(
                f"none of the {counted(len(named), 'image')} that {file} names has a label file, such as"
                f" {_label_file(root, min(named))}"
            )
        if "test" in splits and "test" not in labeled:
            tally.leave_out(UNLABELED_TEST, str(splits.pop("test")[0]))
        reader = _LabelReader(root, file, len(names), masks)
        read = {split: reader.read(images, tally) for split, images in splits.items()}
        listings = {split: annotations for split, (annotations, _) in read.items()}
        bad = {split: errors for split, (_, errors) in read.items()}
        return FolderAnnotations(names, listings, tally, bad, named)


def _list_images(root: Path, file: Path, config: Mapping[object, object], tally: Tally) -> dict[str, list[Path]]:
    """Return the image files of each split, each once. Raises DataError where none are for training."""
    base = config.get("path", "")
    if not isinstance(base, str):
        raise DataError(f"{file}: path must be the folder that holds the images. Received: {quote(base)}")
    bases = [file.parent / os.path.expanduser(base), file.parent]
    if config.get("val") and config.get("validation"):
        raise DataError(f"{file} has val: and validation:, both for validation: keep one")
    splits: dict[str, list[Path]] = {}
    for key, split in SPLITS.items():
        entries = config.get(key) or []
        images: list[Path] = []
        for entry in entries if isinstance(entries, list) else [entries]:
            if not isinstance(entry, str):
                raise DataError(f"{file}: {key} must be folders or lists of images. Received: {quote(entry)}")
            if (path := _find_entry(root, bases, entry)) is not None:
                images += _listed_images(root, bases, path) if path.is_file() else list_images(path)[0]
            elif split == "test":
                tally.leave_out(NO_TEST, entry)
            else:
                raise DataError(f"{file}: {key} names {entry}; there is no such folder or list of images in {root}")
        if images:
            splits[split] = list(dict.fromkeys(images))
        elif entries and split != "test":
            raise DataError(f"{file}: {key} names {quote(entries)}, where no images are")
    if "train" not in splits:
        raise DataError(f"{file} names no images to train on: it needs train: with a folder or a list of images")
    return splits


def _find_entry(root: Path, bases: Sequence[Path], entry: str) -> Path | None:
    """Return what data.yaml calls `entry`, below `root`: as it stands there; without ../ before it, which Roboflow
    writes and ignores; or by the end of a path that was absolute elsewhere."""
    parts = PurePosixPath(entry.replace("\\", "/")).parts
    starts = range(1, len(parts)) if parts[:1] == ("/",) else [parts.count("..")]
    names = [os.path.expanduser(entry), *(os.path.join(*parts[start:]) for start in starts if parts[start:])]
    paths = (resolve_inside(root, base / name) for name in names for base in bases)
    return next((path for path in paths if path is not None and path.exists()), None)


def _listed_images(root: Path, bases: Sequence[Path], file: Path) -> list[Path]:
    """Return the images that a text file lists, one a line. Raises DataError for one that is not there."""
    folders, images = [file.parent, *bases, root], []
    for line in filter(None, map(str.strip, read_lines(file))):
        if (path := find_file(line, folders, root) or find_file_by_suffix(line, folders, root)) is None:
            raise DataError(f"{file} lists {line}; there is no such image in {root}")
        images.append(path)
    return images


def _label_file(root: Path, image: Path) -> Path:
    """Return where the labels of an image lie: the last folder called images becomes labels."""
    parts = list(image.relative_to(os.path.abspath(root)).parts)
    folders = [number for number, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return Path(os.path.abspath(root), *parts).with_suffix(".txt")


@dataclass(frozen=True)
class _Object:
    """A line of a label file, in pixels. box: left, top, right, bottom; polygon: x1, y1, x2, y2, …, or nothing."""

    label: int
    box: list[float]
    area: float
    polygon: list[float]

    @classmethod
    def from_values(cls, label: int, values: Sequence[float], size: tuple[int, int]) -> _Object:
        """values: as they stand in the file, of an image of (width, height) `size`."""
        points = np.reshape(values, (-1, 2)) * size
        if len(points) == 2:
            center, sides = points
            return cls(label, [*(center - sides / 2), *(center + sides / 2)], float(sides.prod()), [])
        x, y = points.T
        area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
        return cls(label, [*points.min(axis=0), *points.max(axis=0)], area, points.ravel().tolist())


@dataclass(frozen=True)
class _LabelReader:
    """Reads the label files of images, below `root`, whose classes and splits the file `config` names."""

    root: Path
    config: Path
    classes: int
    masks: bool

    def read(self, images: Sequence[Path], tally: Tally) -> tuple[list[ImageAnnotation], list[str]]:
        """Return the images that can be used, with their objects, and why the others cannot."""
        decoded = decode_in_parallel(images, self._annotate, "reading labels")
        for _, part in decoded.values:
            tally.add(part)
        return [annotated for annotated, _ in decoded.values], list(map(str, decoded.errors))

    def _annotate(self, image: Path) -> tuple[ImageAnnotation, Tally]:
        """Raise DataError for an image that cannot be opened, or whose label file is not in the format."""
        size, tally = read_image_size(image), Tally()
        file = _label_file(self.root, image)
        objects = self._parse(file, size, tally) if file.is_file() else []
        masks: list[bytes] = []
        if self.masks:
            objects, masks = _with_masks(file, objects, size, tally)
        boxes = np.reshape([each.box for each in objects], (-1, 4))
        labels, areas = [each.label for each in objects], [each.area for each in objects]
        annotation = Annotation.from_boxes(size, boxes, labels, None, areas, masks)
        tally.count_boxes(boxes, size, len(annotation.labels), file.name)
        return ImageAnnotation(image, annotation), tally

    def _parse(self, file: Path, size: tuple[int, int], tally: Tally) -> list[_Object]:
        lines = [tuple(line.split()) for line in read_lines(file)]
        tally.leave_out(REPEATED, file.name, len(list(filter(None, lines))) - len(set(filter(None, lines))))
        numbered = {fields: number for number, fields in reversed(list(enumerate(lines, 1))) if fields}
        return [
            _Object.from_values(*self._parse_line(f"{file}, line {number}", fields, size), size)
            for fields, number in reversed(numbered.items())
        ]

    def _parse_line(self, entry: str, fields: Sequence[str], size: tuple[int, int]) -> tuple[int, list[float]]:
        """Return the class and the other values of a line. Raises DataError for one that is not in the format."""
        if len(fields) != BOX_FIELDS and (len(fields) < MIN_POLYGON_FIELDS or len(fields) % 2 == 0):
            raise DataError(
                f"{entry} has {counted(len(fields), 'field')}; an object is class x_center y_center width height, or"
                " class and the x and y of 3 or more corners"
            )
        label, *values = map(parse_finite, fields)
        if label is None or label % 1 or not 0 <= label < self.classes:
            raise DataError(
                f"{entry}: the class must be a number from 0 to {self.classes - 1}, of the names in {self.config.name}."
                f" Received: {quote(fields[0])}"
            )
        shares = [share for axis, share in enumerate(values) if _is_share(share, size[axis % 2])]
        if len(shares) < len(values):
            raise DataError(
                f"{entry}: coordinates must be fractions of the image's width and height, 0 to 1. Received:"
                f" {quote(' '.join(fields[1:]))}"
            )
        return int(label), shares


def _is_share(value: float | None, side: int) -> TypeGuard[float]:
    """Return whether `value` is within 0 and 1, or beyond by no more than a pixel of `side`, by rounding."""
    return value is not None and -ROUNDING_PIXELS / side <= value <= 1 + ROUNDING_PIXELS / side


def _with_masks(
    file: Path, objects: Sequence[_Object], size: tuple[int, int], tally: Tally
) -> tuple[list[_Object], list[bytes]]:
    """Return the objects that have a mask, and the masks."""
    kept, masks = [], []
    for each in objects:
        counts, wrong, _ = coco_masks.encode_segmentation([each.polygon], size) if each.polygon else (b"", NO_MASK, 0)
        tally.leave_out(wrong, file.name, bool(wrong))
        if not wrong:
            kept.append(each)
            masks.append(counts)
    return kept, masks
