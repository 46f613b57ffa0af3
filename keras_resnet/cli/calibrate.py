"""`kresnet calibrate`: how sure a classifier is and when it answers "unknown"; from which score objects are shown."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, GroupedOption, format_examples
from keras_resnet.cli.next_steps import log_next_steps
from keras_resnet.cli.options import complete_run_names, json_option, runs_option
from keras_resnet.cli.setting_options import add_setting_options
from keras_resnet.cli.targets import find_run, log_newest
from keras_resnet.config.given_options import select_given
from keras_resnet.config.option_groups import OTHER
from keras_resnet.errors import UsageError
from keras_resnet.export.confidence_settings import CalibrationSettings

if TYPE_CHECKING:
    from keras_resnet.api.calibrating import CalibrationReport, ThresholdReport


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet calibrate RUN",
        "kresnet calibrate RUN --accept 0.99 --unknown folder/",
        "kresnet calibrate RUN --forget",
    ),
)
@click.argument("run_name", metavar="[RUN]", required=False, shell_complete=complete_run_names)
@add_setting_options(CalibrationSettings, repeats=False)
@click.option(
    "--forget",
    is_flag=True,
    help="Remove what was fitted, from the run and its exported files; takes no other option.",
    cls=GroupedOption,
    group=OTHER,
)
@runs_option
@json_option
def calibrate(run_name: str | None, runs: str | None, as_json: bool, forget: bool, **options: Any) -> None:
    """Fit RUN's confidence, "unknown" and score thresholds.

    All is fitted on the validation images. For a classifier: a temperature, so that about 80% of the predictions with a
    confidence of 80% are correct, and the rule by which predict --reject, kresnet-edge and the scripts for devices
    answer "unknown". For a detector or instance segmentation: for each class, the score threshold with the best F1.
    Stores them in the run, by default the newest, and in its exported files.
    """
    given = select_given(options)
    CalibrationSettings(**given)
    if forget and (given or as_json):
        first = next((f"--{name}" for name in given), "--json")
        raise UsageError(f"--forget removes what was fitted and takes no other option. Received: {first}")
    run = find_run(runs, run_name)
    run.require_finished()
    log_newest(run.name, run_name)
    from keras_resnet.api.calibrating import calibrate_and_keep, describe_renewed, forget_calibration
    from keras_resnet.reporting.fitted import list_steps

    if forget:
        for line in forget_calibration(run):
            console.emit(line)
        return
    report = calibrate_and_keep(run, given)
    if as_json:
        console.emit_json(report.document)
    else:
        print_calibration(run.name, report)
        console.emit(f"all numbers: {run.confidence_file}")
    if report.renewed:
        console.log(f"written into the metadata of {describe_renewed(report.renewed, report.grown)}")
    if report.stale:
        console.log(f"not written into {', '.join(report.stale)}: write again with kresnet export {run.name}")
    for name in report.changed:
        console.log(f"not written: {run.describe_changed(name)}")
    if as_json:
        return
    plots = (f"report {shlex.quote(run.name)} --open", "see it in plots")
    log_next_steps(*list_steps(report.document, run.name), plots, runs=runs)


def print_calibration(name: str, report: CalibrationReport | ThresholdReport) -> None:
    """Print what was fitted and what it does, the tables, and what their columns are."""
    conclusion, *details = report.summary.results
    for line in (f"{name}: {conclusion}", *details):
        console.emit(line)
    for each in report.summary.tables:
        console.print_table(each.title, each.columns, each.rows, prose=each.columns[:1], spare=each.spare)
    console.emit(report.summary.how_to_read)
