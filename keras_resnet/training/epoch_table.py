"""The table of epochs that a training prints: a line an epoch, aligned, and never wider than 80 columns."""

from __future__ import annotations

from collections.abc import Mapping

from keras_resnet.training.throughput import format_rate

WIDTH, GAP = 80, "  "
# "100.00%", "2.2901", "99.9999"
NUMBER_WIDTH = 7
LARGE_LOSS = 100


class EpochTable:
    """Headings and rows of the epochs of one training.

    metric_names: measured in training and in validation; where there is not room for all, the last ones of the training
    are left out first (log.jsonl has them). eval_metric_names: of validation alone.
    """

    def __init__(self, epochs: int, metric_names: tuple[str, ...], eval_metric_names: tuple[str, ...]) -> None:
        self._epochs = epochs
        self._names = {"images_per_second": "images/s", **{f"val_{name}": name for name in eval_metric_names}}
        trained = ["loss", *metric_names]
        validated = [f"val_{name}" for name in ("loss", *metric_names, *eval_metric_names)]
        self._columns = [*trained, *validated, "images_per_second"]
        spare = [*metric_names, *(f"val_{name}" for name in metric_names)] if eval_metric_names else []
        spare.sort(key=lambda name: (name.startswith("val_"), -self._columns.index(name)))
        while spare and len(self.heading) > WIDTH:
            self._columns.remove(spare.pop(0))

    @property
    def heading(self) -> str:
        """The names of the columns."""
        return GAP.join(["epoch".rjust(self._first_width), *map(self._heading, self._columns)])

    def format_row(self, row: Mapping[str, float]) -> str:
        """Return the line of an epoch, a row of log.jsonl."""
        cells = [f"{row['epoch']}/{self._epochs}".rjust(self._first_width)]
        for name in self._columns:
            cells.append(_format_value(name, row[name]).rjust(len(self._heading(name))))
        return GAP.join(cells)

    @property
    def _first_width(self) -> int:
        return max(len("epoch"), 2 * len(str(self._epochs)) + 1)

    def _heading(self, name: str) -> str:
        return self._names.get(name, name.replace("val_", "val ")).rjust(NUMBER_WIDTH)


def _format_value(name: str, value: float) -> str:
    if name == "images_per_second":
        return format_rate(value)
    if name.endswith("loss"):
        return f"{value:.4f}" if abs(value) < LARGE_LOSS else f"{value:.5g}"
    return f"{value:.2%}"
