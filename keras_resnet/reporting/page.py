"""Write report.html: all that is known of a run on one page, which needs nothing else."""

from __future__ import annotations

import dataclasses
import json
import shlex
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from keras_resnet.config.section import flatten
from keras_resnet.config.spec import Spec
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import describe_baselines, format_interval, list_shared_remarks
from keras_resnet.progress import log, show_activity
from keras_resnet.reporting.recommend import DescribedVerdict, Recommendation, describe_verdicts, recommend_file
from keras_resnet.run import Run
from keras_resnet.run.documents import Analysis, Diagnosis
from keras_resnet.runtime.plurals import counted

MAX_LAYERS = 20
# Columns of log.jsonl that are drawn in figures of their own or not at all.
OTHER_COLUMNS = ("epoch", "step", "loss", "learning_rate", "images_per_second")


@dataclass(frozen=True)
class _Contents:
    """What the files of a finished run hold."""

    labels: tuple[str, ...]
    log: list[dict[str, float]]
    analysis: Analysis
    verdicts: list[DescribedVerdict]
    recommended: Recommendation | None
    diagnosis: Diagnosis | None


def write_report(run: Run) -> None:
    """Write the report of a finished `run` from what its folder holds."""
    with show_activity(f"writing {run.report_file.name}"):
        run.write_text(run.report_file, render_report(run))


def publish_report(run: Run) -> Run:
    """Write the report of `run` and log where it is; a run without an analysis has none."""
    if run.analysis_file.is_file():
        write_report(run)
        log(f"report: {run.report_file}")
    return run


def render_report(run: Run) -> str:
    """Return the report as HTML."""
    return render_template("report.html", report_context(run))


def render_template(template: str, values: dict[str, Any]) -> str:
    """Render one of the templates beside this file."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("keras_resnet.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.2f}%"
    environment.filters["points"] = lambda share: f"{100 * share:+.2f}"
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["counted"] = lambda number, noun, plural="", form=",": counted(number, noun, form, plural)
    environment.filters["interval"] = format_interval
    environment.filters["metric"] = metric_label
    return environment.get_template(template).render(**values)


def report_context(run: Run) -> dict[str, Any]:
    """Return what the template is given."""
    from keras_resnet.tasks import TASKS  # imports NumPy, which --help does without

    run.require_finished()
    document, spec, metrics, analysis = run.document(), run.spec(), run.metrics(), run.analysis()
    verdicts = describe_verdicts(run)
    contents = _Contents(run.classes(), run.read_log(), analysis, verdicts, recommend_file(verdicts), run.diagnosis())
    return {
        "run": run,
        "spec": spec,
        "task": TASKS[spec.task],
        "metrics": metrics,
        "metric": metric_label(metrics["metric"]),
        "contents": contents,
        "analysis": analysis,
        "verdicts": verdicts,
        "recommended": contents.recommended,
        "verdict_metric": metric_label(verdicts[0]["metric"]) if verdicts else "",
        "remarks": list(dict.fromkeys(chain.from_iterable(map(list_shared_remarks, verdicts)))),
        "baselines": describe_baselines(analysis.get("baselines", [])),
        "diagnosis": contents.diagnosis,
        "figures": _draw_figures(contents),
        "created": document["created"][:16].replace("T", " "),
        "versions": document["versions"],
        "command": training_command(spec),
        "settings": json.dumps(document["spec"], indent=2),
        "style": read_style(),
    }


def _draw_figures(contents: _Contents) -> dict[str, str]:
    """Return the SVGs for which there is something to draw, by name."""
    from keras_resnet.reporting import figures

    analysis, recommended = contents.analysis, contents.recommended
    drawn: dict[str, str] = {}
    if contents.log:
        drawn["curves"] = figures.draw_learning_curves(contents.log, _metric_columns(contents.log[0]))
    if "confusion" in analysis:
        drawn["confusion"] = figures.draw_confusion_matrix(analysis["confusion"], contents.labels)
    if "calibration" in analysis:
        drawn["calibration"] = figures.draw_calibration(analysis["calibration"]["bins"])
    if curves := analysis.get("curves"):
        drawn["precision"] = figures.draw_precision_recall(curves)
    if contents.verdicts:
        drawn["tradeoffs"] = figures.draw_tradeoffs(contents.verdicts, recommended and recommended["file"])
    if contents.diagnosis:
        drawn["layers"] = figures.draw_layer_sensitivity(contents.diagnosis["layers"][:MAX_LAYERS])
    return drawn


def _metric_columns(row: dict[str, float]) -> list[str]:
    """Return the names of metrics in a row of log.jsonl: those of validation alone first."""
    trained = [key for key in row if not key.startswith("val_") and key not in OTHER_COLUMNS]
    validated = [key.removeprefix("val_") for key in row if key.startswith("val_")]
    return [*(key for key in validated if key not in (*trained, *OTHER_COLUMNS)), *trained]


def training_command(spec: Spec) -> str | None:
    """Return the command that trains this again; None for a compressed network, which starts from another run."""
    from keras_resnet.tasks import default_config

    if spec.compress.parent:
        return None
    settings, defaults = (flatten(dataclasses.asdict(each)) for each in (spec, default_config(spec.task)))
    words = ["kresnet", "train"]
    if spec.task != Spec().task:
        words += ["--task", spec.task]
    for key, value in settings.items():
        # Which network is the default depends on the data.
        if key == "network.depth" or (key != "task" and value != defaults[key]):
            words += ["--set", f"{key}={json.dumps(value)}"]
    return shlex.join(words)


def read_style() -> str:
    """Read the style sheet that is part of every page."""
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")
