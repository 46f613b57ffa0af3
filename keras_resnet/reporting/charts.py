"""Declare the plots of reports: once, for the static figures and the interactive ones that replace these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_resnet.metrics.labels import metric_label
from keras_resnet.run.documents import CalibrationBin, LayerSensitivity

# Colors are numbers, from 1 on, of the style sheet's; this one is that of its letters.
INK, COLORS = 0, 6
# Classes of which each has a curve.
MAX_NAMED_CLASSES = 8
MAX_LAYERS = 20
SIZE_NOTE = "The larger a point, the more images have about this confidence."
# Columns of log.jsonl that are no metrics.
OTHER_COLUMNS = ("epoch", "step", "loss", "learning_rate", "images_per_second")
Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Axis:
    """label: with its unit. low, high: the ends; None for what the values need. is_whole: whole numbers only. step:
    from tick to tick; None for what fits. names: of the rows 0, 1, … from the top, in place of numbers."""

    label: str
    low: float | None = None
    high: float | None = None
    is_whole: bool = False
    step: float | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """Values y over x. sizes: diameters of points in CSS pixels, for points alone or on a line; () for none."""

    name: str
    x: list[float]
    y: list[float]
    color: int = 1
    is_dashed: bool = False
    is_thick: bool = False
    has_line: bool = True
    sizes: tuple[float, ...] = ()
    symbol: str = "circle"


@dataclass(frozen=True)
class Chart:
    """One plot. name: in the page. description: what it shows, for who does not see it. categories: of horizontal bars,
    whose lengths are the y of the only series; () for lines and points. note: what has to be said of what is left
    out, and of what the legend has not."""

    name: str
    title: str
    description: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    categories: tuple[str, ...] = ()
    note: str = ""

    def __hash__(self) -> int:
        """Return a hash of what names the chart: the lists of its series have none. Equality is that of all values."""
        return hash((self.name, self.description))

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object, for report.js."""
        return asdict(self)


@dataclass(frozen=True)
class ShownClasses:
    """The classes that have curves of their own, and why these; "" where they are all."""

    names: tuple[str, ...]
    note: str = ""


def learning_curves(rows: Rows) -> list[Chart]:
    """Return loss, metrics and learning rate of log.jsonl over epochs; nothing for a single epoch, which is no
    curve."""
    if len(rows) < 2:
        return []
    metrics = _log_curves(rows, metric_columns(rows[0]), 100)
    charts = [
        _over_epochs("loss", "Loss", "loss", _log_curves(rows, ("loss",), 1), rows),
        _over_epochs("metrics", "Metrics", "%", metrics, rows) if metrics else None,
    ]
    rates = Series("learning rate", [row["epoch"] for row in rows], [row["learning_rate"] for row in rows], color=3)
    charts.append(_over_epochs("learning-rate", "Learning rate", "learning rate", (rates,), rows, low=0))
    return [chart for chart in charts if chart]


def fit_curves(rows: Rows) -> list[Chart]:
    """Return what `fit` has logged over epochs, training dashed and validation solid; a value that is logged in fewer
    than two epochs has no curve."""
    columns = dict.fromkeys(name for row in rows for name in row if name != "epoch")
    charts = []
    for name in dict.fromkeys(column.removeprefix("val_") for column in columns):
        series = tuple(
            Series(prefix, [row["epoch"] for row in logged], [row[key] for row in logged], is_dashed=key == name)
            for prefix, key in (("training", name), ("validation", f"val_{name}"))
            if len(logged := [row for row in rows if key in row]) > 1
        )
        if series:
            charts.append(_over_epochs(name, name, name, series, rows))
    return charts


def _over_epochs(
    name: str, title: str, label: str, series: tuple[Series, ...], rows: Rows, low: float | None = None
) -> Chart:
    ends = "; ".join(f"{each.name} {each.y[0]:.4g} to {each.y[-1]:.4g}" for each in series)
    first, last = int(rows[0]["epoch"]), int(rows[-1]["epoch"])
    description = f"{title} over epochs {first} to {last}: {ends}"
    return Chart(name, title, description, Axis("epoch", first, last, True), Axis(label, low), series)


def metric_columns(row: Mapping[str, float]) -> list[str]:
    """Return the names of metrics in a row of log.jsonl: those of validation alone first."""
    trained = [key for key in row if not key.startswith("val_") and key not in OTHER_COLUMNS]
    validated = [key.removeprefix("val_") for key in row if key.startswith("val_")]
    return [*(key for key in validated if key not in (*trained, *OTHER_COLUMNS)), *trained]


def _log_curves(rows: Rows, keys: Iterable[str], factor: float) -> tuple[Series, ...]:
    """Return columns of log.jsonl: training dashed, validation solid."""
    epochs = [row["epoch"] for row in rows]
    return tuple(
        Series(
            f"{prefix} {metric_label(key)}",
            epochs,
            [factor * row[column] for row in rows],
            color=1 + number % COLORS,
            is_dashed=prefix == "training",
        )
        for number, key in enumerate(keys)
        for prefix, column in (("training", key), ("validation", f"val_{key}"))
        if column in rows[0]
    )


def compared_curves(logs: Mapping[str, Rows], column: str, label: str, factor: float = 1) -> Chart | None:
    """Return one `column` of the logs of runs by name; None where none has more than one epoch of it. The name of a
    single one, which has no legend, is in the title."""
    logs = {name: rows for name, rows in logs.items() if len(rows) > 1 and column in rows[0]}
    if not logs:
        return None
    series = tuple(
        Series(name, [row["epoch"] for row in rows], [factor * row[column] for row in rows], color=1 + number % COLORS)
        for number, (name, rows) in enumerate(logs.items())
    )
    ends = "; ".join(f"{each.name} {each.y[-1]:.4g}" for each in series)
    last = int(max(rows[-1]["epoch"] for rows in logs.values()))
    description = f"{label} over epochs 1 to {last}, at the end: {ends}"
    title = label if len(series) > 1 else f"{label} of {series[0].name}"
    return Chart(column.replace("_", "-"), title, description, Axis("epoch", 1, last, True), Axis(label), series)


def reliability_diagram(bins: Sequence[CalibrationBin]) -> Chart | None:
    """Return accuracy over confidence; areas of the points are numbers of images. None for a single point."""
    if len(bins) < 2:
        return None
    most = max(each["images"] for each in bins)
    confidence, accuracy = [100 * each["confidence"] for each in bins], [100 * each["accuracy"] for each in bins]
    sizes = tuple(5 + 15 * (each["images"] / most) ** 0.5 for each in bins)
    series = (
        Series("perfect calibration", [0, 100], [0, 100], INK, is_dashed=True),
        Series("this model", confidence, accuracy, 1, sizes=sizes),
    )
    points = ", ".join(f"{c:.0f}%: {a:.0f}%" for c, a in zip(confidence, accuracy, strict=True))
    description = f"Reliability diagram, accuracy by confidence: {points}"
    axes = Axis("confidence (%)", 0, 100), Axis("accuracy (%)", 0, 100)
    return Chart("calibration", "Reliability diagram", description, *axes, series, note=SIZE_NOTE)


def precision_recall_chart(
    curves: Mapping[str, list[float]],
    shown: ShownClasses,
    of_objects: bool = True,
    chosen: Mapping[str, tuple[float, float]] | None = None,
) -> Chart:
    """Return precision over recall, of objects at an IoU of 0.5. chosen: recall and precision, 0–1, at the thresholds
    of classes. The curve has at each recall the best precision of this recall or more, so that a point may lie
    below."""
    series = (*_class_curves(curves, shown), *_chosen_points(chosen or {}, shown))
    iou, ap = (" at an IoU of 0.5", "AP50") if of_objects else ("", "mean precision")
    description = f"Precision-recall curves{iou}; {ap} of all classes {np.mean(series[0].y):.1f}%"
    axes = Axis("recall (%)", 0, 100), Axis("precision (%)", 0, 100)
    return Chart("precision-recall", "Precision-recall", description, *axes, series, note=shown.note)


def f1_chart(
    curves: Mapping[str, list[float]], shown: ShownClasses, chosen: Mapping[str, tuple[float, float]] | None = None
) -> Chart:
    """Return F1 over the confidence threshold. chosen: the thresholds of classes and F1 there, 0–1; without them, the
    best one of all classes is marked."""
    series, (confidence, best) = _class_curves(curves, shown), best_threshold(curves)
    point = Series("best", [100 * confidence], [100 * best], INK, has_line=False, sizes=(9,))
    points = _chosen_points(chosen, shown) if chosen else (point,)
    description = f"F1 by confidence threshold; the best, {best:.1%} of all classes, at {confidence:.0%}"
    if chosen:
        named = [f"{name} {chosen[name][0]:.1%}" for name in shown.names if name in chosen]
        description += f"; thresholds that were chosen: {', '.join(named)}"
    axes = Axis("confidence threshold (%)", 0, 100), Axis("F1 (%)", 0, 100)
    return Chart("f1", "F1 by confidence threshold", description, *axes, (*series, *points), note=shown.note)


def list_chosen_points(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]]]:
    """Return (recall and precision, the threshold and F1), 0–1, of the classes that have a threshold of their own in
    the `rows` of the table by class."""
    on_curve = {row["label"]: (row["recall"], row["precision"]) for row in rows if _has(row, "recall", "precision")}
    return on_curve, {row["label"]: (row["threshold"], row["f1"]) for row in rows if _has(row, "f1")}


def _has(row: Mapping[str, Any], *keys: str) -> bool:
    return all(row.get(key) is not None for key in ("threshold", *keys))


def _chosen_points(points: Mapping[str, tuple[float, float]], shown: ShownClasses) -> tuple[Series, ...]:
    """Return the points (x, y), 0–1, of the classes that are shown, if there are any."""
    drawn = [points[name] for name in shown.names if name in points]
    if not drawn:
        return ()
    x, y = (_percent(each) for each in zip(*drawn, strict=True))
    return (Series("chosen", x, y, INK, has_line=False, sizes=(9.0,) * len(drawn)),)


def best_threshold(curves: Mapping[str, list[float]]) -> tuple[float, float]:
    """Return (the confidence with the best F1, that F1), on average over the classes."""
    mean = np.mean(list(curves.values()), axis=0)
    return float(mean.argmax() / (len(mean) - 1)), float(mean.max())


def choose_classes(rows: Sequence[Mapping[str, Any]], curves: Mapping[str, list[float]]) -> ShownClasses:
    """Choose the classes whose `curves` are drawn: all where these are few, else those with the lowest average
    precision in the `rows` of the table by class."""
    if len(curves) <= MAX_NAMED_CLASSES:
        return ShownClasses(tuple(curves))
    precision = {row["label"]: row["AP"] for row in rows if "AP" in row}
    lowest = sorted(curves, key=lambda name: precision.get(name, np.mean(curves[name])))[:MAX_NAMED_CLASSES]
    return ShownClasses(
        tuple(lowest),
        f"The {MAX_NAMED_CLASSES} classes with the lowest average precision (AP) of {len(curves)}, the lowest first,"
        f" and the mean of all {len(curves)}.",
    )


def _class_curves(curves: Mapping[str, list[float]], shown: ShownClasses) -> tuple[Series, ...]:
    """Return curves of 101 values: of all classes on average, and of those that are shown."""
    steps = [float(each) for each in range(101)]
    mean = Series("all classes", steps, _percent(np.mean(list(curves.values()), axis=0)), INK, is_thick=True)
    return (
        mean,
        *(
            Series(name, steps, _percent(curves[name]), color=1 + number % COLORS, is_dashed=number >= COLORS)
            for number, name in enumerate(shown.names)
        ),
    )


def _percent(shares: Any) -> list[float]:
    return [round(100 * float(share), 2) for share in shares]


def sensitivity_charts(layers: Sequence[LayerSensitivity]) -> list[Chart]:
    """Return what rounding each layer alone changed: predictions, and outputs as shares of their deviation."""
    layers = layers[:MAX_LAYERS]
    names = tuple(each["layer"] for each in layers)
    changed, error = [100 * (1 - each["agreement"]) for each in layers], [100 * each["error"] for each in layers]
    return [
        _bars("predictions", "Predictions changed", "predictions changed (%)", names, changed, 2),
        _bars("outputs", "Outputs changed", "outputs changed (% of their deviation)", names, error, 1),
    ]


def _bars(name: str, title: str, label: str, categories: tuple[str, ...], lengths: list[float], color: int) -> Chart:
    rows = "; ".join(f"{each} {length:.2f}" for each, length in zip(categories, lengths, strict=True))
    series = (Series(label, [float(row) for row in range(len(categories))], lengths, color),)
    return Chart(
        f"layers-{name}", title, f"{label} by layer: {rows}", Axis(label, 0), Axis("layer"), series, categories
    )
