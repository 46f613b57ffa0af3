"""Figures of a report as SVG, by matplotlib: letters stay letters, and lines take the page's colours, light or dark."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_resnet.metrics.outcome import WITHIN

# Stand-ins for what the page's style sheet decides, which no other colour of a figure equals.
INK, LINE = "#010203", "#040506"
COLOURS = ("#3b7dd8", "#e08214", "#2a9d6f", "#c2549d", "#8a6fd1", "#7a8794")
MARKS = ("o", "s", "^", "D", "v", "P")
# Points above and below values that are nearly the same.
LEAST_ROOM = 0.5
# Classes of which each has a curve.
NAMED = 8


def curves(rows: list[dict[str, Any]], followed: Sequence[str]) -> str:
    """Of log.jsonl: loss, what is followed or judged in %, and the learning rate below, over epochs."""
    figure, axes = _figure(9, 4.6, 2, 2, height_ratios=(3, 1))
    epochs = [row["epoch"] for row in rows]
    for axis, keys, factor in ((axes[0, 0], ("loss",), 1), (axes[0, 1], followed, 100)):
        for key, colour in zip(keys, COLOURS, strict=False):
            for prefix, style in (("", "--"), ("val_", "-")):
                if prefix + key in rows[0]:
                    values = [factor * row[prefix + key] for row in rows]
                    label = f"{'validation' if prefix else 'training'} {key}"
                    axis.plot(epochs, values, style, color=colour, label=label, marker="." * (len(rows) == 1))
        # Above the curves, which fill what is below.
        axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    axes[0, 0].set_ylabel("loss")
    axes[0, 1].set_ylabel("%")
    for axis in axes[1]:
        axis.plot(epochs, [row["learning_rate"] for row in rows], color=COLOURS[2])
        axis.set(xlabel="epoch", ylabel="learning rate", ylim=(0, None))
    return _svg(figure)


def together(logs: dict[str, list[dict[str, Any]]]) -> str:
    """The losses of several runs by their names: training dashed, validation solid."""
    figure, axes = _figure(9, 4)
    axis = axes[0, 0]
    for number, (name, rows) in enumerate(logs.items()):
        epochs, colour = [row["epoch"] for row in rows], f"C{number % 10}"
        axis.plot(epochs, [row["loss"] for row in rows], "--", color=colour, linewidth=1)
        axis.plot(epochs, [row["val_loss"] for row in rows], color=colour, label=name)
    axis.set(xlabel="epoch", ylabel="loss")
    axis.legend(frameon=False, fontsize=8)
    return _svg(figure)


def confusion(matrix: list[list[int]], labels: Sequence[str]) -> str:
    """What is taken for what: rows are the truth, in shares of each."""
    counts = np.array(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.42 * len(labels)
    figure, axes = _figure(side + 0.6, side)
    axis = axes[0, 0]
    axis.grid(False)
    # Squares of one colour, more or less opaque: they suit a light and a dark page.
    for row, column in np.argwhere(counts > 0):
        right = row == column
        axis.add_patch(_square(row, column, COLOURS[0] if right else COLOURS[1], max(0.12, shares[row, column])))
        axis.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=INK)
    numbers = range(len(labels))
    axis.set_xticks(numbers, labels, rotation=90, fontsize=8)
    axis.set_yticks(numbers, labels, fontsize=8)
    axis.set(xlim=(-0.5, len(labels) - 0.5), ylim=(len(labels) - 0.5, -0.5), xlabel="answer", ylabel="truth")
    axis.set_aspect("equal")
    return _svg(figure)


def calibration(bins: Sequence[Mapping[str, Any]]) -> str:
    """How often answers are right, over how sure they are; areas of the dots are numbers of images."""
    figure, axes = _figure(4.2, 3.8)
    axis = axes[0, 0]
    axis.plot([0, 100], [0, 100], "--", color=INK, linewidth=0.8, label="as sure as right")
    most = max(each["images"] for each in bins)
    sure, right = ([100 * each[key] for each in bins] for key in ("sure", "right"))
    axis.plot(sure, right, color=COLOURS[0], linewidth=1)
    axis.scatter(sure, right, [20 + 160 * each["images"] / most for each in bins], color=COLOURS[0], zorder=3)
    axis.set(xlabel="sure (%)", ylabel="right (%)", xlim=(0, 102), ylim=(0, 104))
    axis.legend(frameon=False, fontsize=8)
    return _svg(figure)


def precision_recall(found: dict[str, list[float]]) -> str:
    """Precision over recall at an overlap of one half: of all classes, and of some."""
    figure, axes = _figure(5.4, 3.8)
    axis, recalls = axes[0, 0], np.linspace(0, 100, 101)
    for name in list(found)[:NAMED]:
        axis.plot(recalls, 100 * np.array(found[name]), linewidth=0.9, alpha=0.7, label=name)
    axis.plot(recalls, 100 * np.mean(list(found.values()), axis=0), color=INK, linewidth=2, label="all classes")
    axis.set(xlabel="recall (%)", ylabel="precision (%)", xlim=(0, 102), ylim=(0, 104))
    axis.legend(frameon=False, fontsize=7)
    return _svg(figure)


def tradeoffs(verdicts: list[dict[str, Any]], best: str | None) -> str:
    """The metric of each file over its size and over its latency; the recommended one has a ring, those beyond their
    budget are crosses."""
    figure, axes = _figure(9, 3.4, 1, 2)
    values = [100 * each["value"] for each in verdicts]
    room = max(LEAST_ROOM, 0.25 * (max(values) - min(values)))
    for axis, key, words in ((axes[0, 0], "megabytes", "size (MB)"), (axes[0, 1], "latency_ms", "latency (ms)")):
        for number, each in enumerate(verdicts):
            place, colour = (each[key], 100 * each["value"]), f"C{number % 10}"
            mark = MARKS[number % len(MARKS)] if each["verdict"] in WITHIN else "x"
            axis.plot(*place, mark, color=colour, markersize=7, alpha=0.85, label=each["file"], linestyle="none")
            if each["file"] == best:
                axis.plot(*place, "o", color=INK, fillstyle="none", markersize=14)
        axis.margins(x=0.15)
        axis.set(xlabel=words, ylabel=f"{verdicts[0]['metric']} (%)", xlim=(0, None))
        axis.set_ylim(min(values) - room, max(values) + room)
    axes[0, 1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return _svg(figure)


def layers(damages: Sequence[Mapping[str, Any]]) -> str:
    """What rounding each layer alone changed: answers, and outputs as shares of their deviation."""
    figure, axes = _figure(9, 0.9 + 0.24 * len(damages), 1, 2, sharey=True)
    places = np.arange(len(damages))
    axes[0, 0].barh(places, [100 * (1 - each["agreement"]) for each in damages], color=COLOURS[1])
    axes[0, 1].barh(places, [100 * each["error"] for each in damages], color=COLOURS[0])
    axes[0, 0].set_yticks(places, [each["layer"] for each in damages], fontsize=8)
    axes[0, 0].invert_yaxis()
    axes[0, 0].set_xlabel("answers changed (%)")
    axes[0, 1].set_xlabel("outputs changed (% of their deviation)")
    return _svg(figure)


def _square(row: int, column: int, colour: str, opacity: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, alpha=opacity, linewidth=0)


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A figure in inches, and its axes (rows, columns), in the page's colours."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    ratios = {"height_ratios": options.pop("height_ratios")} if "height_ratios" in options else {}
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=ratios, **options)
    for axis in axes.flat:
        axis.grid(color=LINE, linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(colors=INK, labelsize=8)
        for spine in axis.spines.values():
            spine.set_color(LINE)
        axis.xaxis.label.set_color(INK)
        axis.yaxis.label.set_color(INK)
    return figure, axes


def _svg(figure: Any) -> str:
    """The figure for a page: no background, its stand-ins made the page's colours."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class called "$a_$" is no formula
    for axis in figure.axes:
        if axis.get_legend():
            for each in axis.get_legend().get_texts():
                each.set_color(INK)
        axis.patch.set_alpha(0)
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "kresnet", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    return drawn.replace(INK, "var(--ink)").replace(LINE, "var(--line)")
