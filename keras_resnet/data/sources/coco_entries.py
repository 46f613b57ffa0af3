"""Entries of files in COCO's format: their ids, and how messages quote them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Container
from pathlib import Path
from typing import Any

from keras_resnet.data.class_names import is_utf8
from keras_resnet.data.sources.annotation_files import (
    one_line,
    parse_finite,
)
from keras_resnet.errors import DataError
from keras_resnet.runtime.printable import make_printable

Id = int | float | str
# Letters of an entry that a message quotes.
QUOTED_LETTERS = 100


def quote_entry(entry: object) -> str:
    """Return the beginning of an entry, in one line."""
    return make_printable(textwrap.shorten(json.dumps(entry, ensure_ascii=False), QUOTED_LETTERS, placeholder=" …"))


def format_error(file: Path, kind: str, entry: object, why: str) -> DataError:
    """Return the error for an entry that is not as the format has it."""
    return DataError(f"{file} is not in COCO's format in the {kind} {quote_entry(entry)}: {why}")


def parse_id(file: Path, kind: str, entry: object, key: str) -> Id:
    """Return the id of an entry that has to have `key` too. Raises DataError if one is missing or is none."""
    if not isinstance(entry, dict):
        raise format_error(file, kind, entry, "it is no JSON object with an id")
    for each in ("id", key):
        if each not in entry:
            raise format_error(file, kind, entry, f"it has no {each!r}")
    known = entry["id"]
    if not isinstance(known, str) and (isinstance(known, bool) or parse_finite(known) is None):
        raise format_error(file, kind, entry, f"its id is {quote_entry(known)}; an id is a number or a word")
    if not isinstance(entry[key], (str, int, float)) or not one_line(entry[key]):
        empty = entry[key] is None or isinstance(entry[key], str)
        raise format_error(
            file, kind, entry, f"its {key} is {'empty' if empty else quote_entry(entry[key])}; it is text"
        )
    if not is_utf8(str(entry[key])):
        raise format_error(file, kind, entry, f"its {key} holds half a letter; it is text")
    return known


def sort_key(known: Id) -> tuple[bool, Any]:
    """Return what ids are sorted by: numbers first, then words."""
    return isinstance(known, str), known


def match_id(value: object, known: Container[Id]) -> Id | None:
    """Return the id in `known` that an annotation names by `value`: some tools write 1 here and "1" there."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if value in known:
        return value
    other = parse_finite(value) if isinstance(value, str) else str(value)
    return other if other in known else None
