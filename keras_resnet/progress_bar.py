"""Show progress on a terminal, by rich."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from keras_resnet.progress import Advance, Pace
from keras_resnet.runtime.printable import make_printable

BAR_COLUMNS = 16
# All that is under way, one line each, while something is.
_display: Any = None


@contextmanager
def show_bar(total: int | None, words: str, unit: str) -> Iterator[Advance]:
    """Show progress (see `progress.Display`) on a terminal, in a line that is removed at the end: what is done, how
    much of it, and the time left, or the time it takes where the `total` is unknown. Silent when piped."""
    global _display
    if not sys.stderr.isatty():
        yield lambda steps, words: None
    elif _display is None:
        with _new_display() as _display:
            try:
                with show_bar(total, words, unit) as advance:
                    yield advance
            finally:
                _display = None
    else:
        shown = _display
        pace = Pace(total or 0)
        task = shown.add_task(make_printable(words), total=total, unit=unit, pace=pace)

        def advance(steps: int, words: str) -> None:
            pace.advance(steps)
            shown.update(task, advance=steps, description=make_printable(words))

        try:
            yield advance
        finally:
            shown.remove_task(task)


def _new_display() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Count(ProgressColumn):
        def render(self, task: Task) -> Text:
            if task.total is None:
                return Text(_clock(task.elapsed))
            seconds = task.fields["pace"].seconds_left
            left = "" if seconds is None else f", {_clock(seconds)} left"
            return Text(f"{task.completed:.0f}/{task.total:.0f} {task.fields['unit']}{left}")

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(BAR_COLUMNS),
        Count(Column(no_wrap=True)),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,  # it runs beside what is timed
        redirect_stdout=False,
    )


def _clock(seconds: float | None) -> str:
    return str(timedelta(seconds=int(seconds or 0)))
