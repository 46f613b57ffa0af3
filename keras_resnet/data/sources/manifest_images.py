"""The images that tables name: each found in the table's folder, or why it is not, and in which split."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as quote
from typing import Any

from keras_resnet.data.sources.annotation_files import Tally, find_file, is_file, name_folder, resolve_inside
from keras_resnet.data.sources.manifest_columns import Columns, find_columns
from keras_resnet.data.sources.manifest_files import TableFiles
from keras_resnet.data.sources.manifest_table import DELIMITERS, Row, Table, read_table
from keras_resnet.data.sources.split_names import split_of
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.plurals import join_words

# Endings that a table may leave out of the names of images.
SUFFIXES = ("", ".jpg", ".jpeg", ".png")
PADDED = "{label|labels} with spaces around {it|them}, read without"
REPEATED = "{row that repeats|rows that repeat} an earlier one of the same image"


@dataclass(frozen=True)
class ImageRow:
    """A row of a table: the columns of that, the image's file, and its name as the row has it."""

    row: Row
    columns: Columns
    file: Path
    name: str

    def __str__(self) -> str:
        """Return where the image is named: "labels.csv, line 3: cats/1.jpg"."""
        return f"{self.row.where}: {self.name}"


@dataclass
class TableImages:
    """The images that tables name, each with one label or with `several`. splits: by file. missing: files that are not
    there, or may not be read → why. unlabeled: splits whose tables have no labels, in words."""

    tables: TableFiles
    several: bool = False
    log: Log = lambda message: None
    splits: dict[Path, str] = field(default_factory=dict)
    missing: dict[Path, str] = field(default_factory=dict)
    unlabeled: dict[str, str] = field(default_factory=dict)

    @property
    def there(self) -> list[str]:
        """Return the splits that have images."""
        return list(dict.fromkeys(self.splits.values()))

    def read(self, tally: Tally) -> Iterator[ImageRow]:
        """Yield each row; what is worth knowing of it is counted."""
        if self.tables.warning:
            self.log(self.tables.warning)
        for of_file, file in self.tables.files:
            title = file.relative_to(self.tables.root) if file.is_relative_to(self.tables.root) else file.name
            table = read_table(file, str(title))
            columns = find_columns(table, self.several)
            if not columns.has_labels:
                if of_file == "test":
                    self.unlabeled["test"] = f"{title} has no column of labels"
                    continue
                raise DataError(
                    f"{file} has no column of labels, such as label or labels, nor two or more of 0 and 1. Received:"
                    f" {', '.join(table.columns)}"
                )
            self.log(f"{title}: {columns.describe()}{_describe_delimiter(table)}")
            yield from self._rows(table, columns, of_file, tally)

    def _rows(self, table: Table, columns: Columns, of_file: str | None, tally: Tally) -> Iterator[ImageRow]:
        root, folder = self.tables.root, table.file.parent
        folders = [folder, root, *(root / name for name in ("images", "data", of_file or "train"))]
        folders = [each for each in dict.fromkeys(folders) if each.is_dir()]
        for row in table.rows:
            name = row.values.get(columns.path)
            if not isinstance(name, str) or not name:
                raise DataError(f"{row.where}: {_describe_image(columns.path, name)}")
            file = self._find(name, folders)
            if file is None:
                file = Path(os.path.normpath(folder / name))
                self.missing.setdefault(file, f"{row.where}: {self._describe_missing(name, folders)}")
            split = of_file or _split_of_row(row, columns)
            if self.splits.setdefault(file, split) != split:
                raise DataError(f"{row.where}: {name} is in {self.splits[file]} and in {split}; keep it in one split")
            if _has_padded_label(row, columns):
                tally.note(PADDED, f"{row.where}: {row.values[columns.label].strip()!r}")
            yield ImageRow(row, columns, file, name)

    def _find(self, name: str, folders: Sequence[Path]) -> Path | None:
        """Return the image's file, None where there is none."""
        if self.tables.is_named and os.path.isabs(name):
            return next((path for suffix in SUFFIXES if is_file(path := Path(f"{name}{suffix}"))), None)
        found = (find_file(f"{name}{suffix}", folders, self.tables.root) for suffix in SUFFIXES)
        return next((file for file in found if file is not None), None)

    def _describe_missing(self, name: str, folders: Sequence[Path]) -> str:
        """Return why the image called `name` is not used, which is in none of the `folders`, the table's the first."""
        root = self.tables.root
        if os.path.isabs(name) and self.tables.is_named:
            return f"{name}: no such file"
        if resolve_inside(root, folders[0] / name) is None:
            named = "" if self.tables.is_named else ", in a table that --data names"
            return (
                f"{name} is outside {root}, the folder of the table; images elsewhere can only be given as absolute"
                f" paths{named}"
            )
        return f"{name}: no such file in {join_words([name_folder(each) for each in folders], 'or')}"


def _describe_delimiter(table: Table) -> str:
    """Return what separates the fields of a .csv file, where it is not a comma."""
    is_usual = table.delimiter in ("", ",") or table.file.suffix.lower() == ".tsv"
    return "" if is_usual else f", fields separated by {DELIMITERS[table.delimiter]}"


def _has_padded_label(row: Row, columns: Columns) -> bool:
    """Return whether the cell with the label, or labels, has spaces around its text."""
    value = row.values.get(columns.label)
    is_padded = columns.label in row.padded or (isinstance(value, str) and value != value.strip())
    return bool(columns.label) and is_padded


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
