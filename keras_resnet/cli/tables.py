"""Tables for people on a terminal, and for programs in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from keras_resnet.runtime.printable import make_printable

# Between two columns of plain text.
GAP = "  "
# What lines take of a table's width: for each column, and once.
LINES, EDGE = 3, 1
Rows = list[list[str]]


def print_table(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Iterable[str]],
    prose: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """A table to standard output.

    In a pipe it is plain text, a row a line. On a terminal cells of `prose` columns, and headings, are folded between
    words; where that is not enough, `spare` columns are left out, from the last one on; where that is not enough, each
    row becomes a few lines. No number is ever cut.
    """
    from rich.console import Console

    console = Console(highlight=False)
    title, names, cells = make_printable(title), list(columns), [[make_printable(cell) for cell in row] for row in rows]
    if not console.is_terminal:
        _print_plain(console, title, names, cells)
        return
    kept = list(range(len(names)))
    for name in (None, *reversed(spare)):
        kept = [place for place in kept if names[place] != name]
        shown, their = [names[place] for place in kept], [[row[place] for place in kept] for row in cells]
        if widths := _fitted(shown, their, prose, console.width):
            _print_grid(console, title, shown, their, widths)
            break
    else:
        _print_records(console, title, names, cells)
        return
    if left := [name for place, name in enumerate(names) if place not in kept]:
        console.print(f"left out for want of width: {', '.join(left)} (| cat shows all)", style="dim")


def _fitted(names: list[str], rows: Rows, prose: Sequence[str], width: int) -> list[int] | None:
    """The width of each column, for a table of `width`; None where there is not room for all."""
    from rich.cells import cell_len

    least, widths = [], []
    for place, name in enumerate(names):
        cells = [row[place] for row in rows]
        unbroken = [word for cell in cells for word in cell.split()] if name in prose else cells
        least.append(max(map(cell_len, [*name.split(), *unbroken]), default=0))
        widths.append(max(map(cell_len, [name, *cells])))
    room = width - LINES * len(names) - EDGE
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max((place for place in range(len(names)) if widths[place] > least[place]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _print_grid(console: Any, title: str, names: list[str], rows: Rows, widths: list[int]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=Text(title) if title else None, title_justify="left", show_header=any(names))
    for name, width in zip(names, widths, strict=True):
        grid.add_column(Text(name), width=width)
    for row in rows:
        grid.add_row(*(Text(cell, _style_of(cell)) for cell in row))
    console.print(grid)


def _style_of(cell: str) -> str:
    """Return the color of a verdict: green for a file with everything proven (see `outcome.describe_outcome`)."""
    from keras_resnet.metrics.outcome import FAILED, PASSED  # imports NumPy, which plain help does without

    if cell.startswith(FAILED):
        return "red"
    return {PASSED: "green"}.get(cell, "yellow" if cell.startswith(f"{PASSED}, ") else "")


def _print_plain(console: Any, title: str, names: list[str], rows: Rows) -> None:
    from rich.cells import cell_len

    lines = [names, *rows] if any(names) else rows
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    padded = [
        GAP.join(cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    _print_lines(console, [*([title] if title else []), *padded])


def _print_records(console: Any, title: str, names: list[str], rows: Rows) -> None:
    """Each row as lines, below what stands in its first column; one that tells nothing else is left out."""
    lines = [title] if title else []
    for row in rows:
        if not any(row[1:]):
            continue
        cells = [f"{name}: {cell}" if name else cell for name, cell in zip(names, row, strict=True)]
        lines += [cells[0], *(GAP + line for line, cell in zip(cells[1:], row[1:], strict=True) if cell)]
    _print_lines(console, lines)


def _print_lines(console: Any, lines: list[str]) -> None:
    console.print("\n".join(lines), markup=False, soft_wrap=True)
