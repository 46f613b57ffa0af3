"""What people see in the terminal: messages and progress to standard error, results to standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def say(message: str) -> None:
    """One line to standard error."""
    print(message, file=sys.stderr, flush=True)


def emit_json(document: Any) -> None:
    """One JSON document to standard output."""
    print(json.dumps(document, indent=2))


def emit_json_line(document: Any) -> None:
    """One JSON document on one line of standard output."""
    print(json.dumps(document))


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """A table to standard output; wide enough for its content when piped."""
    from rich.console import Console
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=160)
    grid = Table(title=title, title_justify="left")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console.print(grid)


@contextmanager
def progress(total: int, unit: str) -> Iterator[Any]:
    """Yields `advance(steps, description)`: a bar on a terminal with rate and time left, silent when piped."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total)

        def advance(steps: int, description: str) -> None:
            bar.update(task, advance=steps, description=description)

        yield advance
