"""Write report.html: all that is known of a run on one page, which needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet.config.spec import Spec
from keras_resnet.metrics.labels import metric_label, metric_title
from keras_resnet.metrics.outcome import (
    NOT_ABOVE,
    UNVERIFIED,
    describe_baseline,
    describe_beaten,
    describe_details,
    describe_tested_metrics,
    describe_unbeaten,
    describe_unverified,
    find_unbeaten_constant,
    have_budgets,
    is_beaten_by,
    list_remarks,
    list_shared_remarks,
)
from keras_resnet.progress import log, show_activity
from keras_resnet.reporting.charts import Chart
from keras_resnet.reporting.fitted import CalibrationSection, list_steps, read_section
from keras_resnet.reporting.headline import Doubts, describe_headline
from keras_resnet.reporting.microcontroller import list_needs, list_notes
from keras_resnet.reporting.recommend import DescribedVerdict, Recommendation, describe_verdicts, recommend_file
from keras_resnet.reporting.robustness import describe_section, robustness_charts
from keras_resnet.reporting.shown_confidence import (
    describe_shown,
    describe_table,
    find_temperature,
    list_class_notes,
    reliability_chart,
    with_temperature,
)
from keras_resnet.reporting.templates import draw_charts, render_template
from keras_resnet.reporting.tiles import describe_metric, list_tiles
from keras_resnet.run import Run
from keras_resnet.run.command import changed_command, training_command
from keras_resnet.run.documents import (
    WARNING,
    Analysis,
    BaselineRow,
    Diagnosis,
    RobustnessDocument,
    list_warnings,
    without_models,
)
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from keras_resnet.tasks import Task

# A mean average precision of these below which no file of a detector is of use.
OBJECT_METRICS, USELESS_MAP = ("box mAP", "mask mAP"), 0.05


@dataclass(frozen=True)
class _Contents:
    """What the files of a finished run hold."""

    run: Run
    spec: Spec
    labels: tuple[str, ...]
    log: list[dict[str, float]]
    analysis: Analysis
    verdicts: list[DescribedVerdict]
    device_rows: list[dict[str, Any]]
    diagnosis: Diagnosis | None
    robustness: RobustnessDocument | None
    fitted: CalibrationSection | None
    changed: list[str]

    @classmethod
    def read(cls, run: Run) -> _Contents:
        """Read the files of `run`. Raises RunError for one that is missing or damaged."""
        run.require_finished()
        verdicts, devices, changed = describe_verdicts(run), run.device_verdicts(), run.changed_files()
        fitted, classes = read_section(run), run.classes()
        analysis = with_temperature(run.analysis(), classes, find_temperature(fitted))
        if robustness := run.robustness():
            robustness = without_models(robustness, changed)
        parts = (verdicts, devices, run.diagnosis(), robustness, fitted, changed)
        return cls(run, run.spec(), classes, run.read_log(), analysis, *parts)

    @property
    def task(self) -> type[Task]:
        """The run's task."""
        from keras_resnet.tasks import TASKS  # imports NumPy, which --help does without

        return TASKS[self.spec.task]

    @cached_property
    def recommended(self) -> Recommendation | None:
        """The recommended file."""
        return recommend_file(self.verdicts)

    @cached_property
    def charts(self) -> dict[str, list[Chart]]:
        """The charts for which there is something to draw, by the section they stand in."""
        from keras_resnet.reporting import charts
        from keras_resnet.reporting.device_rows import throttling_charts
        from keras_resnet.reporting.file_charts import file_charts

        analysis, best = self.analysis, self.recommended
        curves, f1_curves = analysis.get("curves", {}), analysis.get("f1_curves", {})
        shown = charts.choose_classes(analysis["by_class"], curves or f1_curves)
        on_curve, chosen = charts.list_chosen_points(analysis["by_class"])
        in_classes = [
            charts.precision_recall_chart(curves, shown, self.task.finds_objects(), on_curve) if curves else None,
            charts.f1_chart(f1_curves, shown, chosen) if f1_curves else None,
            reliability_chart(analysis, self.fitted),
        ]
        return {
            "files": file_charts(self.verdicts, best and best["file"]),
            "devices": throttling_charts(self.device_rows),
            "training": charts.learning_curves(self.log),
            "classes": [chart for chart in in_classes if chart],
            "layers": charts.sensitivity_charts(self.diagnosis["layers"]) if self.diagnosis else [],
            "robustness": robustness_charts(self.robustness) if self.robustness else [],
            "confidence": self.fitted.charts if self.fitted else [],
        }

    @property
    def sections(self) -> dict[str, str]:
        """The titles of the page's sections by their ids, in order."""
        samples = "Most confident mistakes" if self.task.samples_are_mistakes else "Sample predictions"
        titles = {
            "exports": "Exported files" if self.verdicts else "",
            "devices": "On devices" if self.device_rows else "",
            "training": "Training" if self.log else "",
            "classes": "Results by class",
            "samples": samples,
            "heat_maps": "Heat maps" if self.analysis.get("heat_maps") else "",
            "robustness": "Robustness" if self.robustness else "",
            "confidence": self.fitted.summary.heading if self.fitted else "",
            "sensitivity": "Quantization sensitivity by layer" if self.diagnosis else "",
            "network": "Network",
            "reproduce": "Reproduce",
            "files": "Files of this run",
        }
        return {name: title for name, title in titles.items() if title}


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
    contents = _Contents.read(run)
    charts = list(chain.from_iterable(contents.charts.values()))
    return render_template("report.html", _context(contents) | draw_charts(charts))


def _context(contents: _Contents) -> dict[str, Any]:
    """Return what the template is given beside the charts."""
    run, spec, analysis, verdicts = contents.run, contents.spec, contents.analysis, contents.verdicts
    document, metrics = run.document(), run.metrics()
    baselines = analysis.get("baselines", [])
    unbeaten = describe_unbeaten(baselines)
    doubts, changed = _list_doubts(run, baselines), contents.changed
    headline = describe_headline(run.name, verdicts, contents.recommended, doubts, changed)
    return {
        "run": run,
        "spec": spec,
        "task": contents.task,
        "labels": contents.labels,
        "data_name": Path(spec.data.source).name or spec.data.source,
        "metrics": metrics,
        "metric": describe_metric(metrics),
        "analysis": analysis,
        "verdicts": verdicts,
        "recommended": contents.recommended,
        "headline": headline,
        "sections": contents.sections,
        "charts_of": contents.charts,
        "verdict_metric": metric_label(verdicts[0]["metric"]) if verdicts else "",
        "tested": describe_tested_metrics(verdicts[0]) if verdicts else "",
        "remarks": [words for words in _list_remarks(verdicts) if not words.endswith(tuple(unbeaten))],
        "details": [f"{row['file']}: {words}" for row in verdicts if (words := describe_details(row))],
        "micro": list_needs(verdicts),
        "micro_notes": list_notes(verdicts),
        "beaten": describe_beaten(baselines),
        "further": [each for each in unbeaten if each not in headline.stated],
        "diagnosis": contents.diagnosis,
        "created": document["created"][:16].replace("T", " "),
        "versions": document["versions"],
        "command": training_command(spec, document.get("request")),
        "warnings": list_warnings(document),
        "messages": document.get("messages", []),
        "settings": json.dumps(document["spec"], indent=2),
        "unverified": list(map(describe_unverified, run.unverified())),
        "changed": [run.describe_changed(name, run.name) for name in changed],
        "files": _list_files(run, verdicts, changed),
        **_describe_tables(contents),
        "robustness": describe_section(contents.robustness) if contents.robustness else None,
        "confidence": contents.fitted.summary if contents.fitted else None,
        "confidence_results": _list_confidence_results(contents),
        "confidence_steps": list_steps(contents.fitted.document, run.name) if contents.fitted else [],
    }


def _list_confidence_results(contents: _Contents) -> list[tuple[str, bool]]:
    """Return what was fitted and what it does: a sentence, and whether it is a warning."""
    results = contents.fitted.summary.results if contents.fitted else []
    return [(words.removeprefix(WARNING), words.startswith(WARNING)) for words in results]


def _list_doubts(run: Run, baselines: Sequence[BaselineRow]) -> Doubts:
    """Return what is known against the model of `run`, which was compared with `baselines`."""
    above = [each for each in baselines if each["standing"] == NOT_ABOVE]
    weaker, is_beaten = tuple(map(describe_baseline, above)), any(map(is_beaten_by, above))
    constant, little = find_unbeaten_constant(baselines), _describe_little(run)
    if constant is None and not little:
        return Doubts(weaker, is_beaten)
    from keras_resnet.evaluation.advice import advise, advised_command

    command = changed_command(run.spec(), run.document().get("request"), {})
    advice = advise(run)
    return Doubts(
        weaker,
        is_beaten,
        describe_baseline(constant) if constant else "",
        bool(constant and constant["standing"] == NOT_ABOVE),
        little,
        tuple(advice),
        command,
        advised_command(run, advice),
    )


def _describe_little(run: Run) -> str:
    """Say that a detector finds hardly any object; "" where it does, or the run is of another task."""
    metrics = run.metrics()
    if metrics["metric"] not in OBJECT_METRICS or metrics["value"] >= USELESS_MAP:
        return ""
    images = counted(metrics["samples"], "validation image", ",")
    return f"{metric_title(metrics['metric'])} is {metrics['value']:.2%} on {images}, so objects are hardly ever found"


def _list_remarks(verdicts: Sequence[DescribedVerdict]) -> list[str]:
    """Return what has to be known beside the verdicts, each once."""
    return [*list_remarks(verdicts), *dict.fromkeys(chain.from_iterable(map(list_shared_remarks, verdicts)))]


def _describe_tables(contents: _Contents) -> dict[str, Any]:
    """Return the tables of the page, and what stands below them."""
    from keras_resnet.reporting import device_rows, tables

    rows, can_calibrate = contents.device_rows, contents.task.has_one_label()
    analysis, verdicts = contents.analysis, contents.verdicts
    matrix, device_budgets = analysis.get("confusion"), have_budgets([*verdicts, *rows])
    return {
        "file_columns": tables.file_columns(verdicts) if verdicts else [],
        "file_cells": partial(tables.file_cells, has_budgets=have_budgets(verdicts)),
        "budgets_differ": have_budgets(verdicts),
        "device_rows": rows,
        "device_columns": device_rows.device_columns(rows, device_budgets) if rows else [],
        "device_words": device_rows.WORDS,
        "device_cells": partial(tables.device_cells, has_budgets=device_budgets),
        "device_remarks": device_rows.list_device_remarks(rows, verdicts) if rows else [],
        "device_runs": device_rows.describe_runs(rows) if rows else "",
        "column_name": tables.column_name,
        "epochs": tables.epoch_table(contents.log) if contents.log else None,
        "matrix": tables.confusion_table(matrix, contents.labels, analysis) if matrix else None,
        "by_class": tables.class_table(analysis),
        "table_note": describe_table(contents.fitted),
        "tiles": list_tiles(analysis, len(contents.log), contents.task.finds_objects()),
        "class_notes": list_class_notes(analysis, contents.run.name, contents.fitted, can_calibrate),
        "shown_note": describe_shown(analysis, contents.run.name, contents.fitted),
        "all_metrics": analysis.get("metrics", {}),
    }


def _list_files(run: Run, verdicts: list[DescribedVerdict], changed: list[str]) -> dict[str, str]:
    """Return what the run's files are for, by their paths from the report, of those that there are."""
    purposes = {
        run.model_file: "trained Keras model",
        run.labels_file: "class names, in the order of the outputs",
        run.spec_file: "all settings, versions and what the data were",
        run.metrics_file: "metrics on the validation images",
        run.analysis_file: "the numbers of this report",
        run.log_file: "loss, metrics and learning rate by epoch",
        run.curves_file: "loss and metric by epoch, drawn",
        **{run.exports / row["file"]: f"exported file, {row['outcome']}" for row in verdicts},
        **{run.exports / row["file"]: f"exported file, {UNVERIFIED}" for row in run.unverified()},
        **{run.exports / name: "exported file, changed since it was verified" for name in changed},
        run.exports / "model_card.md": "model card of the exported files",
        run.verdicts_file: "verdicts on the exported files",
        run.diagnosis_file: "sensitivity of the layers to 8 bits",
        run.robustness_file: "metrics on corrupted images",
        run.robustness_plot: "metric by severity, drawn",
        run.confidence_file: "what kresnet calibrate fitted",
    }
    return {file.relative_to(run.folder).as_posix(): words for file, words in purposes.items() if file.exists()}
