"""Compare runs side by side, as rows and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_resnet.metrics.labels import MACRO_RECALL, metric_label
from keras_resnet.metrics.outcome import (
    ABOVE,
    NOT_ABOVE,
    UNCLEAR,
    BaselineRow,
    format_cost,
    format_drop,
    format_value,
)
from keras_resnet.reporting.charts import compared_curves, metric_columns
from keras_resnet.reporting.recommend import Recommendation, describe_verdicts, recommend_file
from keras_resnet.reporting.templates import draw_charts, render_template
from keras_resnet.run import Run
from keras_resnet.run.documents import MetricsDocument
from keras_resnet.runtime.plurals import counted, format_large

# How a model compares with a baseline, in the words of a row.
STANDINGS = {"better than": ABOVE, "perhaps better than": UNCLEAR, "not better than": NOT_ABOVE}


def comparison_rows(runs: Sequence[Run]) -> list[dict[str, str | None]]:
    """Return a row for each run, in words: {"run", "network", "data", …, "recommended file", …}; None for what is not
    known of it."""
    return [_run_row(run) for run in runs]


def _run_row(run: Run) -> dict[str, str | None]:
    spec = run.spec()
    run.require_finished()
    metrics, log, optimizer = run.metrics(), run.read_log(), spec.optimizer
    analysis = run.analysis() if run.analysis_file.is_file() else None
    return {
        "run": run.name,
        "network": run.network_summary,
        "data": f"{spec.data.source}, {spec.data.input_words}",
        "metric": metric_label(metrics["metric"]),
        "value": f"{_format_metric(metrics, metrics['metric'], metrics['value'])} of {metrics['samples']:,} images",
        metric_label(MACRO_RECALL): (
            _format_metric(metrics, MACRO_RECALL, metrics["macro_recall"]) if "macro_recall" in metrics else None
        ),
        **_baseline_cells(analysis.get("baselines", []) if analysis else []),
        "last loss": f"{log[-1]['loss']:.4f}, validation {log[-1]['val_loss']:.4f}" if log else None,
        "training": f"{counted(len(log), 'epoch')} of {optimizer.name} at {optimizer.learning_rate:g}",
        "parameters": analysis and f"{sum(part['parameters'] for part in analysis['parts']):,}",
        "multiply-adds": analysis and format_large(sum(part["multiply_adds"] for part in analysis["parts"])),
        **_file_cells(recommend_file(describe_verdicts(run))),
    }


def _baseline_cells(baselines: Sequence[BaselineRow]) -> dict[str, str | None]:
    """Return the baselines that the model is better than, perhaps or for certain, and not; None where there is none."""
    cells = {
        label: [f"{each['value']:.2%}, {each['baseline']}" for each in baselines if each["standing"] == standing]
        for label, standing in STANDINGS.items()
    }
    return {label: "; ".join(words) or None for label, words in cells.items()}


def list_known(rows: Sequence[Mapping[str, str | None]]) -> list[str]:
    """List the keys of `rows` that are known of one of them at least, in order; the name of the run is none of them."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if key != "run" and any(row.get(key) for row in rows)]


def _format_metric(metrics: MetricsDocument, name: str, value: float) -> str:
    """Return a value with its interval, where there is one."""
    return format_value(value, metrics.get("intervals", {}).get(name))


def _file_cells(file: Recommendation | None) -> dict[str, str | None]:
    """Return what is known of the recommended file; None where there is none."""
    return {
        "recommended file": file and file["file"],
        "its value": file and f"{metric_label(file['metric'])} {file['value']:.2%} of {file['samples']:,}",
        "its drop [95%]": file and format_drop(file),
        "its verdict": file and file["outcome"],
        "its size": file and f"{file['megabytes']:.2f} MB",
        "its latency": file and format_cost(file["latency_ms"], ".2f", " ms"),
    }


def render_comparison(
    runs: Sequence[Run], rows: Sequence[Mapping[str, str | None]], conclusions: Sequence[str] = ()
) -> str:
    """Return the rows as a page, with the runs' curves above each other, and what paired comparisons conclude."""
    logs = {run.name: log for run in runs if (log := run.read_log(lambda message: None))}
    metrics = dict.fromkeys(metric_columns(log[0])[0] for log in logs.values() if metric_columns(log[0]))
    curves = [compared_curves(logs, "val_loss", "validation loss")]
    curves += [compared_curves(logs, f"val_{name}", f"validation {metric_label(name)} (%)", 100) for name in metrics]
    shown = [chart for chart in curves if chart]
    values: dict[str, Any] = {
        "rows": rows,
        "keys": list_known(rows),
        "curves": shown,
        "headline": _describe_best(runs) if len(runs) == len(rows) else "",
        "conclusions": conclusions,
    }
    return render_template("compare.html", values | draw_charts(shown))


def describe_difference(runs: Sequence[Run]) -> str:
    """Say why the metrics of `runs` must not be compared: they are different ones, or of different validation images,
    as their number and labels tell; "" where they may be, or where that is not known."""
    names = [metric_label(run.metrics()["metric"]) for run in runs]
    if len(set(names)) > 1:
        return f"not comparable: the runs have different metrics ({_name_each(runs, names)})"
    recorded = [run.document().get("data", {}).get("validation") for run in runs]
    images = [each for each in recorded if each is not None]
    if len(images) < len(runs) or len({(each["images"], each["ground_truth"]) for each in images}) == 1:
        return ""
    data = [f"{each['images']:,} of {run.spec().data.source}" for run, each in zip(runs, images, strict=True)]
    return f"not comparable: the runs were evaluated on different validation images ({_name_each(runs, data)})"


def _name_each(runs: Sequence[Run], words: Sequence[str]) -> str:
    return "; ".join(f"{run.name}: {each}" for run, each in zip(runs, words, strict=True))


def _describe_best(runs: Sequence[Run]) -> str:
    """Say which run has the best metric, or why they must not be compared."""
    if difference := describe_difference(runs):
        return f"{difference[0].upper()}{difference[1:]}."
    name, best = max(((run.name, run.metrics()) for run in runs), key=lambda item: item[1]["value"])
    return f"Best {metric_label(best['metric'])}: {name}, {best['value']:.2%} of {best['samples']:,} validation images."
