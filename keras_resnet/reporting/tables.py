"""Make the tables of a report: cells as people read them, and values to sort by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

from keras_resnet.metrics.labels import class_metric_label, metric_label
from keras_resnet.metrics.multilabel import describe_few_images
from keras_resnet.metrics.outcome import (
    FAILED,
    PASSED,
    describe_outcome,
    format_budget,
    format_cost,
    format_interval,
    format_worst_class,
    have_budgets,
    list_tested_metrics,
)
from keras_resnet.reporting import device_rows
from keras_resnet.reporting.charts import MAX_NAMED_CLASSES, Rows, metric_columns
from keras_resnet.reporting.device_rows import BUDGET, VERDICT, DeviceRow
from keras_resnet.reporting.recommend import DescribedVerdict
from keras_resnet.run.documents import Analysis
from keras_resnet.runtime.plurals import counted

# Of a class's numbers those by which the lowest is found, the first that there is.
MAIN_NUMBERS = ("AP", "localized", "recall")
NO_BREAK, MAY_BREAK = "\u00a0", "\u200b"
COLUMN_NAMES = {"label": "class", "images": "support", "objects": "support", "f1": "F1"}


@dataclass(frozen=True)
class Cell:
    """text: as shown. value: to sort by. kind: a class of the style sheet."""

    text: str
    value: float | str
    kind: str = ""


def file_columns(rows: Sequence[DescribedVerdict]) -> list[str]:
    """Return the heads of the table of exported files `rows`: with a budget where these differ."""
    row = rows[0]
    metric = metric_label(row["metric"])
    drop = f"drop{'' if len(list_tested_metrics(row)) > 1 else f' of {metric}'} [95% CI], points"
    worst = f"largest drop of a class’s {class_metric_label(row['metric'])}, points"
    cost = ["size, MB", "latency, ms", "memory, MiB", "gzip, MB"]
    budget = [BUDGET] * have_budgets(rows)
    return ["file", "verdict", metric, drop, *budget, *cost, "agreement", worst, "images"]


def file_cells(row: DescribedVerdict, has_budgets: bool = False) -> list[Cell]:
    """Return the cells of one exported file, in the order of `file_columns`; has_budgets: with its budget."""
    shown = row["outcome"]
    kind = _verdict_kind(row["verdict"], shown)
    # Lines break before the interval, not within.
    drop = f"{100 * row['drop']:+z.2f} {format_interval(row['drop_interval']).replace(' ', NO_BREAK)}".rstrip()
    if len(list_tested_metrics(row)) > 1:
        drop = f"{drop} of {metric_label(row['drop_metric'])}"
    memory = None if row["latency_ms"] is None else row["cost"]["peak_mib"]
    costs = ((row["megabytes"], ".2f"), (row["latency_ms"], ".2f"), (memory, ".0f"), (row["gzip_bytes"] / 1e6, ".2f"))
    return [
        Cell(row["file"], row["file"]),
        Cell(shown, shown, kind),
        Cell(f"{row['value']:.2%}", row["value"]),
        Cell(drop, row["drop"]),
        *[Cell(format_budget(row), row["max_drop"])] * has_budgets,
        *(_cost_cell(*each) for each in costs),
        Cell(f"{row['agreement']:.2%}", row["agreement"]),
        Cell(format_worst_class(row), row["worst_class_drop"]),
        Cell(f"{row['samples']:,}", row["samples"]),
    ]


def _cost_cell(cost: float | None, form: str) -> Cell:
    """Return the cell of a time or a size; one that was not measured is sorted before all others."""
    return Cell(format_cost(cost, form, ""), -1.0 if cost is None else cost)


def device_cells(row: DeviceRow, has_budgets: bool = False) -> list[Cell]:
    """Return the cells of one file on one device, in the order of `device_rows.device_columns`; they are sorted as they
    are read."""
    verdict = _verdict_kind(row["verdict"], describe_outcome(row))
    kinds, columns = {VERDICT: verdict}, device_rows.device_columns([row], has_budgets)
    return [
        Cell(_break_lines(text, column in device_rows.WORDS), text, kinds.get(column, ""))
        for column, text in zip(columns, device_rows.device_cells(row, has_budgets), strict=True)
    ]


def _break_lines(text: str, are_words: bool) -> str:
    """Return text with marks for where lines may break: words within paths too; numbers before an interval, and nowhere
    else."""
    if are_words:
        return re.sub(r"(?<=\w)/", f"{MAY_BREAK}/", text)
    return text.replace(", ", f",{NO_BREAK}").replace(" / ", f"{NO_BREAK}/{NO_BREAK}").replace(" MiB", f"{NO_BREAK}MiB")


def _verdict_kind(verdict: str, shown: str) -> str:
    """Return the class of the style sheet for a `verdict` that is `shown` in other words."""
    return "good" if shown == PASSED else "bad" if verdict == FAILED else "open"


def epoch_table(rows: Rows) -> dict[str, Any]:
    """Return {"columns", "rows"} of log.jsonl."""
    metrics = metric_columns(rows[0])
    keys = ["epoch", "loss", "val_loss"]
    keys += [prefix + name for name in metrics for prefix in ("", "val_") if prefix + name in rows[0]]
    keys += [key for key in ("learning_rate", "images_per_second") if key in rows[0]]
    shares = {prefix + name for name in metrics for prefix in ("", "val_")}
    forms = {key: _epoch_form(rows, key, key in shares) for key in keys}
    return {
        "columns": [_epoch_column(key) for key in keys],
        "rows": [[_epoch_cell(row.get(key), forms[key]) for key in keys] for row in rows],
    }


def _epoch_column(key: str) -> str:
    names = {"epoch": "epoch", "learning_rate": "learning rate", "images_per_second": "images/s"}
    is_validation = key.startswith("val_")
    return names.get(key) or f"{'validation' if is_validation else 'training'} {metric_label(key.removeprefix('val_'))}"


def _epoch_form(rows: Rows, key: str, is_share: bool) -> str:
    whole = key in ("epoch", "images_per_second")
    return ".2%" if is_share else ".0f" if whole else choose_form([row.get(key) for row in rows])


def _epoch_cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def choose_form(values: Iterable[float | None]) -> str:
    """Return the format of a column of numbers: as many decimals for all as give the largest four digits."""
    largest = max((abs(each) for each in values if each is not None and isfinite(each)), default=0.0)
    return f".{max(0, 3 - floor(log10(largest))) if largest else 0}f"


def class_table(analysis: Analysis) -> dict[str, Any]:
    """Return {"columns", "worst", "note", "warning"} of the numbers by class. worst: the classes with the lowest main
    number, none where all are equal. warning: of thresholds that were fitted to few images, "" where there are none."""
    rows = analysis["by_class"]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    main = next((key for key in MAIN_NUMBERS if key in keys), "")
    values = {row["label"]: value for row in rows if isinstance(value := row.get(main), (int, float))}
    low = min(values.values(), default=0.0)
    worst = [label for label, value in values.items() if value == low] if len(set(values.values())) > 1 else []
    counted_things = "objects" if "objects" in keys else "images"
    note = f"Lowest {column_name(main)}, {low:.1%}: {_name_some(list(map(str, worst)))}. " if worst else ""
    note += f"Support: the number of validation {counted_things}."
    if "threshold" in keys:
        note = f"{note} Recall, precision and F1 from the threshold on, which was fitted on the same images."
    if "threshold" in analysis:
        note = (
            f"{note} Precision, recall and F1 at an IoU of 0.5 and a confidence of {analysis['threshold']:.0%} or more."
        )
    return {"columns": keys, "worst": worst, "note": note, "warning": describe_few_images(rows)}


def _name_some(names: Sequence[str]) -> str:
    """Name the first of many classes, and say how many there are."""
    if len(names) <= MAX_NAMED_CLASSES:
        return ", ".join(names)
    return f"{', '.join(names[:MAX_NAMED_CLASSES])}, … ({counted(len(names), 'class', plural='classes')})"


def column_name(key: str) -> str:
    """Return the head of a column of numbers by class."""
    return COLUMN_NAMES.get(key, key)


def confusion_table(matrix: Sequence[Sequence[int]], classes: Sequence[str], analysis: Analysis) -> dict[str, Any]:
    """Return {"labels", "rows", "note"} of a confusion matrix, whose last row and column may be the background. A
    cell's share is that of its row."""
    labels = [*classes, *["background"] * (len(matrix) - len(classes))]
    rows = [
        {"label": label, "cells": [_confusion_cell(counts, row, column, labels) for column in range(len(labels))]}
        for row, (label, counts) in enumerate(zip(labels, matrix, strict=True))
    ]
    if len(labels) == len(classes):
        return {"labels": labels, "rows": rows, "note": "Numbers of validation images; the diagonal is correct."}
    note = (
        f"Numbers of objects, predicted with a confidence of {analysis.get('threshold', 0):.0%} or more and matched at"
        " an IoU of 0.5. Column background: objects that are missed; row background: predictions where no object is."
    )
    return {"labels": labels, "rows": rows, "note": note}


def _confusion_cell(counts: Sequence[int], row: int, column: int, labels: Sequence[str]) -> Mapping[str, Any]:
    share = counts[column] / max(1, sum(counts))
    return {
        "count": counts[column],
        "share": share,
        "kind": "hit" if row == column else "miss",
        "title": f"{labels[row]} predicted as {labels[column]}: {counted(counts[column], 'time')}, {share:.1%}",
    }
