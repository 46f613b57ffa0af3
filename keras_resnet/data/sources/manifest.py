"""Tables of images: CSV, TSV, Parquet or JSON with a row for each image, or for each of its labels or objects.

Columns are known by their names (see `manifest_columns`): the image's file, relative to the table or the data folder;
one label or several; perhaps the split, and boxes. Hugging Face's `imagefolder` with metadata is one of them
(huggingface.co/docs/datasets/image_dataset). Without a split, a share of the images is held out for validation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as quote
from typing import Any, ClassVar

import numpy as np

from keras_resnet.config.spec import DataSpec
from keras_resnet.config.task_rules import needs_boxes
from keras_resnet.data.annotations import Annotation, ImageAnnotation
from keras_resnet.data.class_names import OneClassError
from keras_resnet.data.dataset import DatasetSplits
from keras_resnet.data.sources.annotation_files import FolderAnnotations, Tally, find_file
from keras_resnet.data.sources.detection_folder import DetectionFolder
from keras_resnet.data.sources.label_sets import LayoutReader, list_label_sets
from keras_resnet.data.sources.listing import FolderLayout, Listing
from keras_resnet.data.sources.manifest_columns import (
    Columns,
    find_columns,
    name_columns,
    parse_labels,
    parse_objects,
    warn_of_unsplit,
)
from keras_resnet.data.sources.manifest_files import TableFiles, find_tables
from keras_resnet.data.sources.manifest_table import Row, Table, read_columns, read_table
from keras_resnet.data.sources.split_names import split_of
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.image import read_image_size

# Endings that a table may leave out of the names of images.
SUFFIXES = ("", ".jpg", ".jpeg", ".png")
# Tables up to so many bytes are read in a moment.
SMALL_BYTES = 2**20
Objects = list[tuple[str, list[float]]]


class Manifest(DetectionFolder):
    """A table of images, or a folder that holds one."""

    layout: ClassVar[str] = "a table of images with labels or boxes (labels.csv, metadata.jsonl, …)"

    def recognizes(self, folder: Path | None, annotations: str) -> bool:
        """Return whether `folder` is a table, or holds tables that can tell `annotations`."""
        if folder is None or (found := find_tables(folder)) is None:
            return False
        if found.is_named or not needs_boxes(annotations):
            return True
        known = [name_columns(read_columns(file)) for _, file in found.files]
        return any(columns is not None and columns.has_boxes for columns in known)

    def require_classes(self, folder: Path | None, annotations: str) -> None:
        """Raise DataError for tables of a single label, unless it takes long to read them."""
        if folder is None or annotations != "labels":
            return
        if sum(file.stat().st_size for _, file in _require_tables(folder).files) <= SMALL_BYTES:
            _find_layout(folder, False, lambda line: None)

    def is_layout(self, root: Path) -> bool:
        """Return whether `root` is, or holds, a table of images."""
        return find_tables(root) is not None

    def open(self, spec: DataSpec, log: Log, only: Collection[str] | None = None) -> DatasetSplits:
        """Read the images that the tables of `spec.source` name, of their splits those in `only` (None: all). Raises
        DataError for tables that cannot be read, lack a column, or contradict themselves."""
        if needs_boxes(spec.annotations):
            return super().open(spec, log, only)
        several = spec.annotations == "label_sets"
        return LayoutReader(lambda root, log: _find_layout(root, several, log)).open(spec, log, only)

    def read_annotations(self, root: Path, masks: bool) -> FolderAnnotations:
        """Read the boxes of all splits. Raises DataError where masks are wanted, or there are no boxes."""
        if masks:
            raise DataError(f"--data {root} is a table, which has boxes of objects and no masks; learn --task detect")
        images = _Images(_require_tables(root))
        tally = Tally()
        objects: dict[Path, Objects] = {}
        for row, columns, file in images.read(tally):
            if not columns.has_boxes:
                raise DataError(
                    f"{row.where.split(',')[0]} has no boxes of objects: it needs columns xmin, ymin, xmax, ymax beside"
                    " the label, or bbox (left, top, width, height)"
                )
            objects.setdefault(file, []).extend(parse_objects(row, columns, images.tables.names))
        classes = _order_classes({label for found in objects.values() for label, _ in found}, images.tables.names)
        listings: dict[str, list[ImageAnnotation]] = {}
        bad: dict[str, list[str]] = {}
        for file, split in images.splits.items():
            try:
                annotated = _annotate(file, objects[file], classes, tally)
            except DataError as error:
                bad.setdefault(split, []).append(str(error))
            else:
                listings.setdefault(split, []).append(annotated)
        if "train" not in listings:
            first = next((f": {each}" for of_split in bad.values() for each in of_split), "")
            raise DataError(f"--data {root} names no image to train on that can be read{first}")
        return FolderAnnotations(classes, listings, tally, bad, set(images.splits))


def _annotate(file: Path, objects: Objects, classes: Sequence[str], tally: Tally) -> ImageAnnotation:
    """Return an image with its objects. Raises DataError where it cannot be opened."""
    size = read_image_size(file)
    boxes = np.reshape([box for _, box in objects], (-1, 4)).astype(float)
    annotation = Annotation.from_boxes(size, boxes, [classes.index(label) for label, _ in objects])
    tally.count_boxes(boxes, size, len(annotation.labels), file.name)
    return ImageAnnotation(file, annotation)


def _require_tables(root: Path) -> TableFiles:
    found = find_tables(root)
    assert found is not None, "recognizes() said so"
    return found


def _find_layout(root: Path, several: bool, log: Log) -> FolderLayout:
    """Return the images of the tables of `root` with one label each, or with `several`."""
    images, tally = _Images(_require_tables(root), several, log), Tally()
    labels: dict[Path, dict[str, str]] = {}
    for row, columns, file in images.read(tally):
        found = parse_labels(row, columns, images.tables.names, several)
        if not several:
            _require_one(row, file, found, labels.get(file, {}))
        labels.setdefault(file, {}).update(dict.fromkeys(found, row.where))
    tally.log_all(log)
    if "train" not in images.splits.values():
        raise DataError(
            f"--data {root} names no image to train on: its splits are {', '.join(images.there) or 'empty'}"
        )
    places = {label: where for of_image in reversed(labels.values()) for label, where in of_image.items()}
    if not images.tables.names and (warning := warn_of_unsplit(places, several)):
        log(warning)
    classes = _order_classes(set(places), images.tables.names)
    numbers = {name: number for number, name in enumerate(classes)}
    by_split: dict[str, list[tuple[Path, list[int]]]] = {}
    for file, split in images.splits.items():
        by_split.setdefault(split, []).append((file, [numbers[label] for label in labels[file]]))
    if several:
        return list_label_sets(by_split, classes, log)
    if len(classes) < 2:
        raise OneClassError(f"--data {root} has one label only ({classes[0]}); a classifier needs 2 or more")
    listings = {
        split: Listing([file for file, _ in entries], [only for _, (only,) in entries])
        for split, entries in by_split.items()
    }
    return FolderLayout(classes, listings, images.unlabeled)


def _require_one(row: Row, file: Path, found: list[str], before: Mapping[str, str]) -> None:
    """Raise DataError for an image without a label, or with two."""
    if not found:
        raise DataError(f"{row.where}: {file.name} has no label; --task multilabel learns from images without one too")
    others = [*before, *found]
    if len(set(others)) > 1:
        raise DataError(
            f"{row.where}: {file.name} has the labels {others[0]!r} and {others[1]!r}; --task multilabel learns several"
            " labels an image"
        )


def _order_classes(found: set[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes in the order of `names`, where these are given; else sorted, numbers by their size."""
    if names:
        return tuple(names)
    if all(label.isdecimal() for label in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))


@dataclass
class _Images:
    """The images that tables name, each with one label or with `several`. splits: by file. unlabeled: splits whose
    tables have no labels, in words."""

    tables: TableFiles
    several: bool = False
    log: Log = lambda message: None
    splits: dict[Path, str] = field(default_factory=dict)
    unlabeled: dict[str, str] = field(default_factory=dict)

    @property
    def there(self) -> list[str]:
        """Return the splits that have images."""
        return list(dict.fromkeys(self.splits.values()))

    def read(self, tally: Tally) -> Iterator[tuple[Row, Columns, Path]]:
        """Yield each row with the columns of its table and its image's file; what is left out is counted."""
        if self.tables.warning:
            self.log(self.tables.warning)
        for of_file, file in self.tables.files:
            table = read_table(file)
            columns = find_columns(table, self.several)
            if not columns.has_labels:
                if of_file == "test":
                    self.unlabeled["test"] = f"{file.name} has no column of labels"
                    continue
                raise DataError(
                    f"{file} has no column of labels, such as label or labels, nor two or more of 0 and 1. Received:"
                    f" {', '.join(table.columns)}"
                )
            self.log(f"{file.name}: {columns.describe()}")
            yield from self._rows(table, columns, of_file, tally)

    def _rows(
        self, table: Table, columns: Columns, of_file: str | None, tally: Tally
    ) -> Iterator[tuple[Row, Columns, Path]]:
        root, folder = self.tables.root, table.file.parent
        folders = [folder, root, *(root / name for name in ("images", "data", of_file or "train"))]
        for row in table.rows:
            name = row.values.get(columns.path)
            if not isinstance(name, str) or not name:
                raise DataError(f"{row.where}: {_describe_image(columns.path, name)}")
            file = self._find(name, folders)
            split = of_file or _split_of_row(row, columns)
            if self.splits.setdefault(file, split) != split:
                raise DataError(f"{row.where}: {name} is in {self.splits[file]} and in {split}; keep it in one split")
            yield row, columns, file

    def _find(self, name: str, folders: Sequence[Path]) -> Path:
        """Return the image's file; where there is none, where it should be: who reads it says that it is not there."""
        if self.tables.is_named and Path(name).is_absolute():
            return Path(name)
        found = (find_file(f"{name}{suffix}", folders, self.tables.root) for suffix in SUFFIXES)
        return next((file for file in found if file is not None), folders[0] / Path(name).name)


def _describe_image(column: str, value: Any) -> str:
    """Say what is wrong with a `value` that names no file: Hugging Face's Parquet files, for one, hold the images."""
    if isinstance(value, (bytes, dict)):
        return f"{column} holds an image itself; save the images as files, and name them in a column such as path"
    return f"{column} must name an image file. Received: {quote(value)}"


def _split_of_row(row: Row, columns: Columns) -> str:
    if not columns.split:
        return "train"
    value = row.values.get(columns.split)
    split = split_of(value) if isinstance(value, str) else None
    if split is None:
        raise DataError(f"{row.where}: {columns.split} must be train, val or test. Received: {value!r}")
    return split
