"""Describe runs and exported files side by side: a row for each, in words, for the terminal, a page and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_resnet.metrics.labels import MACRO_RECALL, metric_label
from keras_resnet.metrics.outcome import (
    ABOVE,
    NOT_ABOVE,
    UNCLEAR,
    BaselineRow,
    format_cost,
    format_interval,
)
from keras_resnet.metrics.result import Evaluation
from keras_resnet.reporting.recommend import DescribedVerdict, describe_verdicts, recommend_file
from keras_resnet.run import Run
from keras_resnet.run.documents import Analysis
from keras_resnet.runtime.plurals import counted, format_large

# How a model compares with a baseline, as a row is called.
STANDINGS = {"baselines beaten": ABOVE, "baselines perhaps beaten": UNCLEAR, "baselines not beaten": NOT_ABOVE}
# The name of a model, which is the head of its column.
MODEL = "model"
ComparedRow = Mapping[str, str | None]


def describe_run(run: Run, name: str, evaluation: Evaluation | None = None) -> dict[str, str | None]:
    """Return the row of a run, in words: {"model", "network", "data", …, "exported file", …}; None for what is not
    known of it.

    name: of its column. evaluation: of its Keras model, made for the comparison; without one, the metrics are those
    that the run's folder holds. The exported file is the recommended one.
    """
    run.require_finished()
    log, optimizer = run.read_log(), run.spec().optimizer
    analysis = _read_analysis(run)
    file = recommend_file(describe_verdicts(run))
    return {
        MODEL: name,
        **_describe_network(run),
        **(_metric_cells(evaluation) if evaluation else _stored_metric_cells(run)),
        **_baseline_cells(analysis.get("baselines", []) if analysis else []),
        "training loss, last epoch": f"{log[-1]['loss']:.4f}" if log else None,
        "validation loss, last epoch": f"{log[-1]['val_loss']:.4f}" if log else None,
        "epochs": str(len(log)) if log else None,
        "optimizer": f"{optimizer.name}, learning rate {optimizer.learning_rate:g}",
        **_describe_size(analysis),
        "exported file": file and f"{file['file']} (recommended)",
        **(_verdict_cells(file) if file else {}),
    }


def describe_file(
    run: Run, name: str, file: Path, size: int, evaluation: Evaluation | None, verdict: DescribedVerdict | None
) -> dict[str, str | None]:
    """Return the row of an exported `file` of `run`, of so many bytes, as `describe_run` has those of runs.

    evaluation: of the file, made for the comparison. verdict: the run's verdict on it, where it has one.
    """
    known = _verdict_cells(verdict) if verdict else {"file size": f"{size / 1e6:.2f} MB"}
    metrics = _metric_cells(evaluation) if evaluation else {}
    from_run = {"exported from": run.name, **_describe_network(run)}
    return {
        MODEL: name,
        **from_run,
        **metrics,
        **_describe_size(_read_analysis(run)),
        "exported file": file.name,
        **known,
    }


def list_known(rows: Sequence[ComparedRow]) -> list[str]:
    """List the keys of `rows` that are known of one of them at least; the name of the model is none of them. What only
    later rows have stands where they have it."""
    keys: list[str] = []
    for row in rows:
        place = 0
        for key in row:
            if key in keys:
                place = keys.index(key) + 1
            else:
                keys.insert(place, key)
                place += 1
    return [key for key in keys if key != MODEL and any(row.get(key) for row in rows)]


def _describe_network(run: Run) -> dict[str, str | None]:
    data = run.spec().data
    return {"network": run.network_summary, "data": f"{data.source}, {data.input_words}"}


def _read_analysis(run: Run) -> Analysis | None:
    return run.analysis() if run.analysis_file.is_file() else None


def _describe_size(analysis: Analysis | None) -> dict[str, str | None]:
    """Return how large the network is, where the run's analysis says it."""
    parts = analysis["parts"] if analysis else []
    return {
        "parameters": f"{sum(part['parameters'] for part in parts):,}" if parts else None,
        "multiply-adds": format_large(sum(part["multiply_adds"] for part in parts)) if parts else None,
    }


def _metric_cells(evaluation: Evaluation) -> dict[str, str | None]:
    """Return the metric of an evaluation, macro recall, and of how many images they are."""
    metrics = evaluation.metrics
    values = {**metrics.values, **metrics.details}
    return _value_cells(evaluation.metric, values, metrics.intervals, evaluation.samples)


def _stored_metric_cells(run: Run) -> dict[str, str | None]:
    """Return the same of what metrics.json holds."""
    metrics = run.metrics()
    values = {metrics["metric"]: metrics["value"]}
    if "macro_recall" in metrics:
        values[MACRO_RECALL] = metrics["macro_recall"]
    return _value_cells(metrics["metric"], values, metrics.get("intervals", {}), metrics["samples"])


def _value_cells(
    metric: str, values: Mapping[str, float], intervals: Mapping[str, Sequence[float]], samples: int
) -> dict[str, str | None]:
    shown = [name for name in (metric, MACRO_RECALL) if name in values]
    cells: dict[str, str | None] = {
        metric_label(name): _format_value(values[name], intervals.get(name)) for name in shown
    }
    return {**cells, "validation images": f"{samples:,}"}


def _format_value(value: float, interval: Sequence[float] | None) -> str:
    return f"{value:.2%} [95% CI {100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else f"{value:.2%}"


def _baseline_cells(baselines: Sequence[BaselineRow]) -> dict[str, str | None]:
    """Return the baselines that the model is better than, perhaps or for certain, and not; None where there is none."""
    cells = {
        label: [f"{each['baseline']} ({each['value']:.2%})" for each in baselines if each["standing"] == standing]
        for label, standing in STANDINGS.items()
    }
    return {label: "; ".join(words) or None for label, words in cells.items()}


def _verdict_cells(row: DescribedVerdict) -> dict[str, str | None]:
    """Return what the verdict on an exported file says."""
    of = "" if row["drop_metric"] == row["metric"] else f" of {metric_label(row['drop_metric'])}"
    images = counted(row["samples"], "image", ",")
    return {
        "verdict": row["outcome"],
        "metric of the file": f"{metric_label(row['metric'])} {row['value']:.2%} of {images}",
        "drop, points [95% CI]": f"{100 * row['drop']:+z.2f} {format_interval(row['drop_interval'])}{of}",
        "file size": f"{row['megabytes']:.2f} MB",
        "latency of one image": format_cost(row["latency_ms"], ".2f", " ms"),
    }
