"""What a benchmark measured, as data: tables that it prints, and writes as JSON for all.py.

Other Pythons run some of the benchmarks, too, so importing this needs the standard library alone.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

Cell = str | int | float | None
# What the environments of users differ in is written as all of them can read it.
PLACES = {"--torch-python": "PYTHON", "--ort": "FOLDER", "--before": "PYTHON"}
# How results leave a benchmark is no part of what was measured.
OUTPUT_OPTIONS = ("--json", "--figures")


class Column(NamedTuple):
    """A column: its heading, and the format of its numbers, by default as Python prints them, in groups of three."""

    name: str
    format: str = ","


@dataclass(frozen=True)
class Table:
    """A table of results.

    name: by which pages refer to it. title: what was measured, for the line above it. columns: the first one names the
    rows. packages: the packages of PyPI whose versions belong to the numbers. note: how the numbers were chosen, such
    as "Best of 3 rounds, interleaved." command: what measured it, as it is typed in a clone. rounds: None where all was
    measured once.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    packages: Sequence[str] = ()
    note: str = ""
    rounds: int | None = None
    command: str = field(default_factory=lambda: typed_command(sys.argv))

    def __post_init__(self) -> None:
        """Check that each row has a cell for each column. Raises ValueError."""
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.name}: a row has not {len(self.columns)} cells, one for each column")

    def texts(self) -> list[list[str]]:
        """Return all cells as they are shown."""
        return [
            [format_cell(cell, column) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows
        ]

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Table:
        """Return the table that `dataclasses.asdict` made `document` of, and JSON after it."""
        columns = [Column(*column) for column in document["columns"]]
        return cls(**{**document, "columns": columns})


def format_cell(cell: Cell, column: Column) -> str:
    """Return the text of a cell: a number in the format of its column, nothing for None."""
    if cell is None or isinstance(cell, str):
        return cell or ""
    return format(cell, column.format)


def typed_command(arguments: Sequence[str]) -> str:
    """Return the command line `arguments` as it is typed in a clone, with placeholders for places of this machine."""
    words, rest = [f"benchmarks/{Path(arguments[0]).name}"], iter(arguments[1:])
    for word in rest:
        if word in OUTPUT_OPTIONS:
            next(rest, None)
        elif word in PLACES:
            next(rest, None)
            words += [word, PLACES[word]]
        else:
            words.append(word)
    return f"python {shlex.join(words)}"


def describe_rounds(rounds: int) -> str:
    """Return how the numbers of a table come from as many rounds."""
    return f"Best of {rounds} rounds, interleaved." if rounds > 1 else "One round."


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark write its tables for all.py."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables to FILE, too")


def publish(tables: Sequence[Table], file: Path | None) -> None:
    """Print `tables`, and write them to `file` if there is one."""
    from keras_resnet.cli import console

    for table in tables:
        console.print_table(table.title, [column.name for column in table.columns], table.texts())
        if table.note:
            console.emit(table.note)
    if file:
        file.write_text(json.dumps([asdict(table) for table in tables], ensure_ascii=False, indent=1), encoding="utf-8")
