"""The curves of a training, drawn: curves.png."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_resnet.training.trackers import Row


class Curves:
    """Loss, and error or another metric, in % over epochs: training dashed and validation solid, as in He et al.; and
    metrics that are known of the validation images only.

    One figure for all epochs: a new one each time would leave megabytes behind for Python to collect.
    """

    def __init__(self, metric: str, eval_metrics: tuple[str, ...] = ()) -> None:
        from matplotlib.figure import Figure

        second = "error (%)" if metric == "accuracy" else f"{metric} (%)"
        self._figure = Figure(figsize=(9, 3.6), layout="constrained")
        self._lines = {}
        for axes, title, key, color in zip(
            self._figure.subplots(1, 2), ("loss", second), ("loss", metric), ("C0", "C1"), strict=True
        ):
            for prefix, style, label in (("", "--", "training"), ("val_", "-", "validation")):
                (self._lines[prefix + key],) = axes.plot([], [], style, color=color, label=label)
            for name in eval_metrics if key == metric else ():
                (self._lines[f"val_{name}"],) = axes.plot([], [], color="C2", label=f"validation {name}")
            axes.set(xlabel="epoch", ylabel=title)
            axes.grid(alpha=0.3)
            axes.legend()

    def save(self, rows: list[Row], path: Path) -> None:
        """Draw `rows`, as of log.jsonl, to the PNG `path`."""
        epochs = [row["epoch"] for row in rows]
        for key, line in self._lines.items():
            values = np.array([row[key] for row in rows])
            if key.endswith("accuracy"):
                values = 1 - values
            line.set_data(epochs, values if key.endswith("loss") else 100 * values)
        for axes in self._figure.axes:
            axes.relim()
            axes.autoscale_view()
        self._figure.savefig(path, dpi=120, format="png")
