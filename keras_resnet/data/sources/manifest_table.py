"""Tables of images and labels as they lie on disk: CSV, TSV, Parquet, JSON and JSON Lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as quote
from typing import Any

from keras_resnet.errors import DataError
from keras_resnet.runtime.plurals import counted, join_words

# What may stand between the fields of a .csv file, and what each is called.
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True)
class Row:
    """A row of a table. where: file and line, for messages. padded: columns whose cell had spaces around its text."""

    where: str
    values: Mapping[str, Any]
    padded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The rows of a file, and the names of their columns in order. delimiter: what stands between the fields of a file
    of text, "" for other files."""

    file: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    delimiter: str = ""

    @property
    def hint(self) -> str:
        """What to say where no column is known, and the whole first line was taken for one; "" for all else."""
        if not self.delimiter or len(self.columns) > 1:
            return ""
        others = [name for sign, name in DELIMITERS.items() if sign in self.columns[0]]
        if self.file.suffix.lower() == ".tsv" and others:
            return f"; the fields of a .tsv file are separated by tabs, and of this one by {others[0]}: name it .csv"
        return f"; fields must be separated by {join_words([*DELIMITERS.values()], 'or')}"


def is_table(file: Path) -> bool:
    """Return whether a file is a table by its name."""
    return file.suffix.lower() in READERS and file.is_file()


def read_table(file: Path, title: str = "") -> Table:
    """Read all rows of `file`, which messages call `title` [default: its name]. Raises DataError for a file that is no
    table, or that cannot be read."""
    try:
        return READERS[file.suffix.lower()](file, title or file.name)
    except UnicodeError as error:
        raise DataError(f"cannot read {file}: it is not UTF-8 text ({error})") from error
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"cannot read {file}: {why}") from error


def read_columns(file: Path) -> tuple[str, ...]:
    """Return the names of a table's columns; () of a file that is none, which is an error when its rows are read."""
    try:
        if file.suffix.lower() in (".csv", ".tsv"):
            return _read_delimited(file, file.name, rows=False).columns
        if file.suffix.lower() == ".parquet":
            import pyarrow.parquet

            return tuple(pyarrow.parquet.read_schema(file).names)
        return read_table(file).columns
    except (DataError, OSError, ValueError, csv.Error):
        return ()


def _read_delimited(file: Path, title: str, rows: bool = True) -> Table:
    """Read a CSV or TSV file whose first line names the columns; of a .csv file that line tells what is between its
    fields. Raises DataError for a row of another length."""
    with file.open(newline="", encoding="utf-8-sig") as opened:
        first = opened.readline()
        delimiter = "\t" if file.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
        opened.seek(0)
        reader = csv.reader(opened, delimiter=delimiter, strict=True)
        columns = tuple(name.strip() for name in next(reader, []))
        if not any(columns):
            raise DataError(f"{file} is empty: its first line must name the columns, such as path,label")
        if len(set(columns)) < len(columns):
            raise DataError(f"{file}: two columns have the same name. Received: {', '.join(columns)}")
        return Table(file, columns, tuple(_iterate_rows(title, reader, columns)) if rows else (), delimiter)


def _iterate_rows(title: str, reader: Any, columns: tuple[str, ...]) -> Iterator[Row]:
    for fields in reader:
        where = f"{title}, line {reader.line_num}"
        if not any(field.strip() for field in fields):
            continue
        if len(fields) != len(columns):
            named = counted(len(columns), "column")
            raise DataError(f"{where} has {counted(len(fields), 'field')}, and the first line names {named}")
        plain = [field.strip() for field in fields]
        padded = tuple(name for name, field, text in zip(columns, fields, plain, strict=True) if field != text)
        yield Row(where, dict(zip(columns, plain, strict=True)), padded)


def _read_parquet(file: Path, title: str) -> Table:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(file)
    rows = (Row(f"{title}, row {number}", values) for number, values in enumerate(table.to_pylist(), 1))
    return Table(file, tuple(table.column_names), tuple(rows))


def _read_json(file: Path, title: str) -> Table:
    """Read a list of objects, or one object that maps images to labels."""
    document = json.loads(file.read_text(encoding="utf-8-sig"))
    if isinstance(document, dict) and all(map(_is_labels, document.values())):
        rows = [{"path": path, "labels": labels} for path, labels in document.items()]
        return _of_objects(file, title, dict(enumerate(rows, 1)), "entry")
    if not isinstance(document, list):
        raise DataError(f"{file} must be a list of objects with a path and labels, or map each path to its labels")
    return _of_objects(file, title, dict(enumerate(document, 1)), "entry")


def _is_labels(value: Any) -> bool:
    """Return whether a value may be the label of an image, or several: no part of another format."""
    return not any(isinstance(each, (dict, list)) for each in (value if isinstance(value, list) else [value]))


def _read_json_lines(file: Path, title: str) -> Table:
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    entries = {number: _parse_line(title, number, line) for number, line in enumerate(lines, 1) if line.strip()}
    return _of_objects(file, title, entries, "line")


def _parse_line(title: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{title}, line {number} must be a JSON object. Received: {quote(line)}") from error


def _of_objects(file: Path, title: str, entries: Mapping[int, Any], kind: str) -> Table:
    for number, entry in entries.items():
        if not isinstance(entry, dict):
            raise DataError(f"{title}, {kind} {number} must be an object with a path and labels")
    columns = dict.fromkeys(name for entry in entries.values() for name in entry)
    rows = (Row(f"{title}, {kind} {number}", entry) for number, entry in entries.items())
    return Table(file, tuple(columns), tuple(rows))


READERS: dict[str, Callable[[Path, str], Table]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".parquet": _read_parquet,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}
