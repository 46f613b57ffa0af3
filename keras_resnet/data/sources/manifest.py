"""Tables of images: CSV, TSV, Parquet or JSON with a row for each image, or for each of its labels or objects.

Columns are known by their names (see `manifest_columns`): the image's file, relative to the table or the data folder;
one label or several; perhaps the split, and boxes. Hugging Face's `imagefolder` with metadata is one of them
(huggingface.co/docs/datasets/image_dataset). Without a split, a share of the images is held out for validation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from keras_resnet.config.spec import DataSpec
from keras_resnet.config.task_rules import needs_boxes
from keras_resnet.data.annotations import Annotation, ImageAnnotation
from keras_resnet.data.class_names import OneClassError
from keras_resnet.data.dataset import TRAINING_SPLITS, DatasetSplits, check_unreadable
from keras_resnet.data.sources.annotation_files import FolderAnnotations, Tally
from keras_resnet.data.sources.detection_folder import DetectionFolder
from keras_resnet.data.sources.label_sets import LayoutReader, list_label_sets
from keras_resnet.data.sources.listing import FolderLayout, Listing
from keras_resnet.data.sources.manifest_columns import (
    name_columns,
    parse_labels,
    parse_objects,
    warn_of_unsplit,
)
from keras_resnet.data.sources.manifest_files import TableFiles, find_tables
from keras_resnet.data.sources.manifest_images import REPEATED, ImageRow, TableImages
from keras_resnet.data.sources.manifest_table import read_columns
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.image import read_image_size

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

    def require_classes(self, folder: Path | None, spec: DataSpec) -> None:
        """Raise DataError for tables of a single label, or of too many files that are not there, unless it takes long
        to read them."""
        if folder is None or spec.annotations != "labels":
            return
        if sum(file.stat().st_size for _, file in _require_tables(folder).files) <= SMALL_BYTES:
            layout = _find_layout(folder, False, lambda line: None)
            named = [file for name, each in layout.listings.items() if name in TRAINING_SPLITS for file in each.files]
            bad = [layout.missing[file] for file in named if file in layout.missing]
            check_unreadable(bad, len(named), spec.max_unreadable, lambda line: None)

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
        images = TableImages(_require_tables(root))
        tally = Tally()
        objects: dict[Path, Objects] = {}
        named: dict[Path, str] = {}
        for each in images.read(tally):
            if not each.columns.has_boxes:
                raise DataError(
                    f"{each.row.where.split(',')[0]} has no boxes of objects: it needs columns xmin, ymin, xmax, ymax"
                    " beside the label, or bbox (left, top, width, height)"
                )
            found, of_image = parse_objects(each.row, each.columns, images.tables.names), objects.get(each.file)
            if of_image is not None and all(one in of_image for one in found):
                tally.leave_out(REPEATED, str(each))
                continue
            objects.setdefault(each.file, []).extend(found)
            named.setdefault(each.file, str(each))
        classes = _order_classes({label for found in objects.values() for label, _ in found}, images.tables.names)
        numbers = {label: number for number, label in enumerate(classes)}
        listings: dict[str, list[ImageAnnotation]] = {}
        bad: dict[str, list[str]] = {}
        for file, split in images.splits.items():
            try:
                if file in images.missing:
                    raise DataError(images.missing[file])
                annotated = _annotate(file, objects[file], numbers, tally, named[file])
            except DataError as error:
                bad.setdefault(split, []).append(str(error))
            else:
                listings.setdefault(split, []).append(annotated)
        if "train" not in listings:
            first = next((f": {each}" for of_split in bad.values() for each in of_split), "")
            raise DataError(f"--data {root} names no image to train on that can be read{first}")
        return FolderAnnotations(classes, listings, tally, bad, set(images.splits) - set(images.missing))


def _annotate(file: Path, objects: Objects, numbers: Mapping[str, int], tally: Tally, where: str) -> ImageAnnotation:
    """Return an image with its objects. numbers: of the labels. where: it stands in the table. Raises DataError where
    it cannot be opened."""
    size = read_image_size(file)
    boxes = np.reshape([box for _, box in objects], (-1, 4)).astype(float)
    annotation = Annotation.from_boxes(size, boxes, [numbers[label] for label, _ in objects])
    tally.count_boxes(boxes, size, len(annotation.labels), where)
    return ImageAnnotation(file, annotation)


def _require_tables(root: Path) -> TableFiles:
    found = find_tables(root)
    assert found is not None, "recognizes() said so"
    return found


def _find_layout(root: Path, several: bool, log: Log) -> FolderLayout:
    """Return the images of the tables of `root` with one label each, or with `several`."""
    images, tally = TableImages(_require_tables(root), several, log), Tally()
    labels: dict[Path, dict[str, str]] = {}
    for each in images.read(tally):
        found, before = parse_labels(each.row, each.columns, images.tables.names, several), labels.get(each.file)
        if not several:
            _require_one(each, found, before or {})
        # Rows of boxes with the same label are of several objects.
        if before is not None and set(found) <= set(before) and not each.columns.has_boxes:
            tally.leave_out(REPEATED, str(each))
            continue
        of_image = labels.setdefault(each.file, {})
        of_image |= {label: each.row.where for label in found if label not in of_image}
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
        return replace(list_label_sets(by_split, classes, log), missing=images.missing)
    if len(classes) < 2:
        raise OneClassError(f"--data {root} has one label only ({classes[0]}); a classifier needs 2 or more")
    listings = {
        split: Listing([file for file, _ in entries], [only for _, (only,) in entries])
        for split, entries in by_split.items()
    }
    return FolderLayout(classes, listings, images.unlabeled, images.missing)


def _require_one(each: ImageRow, found: list[str], before: Mapping[str, str]) -> None:
    """Raise DataError for an image without a label, or with two. before: its labels, and where they stand."""
    if not found:
        raise DataError(f"{each} has no label; --task multilabel learns from images without one too")
    others = {**before} | dict.fromkeys((label for label in found if label not in before), "")
    if len(others) > 1:
        (one, where), (other, _) = list(others.items())[:2]
        raise DataError(
            f"{each} has the labels {one!r}{f' ({where})' if where else ''} and {other!r}; --task multilabel learns"
            " several labels an image"
        )


def _order_classes(found: set[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes in the order of `names`, where these are given; else sorted, numbers by their size."""
    if names:
        return tuple(names)
    if all(label.isdecimal() for label in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))
