"""Declare the plots of a run's exported files: drops beside the budget, metrics over size and over latency."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

from keras_resnet.metrics.labels import metric_label, metric_title
from keras_resnet.metrics.outcome import ACCEPTED
from keras_resnet.reporting.charts import COLORS, INK, Axis, Chart, Series
from keras_resnet.reporting.recommend import DescribedVerdict
from keras_resnet.runtime.plurals import counted

# Points above and below values that are nearly the same.
MIN_MARGIN = 0.5
# 0.3 / 0.1 is below 3 in floating point.
ROUNDING = 1e-9


def file_charts(verdicts: Sequence[DescribedVerdict], recommended: str | None) -> list[Chart]:
    """Return the drop of each file, and its metric over its size and over its latency where the metrics differ; nothing
    for a single file. The recommended one is larger, those beyond their budget are triangles."""
    if len(verdicts) < 2:
        return []
    if _are_equal(verdicts):
        return [_drop_chart(verdicts)]
    charts = [
        _drop_chart(verdicts),
        _tradeoff("size", "size (MB)", verdicts, [each["megabytes"] for each in verdicts], recommended),
    ]
    latencies = [each["latency_ms"] for each in verdicts]
    if any(latencies):  # not all of them are simulated
        charts.append(_tradeoff("latency", "latency (ms)", verdicts, latencies, recommended))
    return charts


def _drop_chart(verdicts: Sequence[DescribedVerdict]) -> Chart:
    """Return a row for each file: its drop with the 95% confidence interval, beside the budget."""
    drops = tuple(
        Series(
            "drop with 95% interval",
            [100 * end for end in (low, each["drop"], high)],
            [float(row)] * 3,
            sizes=(4, 11, 4),
            symbol=_symbol(each),
        )
        for row, each in enumerate(verdicts)
        for low, high in [each["drop_interval"] or [each["drop"]] * 2]
    )
    rows = [-1.0, float(len(verdicts))]
    budgets = tuple(
        Series(f"budget, {counted(budget, 'point', 'g')}", [budget] * 2, rows, INK, is_dashed=True)
        for budget in dict.fromkeys(100 * each["max_drop"] for each in verdicts)
    )
    ends = [x for series in (*drops, *budgets) for x in series.x]
    low, high, step = _round_outward(min(0.0, *ends) - 0.1, max(ends) + 0.1)
    shown = "; ".join(
        f"{each['file']} {series.x[1]:+z.2f} [{series.x[0]:+z.2f}, {series.x[2]:+z.2f}]"
        for each, series in zip(verdicts, drops, strict=True)
    )
    names = tuple(each["file"] for each in verdicts)
    axes = Axis("drop (points)", low, high, step=step), Axis("file", rows[0], rows[1], step=1, names=names)
    description = f"Drop of each file in points, with its 95% confidence interval, and the budget: {shown}"
    values = {each["value"] for each in verdicts}
    metric = metric_title(verdicts[0]["metric"])
    note = (
        f"{metric} is {100 * max(values):.2f}% with each file, so compare size and latency." if len(values) == 1 else ""
    )
    return Chart("files-drop", "Drop of each file", description, *axes, (*drops, *budgets), note=note)


def _are_equal(verdicts: Sequence[DescribedVerdict]) -> bool:
    return len({each["value"] for each in verdicts}) == 1


def _symbol(verdict: DescribedVerdict) -> str:
    return "circle" if verdict["verdict"] in ACCEPTED else "triangle"


def _tradeoff(
    name: str,
    label: str,
    verdicts: Sequence[DescribedVerdict],
    costs: Sequence[float | None],
    recommended: str | None,
) -> Chart:
    """Return the metric of each file over one of its `costs`; those without it are left out."""
    metric, values = metric_label(verdicts[0]["metric"]), [100 * each["value"] for each in verdicts]
    margin = max(MIN_MARGIN, 0.25 * (max(values) - min(values)))
    series = tuple(
        Series(
            each["file"],
            [cost],
            [value],
            color=1 + number % COLORS,
            has_line=False,
            sizes=(18 if each["file"] == recommended else 11,),
            symbol=_symbol(each),
        )
        for number, (each, cost, value) in enumerate(zip(verdicts, costs, values, strict=True))
        if cost is not None
    )
    points = "; ".join(f"{each.name} {each.y[0]:.2f}% at {each.x[0]:.2f}" for each in series)
    low, high, step = _round_outward(max(0.0, min(values) - margin), min(100.0, max(values) + margin))
    title = f"{metric_title(verdicts[0]['metric'])} and {name}"
    axes = Axis(label, 0), Axis(f"{metric} (%)", low, high, step=step)
    return Chart(f"files-{name}", title, f"{title} of each file, {label}: {points}", *axes, series)


def _round_outward(low: float, high: float) -> tuple[float, float, float]:
    """Widen a range in percent to multiples of 1, 2 or 5 times a power of ten, about five steps, so that the ticks of
    its axis are evenly spaced; return its ends and the step."""
    power = 10 ** floor(log10(high - low) - 1)
    step = next(width * power for width in (1, 2, 5, 10, 20) if high - low <= 5 * width * power)
    return round(step * floor(low / step + ROUNDING), 6), round(step * ceil(high / step - ROUNDING), 6), step
