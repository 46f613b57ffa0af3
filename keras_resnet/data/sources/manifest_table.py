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
from keras_resnet.runtime.plurals import counted

# What may stand between the fields of a .csv file.
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Row:
    """A row of a table. where: file and line, for messages."""

    where: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """The rows of a file, and the names of their columns in order."""

    file: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def is_table(file: Path) -> bool:
    """Return whether a file is a table by its name."""
    return file.suffix.lower() in READERS and file.is_file()


def read_table(file: Path) -> Table:
    """Read all rows of `file`. Raises DataError for a file that is no table, or that cannot be read."""
    try:
        return READERS[file.suffix.lower()](file)
    except UnicodeError as error:
        raise DataError(f"cannot read {file}: it is not UTF-8 text ({error})") from error
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"cannot read {file}: {why}") from error


def read_columns(file: Path) -> tuple[str, ...]:
    """Return the names of a table's columns; () of a file that is none, which is an error when its rows are read."""
    try:
        if file.suffix.lower() in (".csv", ".tsv"):
            return _read_delimited(file, rows=False).columns
        if file.suffix.lower() == ".parquet":
            import pyarrow.parquet

            return tuple(pyarrow.parquet.read_schema(file).names)
        return read_table(file).columns
    except (DataError, OSError, ValueError, csv.Error):
        return ()


def _read_delimited(file: Path, rows: bool = True) -> Table:
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
        return Table(file, columns, tuple(_iterate_rows(file, reader, columns)) if rows else ())


def _iterate_rows(file: Path, reader: Any, columns: tuple[str, ...]) -> Iterator[Row]:
    for fields in reader:
        where = f"{file.name}, line {reader.line_num}"
        if not any(field.strip() for field in fields):
            continue
        if len(fields) != len(columns):
            named = counted(len(columns), "column")
            raise DataError(f"{where} has {counted(len(fields), 'field')}, and the first line names {named}")
        yield Row(where, dict(zip(columns, map(str.strip, fields), strict=True)))


def _read_parquet(file: Path) -> Table:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(file)
    rows = (Row(f"{file.name}, row {number}", values) for number, values in enumerate(table.to_pylist(), 1))
    return Table(file, tuple(table.column_names), tuple(rows))


def _read_json(file: Path) -> Table:
    """Read a list of objects, or one object that maps images to labels."""
    document = json.loads(file.read_text(encoding="utf-8-sig"))
    if isinstance(document, dict) and all(map(_is_labels, document.values())):
        rows = [{"path": path, "labels": labels} for path, labels in document.items()]
        return _of_objects(file, rows, "entry")
    if not isinstance(document, list):
        raise DataError(f"{file} must be a list of objects with a path and labels, or map each path to its labels")
    return _of_objects(file, document, "entry")


def _is_labels(value: Any) -> bool:
    """Return whether a value may be the label of an image, or several: no part of another format."""
    return not any(isinstance(each, (dict, list)) for each in (value if isinstance(value, list) else [value]))


def _read_json_lines(file: Path) -> Table:
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    entries = [_parse_line(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return _of_objects(file, entries, "line")


def _parse_line(file: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file.name}, line {number} must be a JSON object. Received: {quote(line)}") from error


def _of_objects(file: Path, entries: list[Any], kind: str) -> Table:
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise DataError(f"{file.name}, {kind} {number} must be an object with a path and labels")
    columns = dict.fromkeys(name for entry in entries for name in entry)
    rows = (Row(f"{file.name}, {kind} {number}", entry) for number, entry in enumerate(entries, 1))
    return Table(file, tuple(columns), tuple(rows))


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".parquet": _read_parquet,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}
