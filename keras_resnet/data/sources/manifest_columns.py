"""What the columns of a table of images mean, by their names, and what a cell with labels or boxes holds."""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as quote
from typing import Any

from keras_resnet.data.sources.annotation_files import one_line, parse_finite, parse_flag
from keras_resnet.data.sources.manifest_table import Row, Table
from keras_resnet.errors import DataError
from keras_resnet.runtime.plurals import counted

# Names of columns in small letters, without spaces, - and _; the likeliest first.
PATHS = ("path", "file", "filename", "filepath", "image", "imagepath", "imagename", "imagefile", "img", "imgpath")
LABELS = ("label", "labels", "class", "classname", "category", "categories", "tag", "tags", "target")
SPLITS = ("split", "subset", "set", "partition", "usage")
CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
BOXES, OBJECTS = ("bbox", "box", "boundingbox"), ("objects",)
# What may stand between the labels of a cell; the first of them that a column holds does.
SEPARATORS = ("|", ";", ",")


@dataclass(frozen=True)
class Columns:
    """The columns of a table by what they mean; "" or () for what it has not. flags: a column for each label, which is
    1 where an image has it. corners: left, top, right, bottom in pixels; box: left, top, width, height, as COCO has
    them; objects: of each image all boxes and labels, as Hugging Face writes them. separator: between labels."""

    path: str
    label: str = ""
    split: str = ""
    flags: tuple[str, ...] = ()
    corners: tuple[str, ...] = ()
    box: str = ""
    objects: str = ""
    separator: str = ""

    @property
    def has_boxes(self) -> bool:
        """Return whether the table tells where objects are."""
        return bool(self.objects or (self.label and (self.corners or self.box)))

    @property
    def has_labels(self) -> bool:
        """Return whether the table tells what images show."""
        return bool(self.label or self.flags or self.objects)

    def describe(self) -> str:
        """Return in words which columns are read."""
        parts = [f"images in column {self.path!r}"]
        between = f", separated by {self.separator}" if self.separator else ""
        parts += [f"labels in {self.label!r}{between}"] if self.label else []
        parts += [f"{counted(len(self.flags), 'column')} of 0 and 1 as labels"] if self.flags else []
        parts += [f"objects in {self.objects!r}"] if self.objects else []
        parts += [f"splits in {self.split!r}"] if self.split else []
        return ", ".join(parts)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.casefold())


def name_columns(columns: Sequence[str]) -> Columns | None:
    """Return what `columns` mean by their names alone; None where none names image files."""
    known = {_plain(name): name for name in reversed(columns)}
    path, label, split, box, objects = (
        next((known[name] for name in names if name in known), "") for names in (PATHS, LABELS, SPLITS, BOXES, OBJECTS)
    )
    corners = next(
        (tuple(known[each] for each in names) for names in CORNERS if all(each in known for each in names)), ()
    )
    return Columns(path, label, split, (), corners, box, objects) if path else None


def find_columns(table: Table, several: bool = False) -> Columns:
    """Return what the columns of `table` mean; where none has labels by its name, all columns of 0 and 1 are labels.
    several: whether a cell may hold several labels, with a separator. Raises DataError where none names image files, or
    a column of 0 and 1 holds something else."""
    found = name_columns(table.columns)
    if found is None:
        raise DataError(
            f"{table.file} has no column of image files, such as path or file_name. Received:"
            f" {', '.join(map(quote, table.columns)) or 'no columns'}{table.hint}"
        )
    if not found.label and not found.objects:
        others = [name for name in table.columns if name not in (found.path, found.split, *found.corners, found.box)]
        flags = tuple(name for name in others if _is_flag_column(table, name))
        for name in flags if len(flags) > 1 else ():
            _require_flags(table, name)
        return Columns(found.path, split=found.split, flags=flags if len(flags) > 1 else ())
    texts = [value for row in table.rows if isinstance(value := row.values.get(found.label), str)]
    plain = [text for text in texts if not text.startswith("[")]
    separator = next((each for each in SEPARATORS if any(each in text for text in plain)), "") if several else ""
    return Columns(found.path, found.label, found.split, (), found.corners, found.box, found.objects, separator)


def _is_flag(value: Any) -> bool:
    return value not in (None, "") and parse_flag(value) is not None


def _is_flag_column(table: Table, name: str) -> bool:
    """Return whether a column is of 0 and 1 in more than half of the rows: a few others are mistakes."""
    return 2 * sum(_is_flag(row.values.get(name)) for row in table.rows) > len(table.rows)


def _require_flags(table: Table, name: str) -> None:
    """Raise DataError for the first row of a column of 0 and 1 that has something else in it."""
    for row in table.rows:
        if not _is_flag(value := row.values.get(name)):
            raise DataError(
                f"{row.where}: {name} must be 0 or 1, as in most rows. Received: {quote(value)}. Each column of 0 and 1"
                " is a label: remove the column if it is none"
            )


def parse_labels(row: Row, columns: Columns, names: Sequence[str], several: bool) -> list[str]:
    """Return the labels of a row, of which there are `several` or one; none of an empty cell. names: what numbers mean.
    Raises DataError for what is no label."""
    if columns.flags:
        return [name for name in columns.flags if parse_flag(row.values.get(name))]
    if columns.objects:
        return [label for label, _ in parse_objects(row, columns, names)]
    value = _parse_list(row, row.values.get(columns.label))
    if isinstance(value, str) and several and columns.separator:
        value = value.split(columns.separator)
    if not isinstance(value, list):
        value = [value]
    return [label for each in value if (label := _parse_label(row, each, names))]


def warn_of_unsplit(places: Mapping[str, str], several: bool) -> str:
    """Return a warning of the first label that looks like several, "" where none does. places: where each label first
    stands. A comma is within many a name, so it counts where what it separates is a label elsewhere."""
    for label, place in places.items():
        for separator in SEPARATORS:
            parts = [part.strip() for part in label.split(separator)]
            if len(parts) > 1 and (separator != "," or any(part in places for part in parts)):
                if several:
                    return (
                        f"warning: {place}: {label!r} is learned as one label; labels of one column are separated by"
                        f" the first of {' '.join(SEPARATORS)} that is in it"
                    )
                return (
                    f"warning: {place}: {label!r} is learned as one class; if it means several labels, use --task"
                    " multilabel"
                )
    return ""


def _parse_list(row: Row, value: Any) -> Any:
    """Return the list that a cell of text such as ["a", "b"] holds; anything else as it is."""
    if not isinstance(value, str) or not value.startswith("["):
        return value
    for parse in (json.loads, ast.literal_eval):
        try:
            parsed = parse(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(parsed, list):
            return parsed
    raise DataError(f'{row.where}: a list of labels must be as ["a", "b"]. Received: {quote(value)}')


def _parse_label(row: Row, value: Any, names: Sequence[str]) -> str:
    """Return a label, "" for nothing; a whole number is that of one of `names`, if there are such."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DataError(f"{row.where}: a label must be text or a number. Received: {quote(value)}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    label = unicodedata.normalize("NFC", one_line(value))
    if not label or not names or label in names:
        return label
    if label.isdecimal() and int(label) < len(names):
        return names[int(label)]
    raise DataError(
        f"{row.where}: a label must be one of data.yaml's names, or the number of one of them, 0 to {len(names) - 1}."
        f" Received: {quote(value)}"
    )


def parse_objects(row: Row, columns: Columns, names: Sequence[str]) -> list[tuple[str, list[float]]]:
    """Return (label, [left, top, right, bottom] in pixels) of the objects of a row; none where it has no label and no
    box. Raises DataError for what is no box."""
    if columns.objects:
        return [
            (label, _corners(row, box)) for label, box in _list_objects(row, row.values.get(columns.objects), names)
        ]
    cells = [row.values.get(name) for name in columns.corners] if columns.corners else [row.values.get(columns.box)]
    label = _parse_label(row, row.values.get(columns.label), names)
    if not label and all(cell in (None, "") for cell in cells):
        return []
    if not label:
        raise DataError(f"{row.where} has a box and no label")
    if not columns.corners:
        return [(label, _corners(row, _parse_list(row, cells[0])))]
    numbers = [parse_finite(cell) for cell in cells]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        raise DataError(f"{row.where}: {', '.join(columns.corners)} must be numbers. Received: {quote(cells)}")
    return [(label, known)]


def _corners(row: Row, box: Any) -> list[float]:
    numbers = [parse_finite(each) for each in box] if isinstance(box, list) and len(box) == 4 else []
    known = [number for number in numbers if number is not None]
    if len(known) != 4:
        raise DataError(f"{row.where}: a box must be left, top, width, height in pixels. Received: {quote(box)}")
    left, top, width, height = known
    return [left, top, left + width, top + height]


def _list_objects(row: Row, value: Any, names: Sequence[str]) -> list[tuple[str, Any]]:
    """Return (label, box) of Hugging Face's objects: {"bbox": […], "categories": […]}, or a list of such of one
    each."""
    if value in (None, "", []):
        return []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{row.where}: objects must be JSON. Received: {quote(value)}") from error
    if isinstance(value, dict):
        boxes, labels = (_pick(value, names) for names in (("bbox", "bboxes"), LABELS))
        if not isinstance(boxes, list) or not isinstance(labels, list) or len(boxes) != len(labels):
            raise DataError(f"{row.where}: objects must have a list of bbox and one of categories, of the same length")
        value = [{"bbox": box, "category": label} for box, label in zip(boxes, labels, strict=True)]
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise DataError(f"{row.where}: objects must have bbox and categories. Received: {quote(value)}")
    pairs = [(_parse_label(row, _pick(each, LABELS), names), _pick(each, ("bbox",))) for each in value]
    if not all(label for label, _ in pairs):
        raise DataError(f"{row.where} has an object without a category")
    return pairs


def _pick(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((values[name] for name in names if name in values), None)
