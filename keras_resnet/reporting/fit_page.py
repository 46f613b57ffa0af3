"""A page about a training by Keras' own `fit`, which is no run: its curves, epochs, network and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.atomic_write import write_atomically
from keras_resnet.reporting.charts import fit_curves
from keras_resnet.reporting.tables import choose_form
from keras_resnet.reporting.templates import draw_charts, render_template

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
        curves = fit_curves(self.rows)
        names = dict.fromkeys(name for row in self.rows for name in row if name != "epoch")
        best = min(self.rows, key=lambda row: row.get("val_loss", row["loss"]))
        forms = {name: choose_form([row.get(name) for row in self.rows]) for name in names}
        values: dict[str, object] = {
            "forms": forms,
            "title": self.title,
            "rows": self.rows,
            "names": list(names),
            "best": best,
        }
        values |= {"summary": self.summary, "curves": curves, "verdicts": self.verdicts}
        return render_template("fit.html", values | draw_charts(curves))
