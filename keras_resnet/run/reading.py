"""Read JSON and text of a run folder, and say in one sentence what is wrong where a file is damaged."""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from keras_resnet.run.verdict_documents import DeviceVerdictRow, VerdictRow

T = TypeVar("T")
_create_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
# Characters of a damaged value that are quoted.
MAX_QUOTED = 60


def read_bytes(file: Path) -> bytes:
    """Read an ordinary file: a pipe would be waited for. Raises OSError."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(f"{file.name} is not an ordinary file")
    return file.read_bytes()


def read_text(file: Path) -> str:
    """Read an ordinary file as UTF-8. Raises OSError or ValueError."""
    return read_bytes(file).decode()


def get_adapter(kind: type[T]) -> TypeAdapter[T]:
    """Return what parses values of a type. It is made once: that takes longer than to parse most documents."""
    return _create_adapter(kind)


def parse_json(document_type: type[T], content: bytes) -> T:
    """Parse JSON as a document of `run.documents`. Raises ValueError that says in one sentence where it is none."""
    if not content.strip():
        raise ValueError("it is empty")
    try:
        return get_adapter(document_type).validate_json(content, strict=True)
    except ValidationError as error:
        raise ValueError(format_validation_error(error)) from error


def format_validation_error(error: ValidationError) -> str:
    """Return the first fault that pydantic found in a sentence: where, what, and what was received."""
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    ends = [": " if number == len(location) else "." for number in range(1, len(location) + 1)]
    place = "".join(f"{part}{end}" for part, end in zip(location, ends, strict=True))
    return f"{place}{first['msg'].replace('Input', 'it')}. Received: {shorten(first['input'])}"


def shorten(value: object) -> str:
    """Return what was received, in one line that is not too long."""
    shown = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    text = repr(shown) if not isinstance(shown, (list, dict)) or len(shown) < MAX_QUOTED else type(shown).__name__
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


def parse_log(content: bytes, columns: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of log.jsonl, and why others cannot be read.

    All rows have `columns` and what else the first whole one has, as numbers; epochs and steps are whole.
    """
    rows: list[dict[str, Any]] = []
    troubles = []
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), 1):
        try:
            row: dict[str, Any] = parse_json(dict[str, float], line)
            lacks = [key for key in dict.fromkeys((*columns, *(rows[0] if rows else ()))) if key not in row]
            if lacks:
                raise ValueError(f"it lacks {lacks[0]!r}")
            whole = {key: int(row[key]) for key in ("epoch", "step")}
            if any(value != row[key] or value < 1 for key, value in whole.items()):
                raise ValueError("epoch and step must be whole numbers from 1 on")
            rows.append({**row, **whole})
        except (ValueError, OverflowError) as error:
            troubles.append(f"line {number}: {error}")
    return rows, troubles


def parse_verdicts(content: bytes) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of verdicts.json, those of devices among them, and why others cannot be read. Raises ValueError
    if it is no list."""
    rows, troubles = [], []
    for number, row in enumerate(parse_json(list[Any], content), 1):
        try:
            kind = DeviceVerdictRow if isinstance(row, dict) and "device" in row else VerdictRow
            rows.append(dict(get_adapter(kind).validate_python(row, strict=True)))
        except ValidationError as error:
            troubles.append(f"row {number}: {format_validation_error(error)}")
    return rows, troubles
