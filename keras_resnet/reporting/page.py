"""report.html: all that is known of a run on one page, which needs nothing else."""

from __future__ import annotations

import dataclasses
import json
import shlex
from itertools import chain
from pathlib import Path
from typing import Any

from keras_resnet.config.fields import flat
from keras_resnet.config.recipes.detection import default_config
from keras_resnet.config.spec import Spec
from keras_resnet.metrics.outcome import interval_in_words, shared_remarks_on, standings_in_words
from keras_resnet.progress import log, waiting
from keras_resnet.reporting.recommend import described, recommended
from keras_resnet.run import Run
from keras_resnet.run.files import Diagnosis, Findings
from keras_resnet.runtime.plurals import counted

# What a metric is called where its name is none for people, and what a task is.
METRICS = {"top1": "right answers"}
TASKS = {
    "classify": "image classification",
    "localize": "localization",
    "detect": "object detection",
    "segment": "instance segmentation",
}
WORST_LAYERS = 20
# Of log.jsonl, what is drawn apart or not at all.
APART = ("epoch", "step", "loss", "learning_rate", "images_per_second")


def write_report(run: Run) -> None:
    """Write the report of a finished `run` from what stands in its folder."""
    with waiting(f"writing {run.report_file.name}"):
        run.write_text(run.report_file, page_of(run))


def publish_report(run: Run) -> Run:
    """`run`, whose report is written and where it stands told; one of an earlier version has none."""
    if run.findings_file.is_file():
        write_report(run)
        log(f"report: {run.report_file}")
    return run


def page_of(run: Run) -> str:
    """The report as HTML."""
    return rendered("report.html", **context_of(run))


def rendered(template: str, **values: Any) -> str:
    """One of the templates beside this file."""
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
    environment.filters["interval"] = interval_in_words
    return environment.get_template(template).render(**values)


def context_of(run: Run) -> dict[str, Any]:
    """What the template is given."""
    run.require_finished()
    document, spec, metrics, found = run.document(), run.spec(), run.metrics(), run.findings()
    verdicts, log, diagnosis = described(run), run.log(), run.diagnosis()
    best = recommended(verdicts)
    return {
        "run": run,
        "spec": spec,
        "classes": run.classes(),
        "task": TASKS[spec.task],
        "metrics": metrics,
        "metric": metric_in_words(metrics["metric"]),
        "found": found,
        "log": log,
        "verdicts": verdicts,
        "best": best,
        "remarks": list(dict.fromkeys(chain.from_iterable(map(shared_remarks_on, verdicts)))),
        "standings": standings_in_words(found.get("baselines", [])),
        "diagnosis": diagnosis,
        "figures": _figures(run, log, found, verdicts, best, diagnosis),
        "created": document["created"][:16].replace("T", " "),
        "versions": document["versions"],
        "command": command_of(spec),
        "settings": json.dumps(document["spec"], indent=2),
        "style": style(),
    }


def _figures(
    run: Run,
    log: list[dict[str, Any]],
    found: Findings,
    verdicts: list[dict[str, Any]],
    best: dict[str, Any] | None,
    diagnosis: Diagnosis | None,
) -> dict[str, str]:
    """The SVGs for which there is something to draw, by name."""
    from keras_resnet.reporting import figures

    drawn: dict[str, str] = {}
    if log:
        followed = [key for key in log[0] if not key.startswith("val_") and key not in APART]
        validated = [key.removeprefix("val_") for key in log[0] if key.startswith("val_")]
        judged = [key for key in validated if key not in (*followed, *APART)]
        drawn["curves"] = figures.curves(log, [*judged, *followed])
    if "confusion" in found:
        drawn["confusion"] = figures.confusion(found["confusion"], run.classes())
    if "calibration" in found:
        drawn["calibration"] = figures.calibration(found["calibration"]["bins"])
    if found.get("curves"):
        drawn["precision"] = figures.precision_recall(found["curves"])
    if verdicts:
        drawn["tradeoffs"] = figures.tradeoffs(verdicts, best["file"] if best else None)
    if diagnosis:
        drawn["layers"] = figures.layers(diagnosis["layers"][:WORST_LAYERS])
    return drawn


def command_of(spec: Spec) -> str | None:
    """What trains this again; None for a compressed network, which begins with another run."""
    if spec.compress.parent:
        return None
    ours, plain = (flat(dataclasses.asdict(each)) for each in (spec, default_config(spec.task)))
    changes = [f"{key}={json.dumps(value)}" for key, value in ours.items() if key != "task" and value != plain[key]]
    task = [] if spec.task == "classify" else ["--task", spec.task]
    return shlex.join(["kresnet", "train", *task, *(part for each in changes for part in ("--set", each))])


def metric_in_words(name: str) -> str:
    """A metric as people read it."""
    return METRICS.get(name, name)


def style() -> str:
    """The style sheet that stands in every page."""
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")
