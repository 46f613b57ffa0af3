"""Draw the figures of a report as SVG, by matplotlib: text stays text, and lines take the page's colors, light or
dark."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import ACCEPTED
from keras_resnet.reporting.recommend import DescribedVerdict
from keras_resnet.run.documents import CalibrationBin, LayerSensitivity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins for what the page's style sheet decides, which no other color of a figure equals.
INK, LINE = "#010203", "#040506"
COLORS = ("#3b7dd8", "#e08214", "#2a9d6f", "#c2549d", "#8a6fd1", "#7a8794")
MARKERS = ("o", "s", "^", "D", "v", "P")
# Points above and below values that are nearly the same.
MIN_MARGIN = 0.5
# Classes of which each has a curve.
MAX_NAMED_CLASSES = 8
Rows = Sequence[Mapping[str, float]]


def draw_learning_curves(rows: Rows, metrics: Sequence[str]) -> str:
    """Draw log.jsonl over epochs: the loss, the `metrics` in %, and the learning rate below."""
    figure, axes = _create_figure(9, 4.6, 2, 2, height_ratios=(3, 1))
    _draw_curves(axes[0, 0], rows, ("loss",), 1)
    _draw_curves(axes[0, 1], rows, metrics, 100)
    axes[0, 0].set_ylabel("loss")
    axes[0, 1].set_ylabel("%")
    epochs = [row["epoch"] for row in rows]
    for axis in axes[1]:
        axis.plot(epochs, [row["learning_rate"] for row in rows], color=COLORS[2])
        axis.set(xlabel="epoch", ylabel="learning rate", ylim=(0, None))
    return _to_svg(figure)


def _draw_curves(axis: Axes, rows: Rows, keys: Sequence[str], factor: float) -> None:
    """Draw columns of log.jsonl: training dashed, validation solid."""
    epochs = [row["epoch"] for row in rows]
    for key, color in zip(keys, COLORS, strict=False):
        for prefix, style in (("", "--"), ("val_", "-")):
            if prefix + key in rows[0]:
                values = [factor * row[prefix + key] for row in rows]
                label = f"{'validation' if prefix else 'training'} {key}"
                axis.plot(epochs, values, style, color=color, label=label, marker="." * (len(rows) == 1))
    # Above the curves, which fill what is below.
    axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


def draw_losses(logs: Mapping[str, Rows]) -> str:
    """Draw the losses of several runs by their names: training dashed, validation solid."""
    figure, axes = _create_figure(9, 4)
    axis = axes[0, 0]
    for number, (name, rows) in enumerate(logs.items()):
        epochs, color = [row["epoch"] for row in rows], f"C{number % 10}"
        axis.plot(epochs, [row["loss"] for row in rows], "--", color=color, linewidth=1)
        axis.plot(epochs, [row["val_loss"] for row in rows], color=color, label=name)
    axis.set(xlabel="epoch", ylabel="loss")
    axis.legend(frameon=False, fontsize=8)
    return _to_svg(figure)


def draw_confusion_matrix(matrix: list[list[int]], labels: Sequence[str]) -> str:
    """Draw a confusion matrix of counts: rows are the ground truth, whose shares decide how opaque a cell is."""
    counts = np.array(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.42 * len(labels)
    figure, axes = _create_figure(side + 0.6, side)
    axis = axes[0, 0]
    axis.grid(False)
    # Squares of one color, more or less opaque: they suit a light and a dark page.
    for row, column in np.argwhere(counts > 0):
        color = COLORS[0] if row == column else COLORS[1]
        _draw_square(axis, row, column, color, max(0.12, shares[row, column]))
        axis.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=INK)
    numbers = range(len(labels))
    axis.set_xticks(numbers, labels, rotation=90, fontsize=8)
    axis.set_yticks(numbers, labels, fontsize=8)
    limits = {"xlim": (-0.5, len(labels) - 0.5), "ylim": (len(labels) - 0.5, -0.5)}
    axis.set(**limits, xlabel="prediction", ylabel="ground truth")
    axis.set_aspect("equal")
    return _to_svg(figure)


def draw_calibration(bins: Sequence[CalibrationBin]) -> str:
    """Draw accuracy over confidence (a reliability diagram); areas of the dots are numbers of images."""
    figure, axes = _create_figure(4.2, 3.8)
    axis = axes[0, 0]
    axis.plot([0, 100], [0, 100], "--", color=INK, linewidth=0.8, label="perfect calibration")
    most = max(each["images"] for each in bins)
    confidence, accuracy = [100 * each["confidence"] for each in bins], [100 * each["accuracy"] for each in bins]
    axis.plot(confidence, accuracy, color=COLORS[0], linewidth=1)
    axis.scatter(confidence, accuracy, [20 + 160 * each["images"] / most for each in bins], color=COLORS[0], zorder=3)
    axis.set(xlabel="confidence (%)", ylabel="accuracy (%)", xlim=(0, 102), ylim=(0, 104))
    axis.legend(frameon=False, fontsize=8)
    return _to_svg(figure)


def draw_precision_recall(curves: Mapping[str, list[float]]) -> str:
    """Draw precision over recall at an IoU of 0.5: of all classes, and of some."""
    figure, axes = _create_figure(5.4, 3.8)
    axis, recalls = axes[0, 0], np.linspace(0, 100, 101)
    for name in list(curves)[:MAX_NAMED_CLASSES]:
        axis.plot(recalls, 100 * np.array(curves[name]), linewidth=0.9, alpha=0.7, label=name)
    axis.plot(recalls, 100 * np.mean(list(curves.values()), axis=0), color=INK, linewidth=2, label="all classes")
    axis.set(xlabel="recall (%)", ylabel="precision (%)", xlim=(0, 102), ylim=(0, 104))
    axis.legend(frameon=False, fontsize=7)
    return _to_svg(figure)


def draw_tradeoffs(verdicts: Sequence[DescribedVerdict], recommended: str | None) -> str:
    """Draw the metric of each file over its size and over its latency; the recommended one has a ring, those beyond
    their budget are crosses."""
    figure, axes = _create_figure(9, 3.4, 1, 2)
    _draw_files(axes[0, 0], verdicts, [each["megabytes"] for each in verdicts], recommended)
    axes[0, 0].set_xlabel("size (MB)")
    _draw_files(axes[0, 1], verdicts, [each["latency_ms"] for each in verdicts], recommended)
    axes[0, 1].set_xlabel("latency (ms)")
    axes[0, 1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return _to_svg(figure)


def _draw_files(
    axis: Axes, verdicts: Sequence[DescribedVerdict], costs: Sequence[float], recommended: str | None
) -> None:
    """Draw the metric of each file over its cost."""
    values = [100 * each["value"] for each in verdicts]
    margin = max(MIN_MARGIN, 0.25 * (max(values) - min(values)))
    for number, (each, cost, value) in enumerate(zip(verdicts, costs, values, strict=True)):
        marker = MARKERS[number % len(MARKERS)] if each["verdict"] in ACCEPTED else "x"
        color, name = f"C{number % 10}", each["file"]
        axis.plot(cost, value, marker, color=color, markersize=7, alpha=0.85, label=name, linestyle="none")
        if each["file"] == recommended:
            axis.plot(cost, value, "o", color=INK, fillstyle="none", markersize=14)
    axis.margins(x=0.15)
    axis.set(ylabel=f"{metric_label(verdicts[0]['metric'])} (%)", xlim=(0, None))
    axis.set_ylim(min(values) - margin, max(values) + margin)


def draw_layer_sensitivity(layers: Sequence[LayerSensitivity]) -> str:
    """Draw what rounding each layer alone changed: predictions, and outputs as fractions of their deviation."""
    figure, axes = _create_figure(9, 0.9 + 0.24 * len(layers), 1, 2, sharey=True)
    positions = np.arange(len(layers))
    axes[0, 0].barh(positions, [100 * (1 - each["agreement"]) for each in layers], color=COLORS[1])
    axes[0, 1].barh(positions, [100 * each["error"] for each in layers], color=COLORS[0])
    axes[0, 0].set_yticks(positions, [each["layer"] for each in layers], fontsize=8)
    axes[0, 0].invert_yaxis()
    axes[0, 0].set_xlabel("predictions changed (%)")
    axes[0, 1].set_xlabel("outputs changed (% of their deviation)")
    return _to_svg(figure)


def _draw_square(axis: Axes, row: int, column: int, color: str, opacity: float) -> None:
    from matplotlib.patches import Rectangle

    corner = (column - 0.5, row - 0.5)
    axis.add_patch(Rectangle(corner, 1, 1, facecolor=color, alpha=opacity, linewidth=0))


def _create_figure(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    *,
    sharey: bool = False,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, np.ndarray]:
    """Create a figure in inches, and its axes (rows, columns), in the page's colors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey, height_ratios=height_ratios)
    for axis in axes.flat:
        axis.grid(color=LINE, linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(colors=INK, labelsize=8)
        for spine in axis.spines.values():
            spine.set_color(LINE)
        axis.xaxis.label.set_color(INK)
        axis.yaxis.label.set_color(INK)
    return figure, axes


def _to_svg(figure: Figure) -> str:
    """Return the figure for a page: no background, its stand-ins made the page's colors."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class called "$a_$" is no formula
    for axis in figure.axes:
        if legend := axis.get_legend():
            for text in legend.get_texts():
                text.set_color(INK)
        axis.patch.set_alpha(0)
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "kresnet", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    return svg.replace(INK, "var(--ink)").replace(LINE, "var(--line)")
