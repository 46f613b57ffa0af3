"""A page about a training by Keras' own `fit`, which is no run: its curves, epochs, network and verdicts."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.atomic_write import write_atomically
from keras_resnet.reporting.page import read_style, render_template

Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class FitPage:
    """What the page shows. rows: a row an epoch, as `fit` logs it, with "epoch". summary: of the model. verdicts: by
    epoch, in words."""

    title: str
    rows: Rows
    summary: str
    verdicts: Mapping[int, str]

    def write(self, file: Path) -> None:
        """Write the page to `file`. Raises RunError where that cannot be written."""
        with write_atomically(file) as temporary:
            temporary.write_text(self.render(), encoding="utf-8")

    def render(self) -> str:
        """Return the page, HTML."""
        names = [name for name in self.rows[-1] if name != "epoch"]
        best = min(self.rows, key=lambda row: row.get("val_loss", row["loss"]))
        drawn = list(dict.fromkeys(name.removeprefix("val_") for name in names if name != "learning_rate"))
        values = {"title": self.title, "rows": self.rows, "names": names, "best": best, "summary": self.summary}
        pictures = [(name, _draw(self.rows, name)) for name in drawn]
        return render_template(
            "fit.html", {**values, "pictures": pictures, "verdicts": self.verdicts, "style": read_style()}
        )


def _draw(rows: Rows, name: str) -> str:
    """Draw a metric over epochs, training dashed and validation solid; returns a PNG as base64."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for key, style, label in ((name, "--", "training"), (f"val_{name}", "-", "validation")):
        points = [(row["epoch"], row[key]) for row in rows if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), style, marker=".", label=label)
    axes.set(xlabel="epoch", ylabel=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, format="png")
    return base64.b64encode(buffer.getvalue()).decode()
