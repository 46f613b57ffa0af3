"""Show progress in a notebook: a bar in the output of the cell, by IPython alone, gone when the work is done."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from keras_resnet.progress import Advance, Pace

# Seconds between two pictures of a bar.
INTERVAL = 0.25


def in_notebook() -> bool:
    """Return whether this is a notebook, whose cells show HTML: Jupyter, Colab, VS Code."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


class NotebookDisplay:
    """The bars of one call, in one output of the cell, which is empty when there is nothing to show."""

    def __init__(self) -> None:
        self._bars: list[_Bar] = []
        self._shown: Any = None

    @contextmanager
    def show(self, total: int | None, words: str, unit: str) -> Iterator[Advance]:
        """Show progress (see `progress.Display`)."""
        bar = _Bar(total, words, unit)
        self._bars.append(bar)
        self._draw()

        def advance(steps: int, words: str) -> None:
            if bar.advance(steps, words):
                self._draw()

        try:
            yield advance
        finally:
            self._bars.remove(bar)
            self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        content = HTML("".join(bar.render() for bar in self._bars))
        if self._shown is None:
            self._shown = display(content, display_id=True)
        else:
            self._shown.update(content)


class _Bar:
    """How far some work has come."""

    def __init__(self, total: int | None, words: str, unit: str) -> None:
        self.total, self.words, self.unit, self.done = total, words, unit, 0
        self.began = self.drawn = time.monotonic()
        self._pace = Pace(total or 0)

    def advance(self, steps: int, words: str) -> bool:
        """Count `steps`. Returns whether it is time for a new picture."""
        self.done, self.words = self.done + steps, words
        self._pace.advance(steps)
        is_due = time.monotonic() - self.drawn > INTERVAL
        self.drawn = time.monotonic() if is_due else self.drawn
        return is_due

    def render(self) -> str:
        """Return the picture, HTML."""
        elapsed = time.monotonic() - self.began
        limit = f' max="{self.total}" value="{self.done}"' if self.total else ""
        words = html.escape(self.words)
        return (
            f'<div style="font-family: monospace"><progress{limit} aria-label="{words}" style="vertical-align: middle">'
            f"</progress> {words} {html.escape(self._count(elapsed))}</div>"
        )

    def _count(self, elapsed: float) -> str:
        if not self.total:
            return _clock(elapsed)
        seconds = self._pace.seconds_left
        left = "" if seconds is None else f", {_clock(seconds)} left"
        return f"({self.done}/{self.total} {self.unit}{left})"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
