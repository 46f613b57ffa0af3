"""Runs side by side."""

from __future__ import annotations

from typing import Any

from keras_resnet.metrics.outcome import drop_in_words, standings_in_words
from keras_resnet.reporting.page import metric_in_words, rendered, style
from keras_resnet.reporting.recommend import described, recommended
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted


def rows_of(runs: list[Run]) -> list[dict[str, Any]]:
    """Of each run, in words: {"run", "network", "data", …, "file to take", …}; None for what is not known of it."""
    return [_row(run) for run in runs]


def _row(run: Run) -> dict[str, Any]:
    spec = run.spec()
    run.require_finished()
    metrics, log = run.metrics(), run.log()
    found = run.findings() if run.findings_file.is_file() else None
    file = recommended(described(run))
    optimizer = spec.optimizer
    return {
        "run": run.name,
        "network": run.what,
        "data": f"{spec.data.source}, {spec.data.image_size} px",
        "metric": metric_in_words(metrics["metric"]),
        "value": f"{metrics['value']:.2%} of {metrics['samples']:,}",
        "beside baselines": "; ".join(standings_in_words(found.get("baselines", []))) or None if found else None,
        "last loss": f"{log[-1]['loss']:.4f}, validation {log[-1]['val_loss']:.4f}" if log else None,
        "training": f"{counted(len(log), 'epoch')} of {optimizer.name} at {optimizer.learning_rate:g}",
        "parameters": f"{sum(part['parameters'] for part in found['parts']):,}" if found else None,
        "multiply-adds": f"{sum(part['multiply_adds'] for part in found['parts']):,}" if found else None,
        "file to take": file and file["file"],
        "its value": file and f"{file['value']:.2%} of {file['samples']:,}",
        "its drop [95%]": file and drop_in_words(file),
        "its verdict": file and file["words"],
        "its size": file and f"{file['megabytes']:.2f} MB",
        "its latency": file and f"{file['latency_ms']:.2f} ms",
    }


def page_of(runs: list[Run], rows: list[dict[str, Any]]) -> str:
    """The same as a page, with the runs' curves above each other."""
    from keras_resnet.reporting import figures

    logs = {run.name: log for run in runs if (log := run.log(lambda message: None))}
    drawn = figures.together(logs) if logs else ""
    return rendered("compare.html", rows=rows, figure=drawn, style=style())
