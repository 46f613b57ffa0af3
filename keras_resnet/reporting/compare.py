"""Write runs and exported files side by side as a page, and say which must not be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_resnet.metrics.labels import metric_label
from keras_resnet.reporting.charts import compared_curves, metric_columns
from keras_resnet.reporting.compared_models import ComparedRow, list_known
from keras_resnet.reporting.templates import draw_charts, render_template
from keras_resnet.run import Run


@dataclass(frozen=True)
class DescribedPair:
    """How two models differ on the same images: a table with a `title`, and sentences below it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    remark: str
    conclusion: str


def render_comparison(
    runs: Sequence[Run], rows: Sequence[ComparedRow], pairs: Sequence[DescribedPair] = (), problem: str = ""
) -> str:
    """Return the rows as a page, with how pairs of the models differ, and the runs' curves above each other. problem:
    why there are no pairs."""
    logs = {name: log for name, run in _name_apart(runs).items() if (log := run.read_log(lambda message: None))}
    metrics = dict.fromkeys(metric_columns(log[0])[0] for log in logs.values() if metric_columns(log[0]))
    curves = [compared_curves(logs, "val_loss", "validation loss")]
    curves += [compared_curves(logs, f"val_{name}", f"validation {metric_label(name)} (%)", 100) for name in metrics]
    shown = [chart for chart in curves if chart]
    values: dict[str, Any] = {
        "rows": rows,
        "keys": list_known(rows),
        "curves": shown,
        "headline": _describe_best(runs) if len(runs) == len(rows) and not pairs and not problem else "",
        "pairs": pairs,
        "problem": problem,
    }
    return render_template("compare.html", values | draw_charts(shown))


def _name_apart(runs: Sequence[Run]) -> dict[str, Run]:
    """Return each of the runs once, by its name, or by its folder where two have one name."""
    by_folder = {run.folder.resolve(): run for run in runs}
    by_name = {run.name: run for run in by_folder.values()}
    return by_name if len(by_name) == len(by_folder) else {str(folder): run for folder, run in by_folder.items()}


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
