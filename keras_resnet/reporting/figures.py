"""Draw charts as SVG, by matplotlib, for print and where scripts do not run: text stays text, and lines take the page's
colors, light or dark."""

from __future__ import annotations

import io
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

from markupsafe import escape

from keras_resnet.reporting.charts import COLORS, Axis, Chart, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins for what the page's style sheet decides, which no other color of a figure equals: by number of a color.
_STAND_INS = {number: f"#0{number}0{number}0{number}" for number in range(1, COLORS + 1)}
_INK, _LINE = "#010203", "#040506"
# Inches, and letters in points, of which 72 are an inch: a figure is shown about as large as it is drawn, 96 CSS pixels
# an inch, and at least 0.8 times that.
_WIDTH, _HEIGHT, _LETTERS = 3.8, 2.9, 10.0
_CSS_PIXELS = 96 / 72
# Letters of a name of which two fit beside each other.
MAX_SHORT_NAME = 16
_SYMBOLS = {"circle": "o", "triangle": "^"}
# Charts that are kept drawn: those of a few reports.
KEPT_CHARTS = 64
# Matplotlib's settings, which a chart is drawn with, are those of all threads.
_drawing = Lock()


@lru_cache(KEPT_CHARTS)
def draw_chart(chart: Chart) -> str:
    """Draw a chart as SVG. What was drawn is kept: each export writes the report anew, mostly with the same charts."""
    with _drawing:
        return _draw(chart)


def _draw(chart: Chart) -> str:
    rows = len(chart.categories or chart.y.names)
    height = 1 + 0.24 * rows if rows else _HEIGHT
    figure, axes = _create_figure(height)
    if chart.categories:
        _draw_bars(axes, chart)
    else:
        for series in chart.series:
            _draw_series(axes, series)
        _set_limits(axes, chart)
        if chart.y.names:
            axes.set_yticks(range(len(chart.y.names)), chart.y.names)
            axes.set_ylabel("")
            axes.invert_yaxis()
        if [series.name for series in chart.series] != [chart.y.label]:
            # Above the curves, which fill what is below; long names one below another.
            columns = 1 if max(len(series.name) for series in chart.series) > MAX_SHORT_NAME else 2
            entries = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
            axes.legend(
                entries.values(),
                entries.keys(),
                loc="lower left",
                bbox_to_anchor=(0, 1),
                ncols=columns,
                frameon=False,
                fontsize=_LETTERS,
                labelcolor=_INK,
            )
    return _to_svg(figure, chart)


def _draw_series(axes: Axes, series: Series) -> None:
    color = _color(series.color)
    if series.has_line:
        style, width = "--" if series.is_dashed else "-", 2.2 if series.is_thick else 1.4
        axes.plot(series.x, series.y, style, color=color, linewidth=width, label=series.name)
    if series.sizes:
        areas = [(size / _CSS_PIXELS) ** 2 for size in series.sizes]
        label = "_nolegend_" if series.has_line else series.name
        symbol = _SYMBOLS[series.symbol]
        axes.scatter(series.x, series.y, areas, color=color, marker=symbol, label=label, zorder=3, clip_on=False)


def _draw_bars(axes: Axes, chart: Chart) -> None:
    (series,) = chart.series
    axes.barh(series.x, series.y, color=_color(series.color))
    axes.set_yticks(series.x, chart.categories)
    axes.invert_yaxis()
    axes.set_xlabel(chart.x.label)


def _set_limits(axes: Axes, chart: Chart) -> None:
    from matplotlib.ticker import MaxNLocator, MultipleLocator

    for axis, limits, declared in ((axes.xaxis, axes.set_xlim, chart.x), (axes.yaxis, axes.set_ylim, chart.y)):
        axis.set_label_text(declared.label)
        if declared.is_whole:
            axis.set_major_locator(MaxNLocator(integer=True))
        if declared.step is not None:
            axis.set_major_locator(MultipleLocator(declared.step))
        limits(*_with_margin(declared))


def _with_margin(axis: Axis) -> tuple[float | None, float | None]:
    """Return the ends of an axis, a little apart from the outermost values."""
    if axis.low is None or axis.high is None:
        return axis.low, axis.high
    margin = 0.02 * (axis.high - axis.low)
    return axis.low - margin, axis.high + margin


def _color(number: int) -> str:
    return _STAND_INS.get(number, _INK)


def _create_figure(height: float) -> tuple[Figure, Axes]:
    """Create a figure and its axes in the page's colors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=_LETTERS)
    for spine in axes.spines.values():
        spine.set_color(_LINE)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=_INK, fontsize=_LETTERS)
    return figure, axes


def _to_svg(figure: Figure, chart: Chart) -> str:
    """Return the figure for a page: with a name, without background, its stand-ins made the page's colors."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class called "$a_$" is no formula
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    buffer = io.StringIO()
    # The salt keeps apart the names within several figures of one page.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": chart.name, "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{escape(chart.description)}" ', 1)
    for number, color in _STAND_INS.items():
        svg = svg.replace(color, f"var(--c{number})")
    return svg.replace(_INK, "var(--ink)").replace(_LINE, "var(--line)")
