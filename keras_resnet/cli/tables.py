"""Tables for people on a terminal, and for programs in a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from keras_resnet.progress import find_width, fold_to
from keras_resnet.runtime.printable import make_printable

# Between two columns of plain text.
GAP = "  "
Rows = list[list[str]]
# Cells that are read from the right: counts, shares, sizes, times.
NUMBER = re.compile(r"[-+]?[\d.,]+( ?(%|[A-Za-z]{1,3}))?$")


def print_table(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Iterable[str]],
    prose: Sequence[str] = (),
    spare: Sequence[str | Sequence[str]] = (),
    folds: bool = False,
) -> None:
    """A table to standard output.

    In a pipe it is plain text, a row a line, unless it `folds` there as on a terminal of 80 columns, for a table of
    which no program reads lines. On a terminal cells of `prose` columns, and headings, are folded between
    words; where that is not enough, `spare` columns are left out, from the last one on, several together where
    they are listed together; where that is not enough, each row becomes a few lines. No number is ever cut.
    """
    from rich.console import Console

    console = Console(highlight=False)
    title, names, cells = make_printable(title), list(columns), [[make_printable(cell) for cell in row] for row in rows]
    if folds:
        console.width = find_width(sys.stdout)
    elif not console.is_terminal:
        _print_plain(console, title, names, cells)
        return
    kept = list(range(len(names)))
    for left_out in ((), *reversed(spare)):
        kept = [place for place in kept if names[place] not in ([left_out] if isinstance(left_out, str) else left_out)]
        shown, their = [names[place] for place in kept], [[row[place] for place in kept] for row in cells]
        if widths := _fitted(shown, their, prose, console.width):
            _print_grid(console, title, shown, their, widths)
            break
    else:
        _print_records(console, title, names, cells)
        return
    if left := [name for place, name in enumerate(names) if place not in kept]:
        console.print(f"hidden because the terminal is narrow: {', '.join(left)} (| cat shows all)", style="dim")


def _fitted(names: list[str], rows: Rows, prose: Sequence[str], width: int) -> list[int] | None:
    """The width of each column, for a table of `width`; None where there is not room for all. Headings are folded
    first, then the widest prose."""
    from rich.cells import cell_len

    least: list[int] = []
    folded: list[int] = []
    whole: list[int] = []
    for place, name in enumerate(names):
        cells, words = [row[place] for row in rows], name.split()
        unbroken = [word for cell in cells for word in cell.split()] if name in prose else cells
        for widths, kept in ((least, [*words, *unbroken]), (folded, [*words, *cells]), (whole, [name, *cells])):
            widths.append(max(map(cell_len, kept), default=0))
    room = width - len(GAP) * (len(names) - 1)
    if sum(least) > room:
        return None
    widths = whole if sum(whole) <= room else folded
    while sum(widths) > room:
        widest = max((place for place in range(len(names)) if widths[place] > least[place]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _print_grid(console: Any, title: str, names: list[str], rows: Rows, widths: list[int]) -> None:
    """Columns below underlined headings, numbers to the right; an empty line after a row of more than two lines."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    grid.show_header = any(names)
    for place, (name, width) in enumerate(zip(names, widths, strict=True)):
        cells = [row[place] for row in rows if row[place]]
        is_numeric = bool(cells) and all(NUMBER.match(cell) for cell in cells)
        grid.add_column(Text(name), width=width, justify="right" if is_numeric else "left")
    for row in rows:
        is_long = any(cell_len(cell) > 2 * width for cell, width in zip(row, widths, strict=True))
        grid.add_row(*(Text(cell, _style_of(cell)) for cell in row), end_section=is_long)
    if title:
        console.print(title, style="bold", markup=False)
    if console.is_terminal:
        console.print(grid)
        return
    with console.capture() as captured:
        console.print(grid)
    _print_lines(console, [line.rstrip() for line in captured.get().splitlines()])


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
        lines.append(fold_to(cells[0], console.width))
        lines += [
            fold_to(GAP + line, console.width, 2 * GAP) for line, cell in zip(cells[1:], row[1:], strict=True) if cell
        ]
    _print_lines(console, lines)


def _print_lines(console: Any, lines: list[str]) -> None:
    console.print("\n".join(lines), markup=False, soft_wrap=True)
