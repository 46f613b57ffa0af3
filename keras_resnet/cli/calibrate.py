"""`kresnet calibrate`: how sure a classifier is, and when it answers "unknown"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import complete_run_names, json_option, runs_option
from keras_resnet.cli.setting_options import add_setting_options
from keras_resnet.cli.targets import find_run, log_newest
from keras_resnet.config.given_options import select_given
from keras_resnet.export.confidence_settings import CalibrationSettings

if TYPE_CHECKING:
    from keras_resnet.api.calibrating import CalibrationReport


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet calibrate RUN",
        "kresnet calibrate RUN --accept 0.99 --unknown folder/",
    ),
)
@click.argument("run_name", metavar="[RUN]", required=False, shell_complete=complete_run_names)
@add_setting_options(CalibrationSettings, repeats=False)
@runs_option
@json_option
def calibrate(run_name: str | None, runs: str | None, as_json: bool, **options: Any) -> None:
    """Fit RUN's confidence, and when it answers "unknown".

    Fits two things on the validation images: a temperature, so that about 80% of the predictions with a confidence of
    80% are right, and the rule by which predict --reject, kresnet-edge and the scripts for devices answer "unknown".
    Stores both in the run, by default the newest, and in its exported files.
    """
    settings = CalibrationSettings(**select_given(options))
    run = find_run(runs, run_name)
    run.require_finished()
    log_newest(run.name, run_name)
    from keras_resnet.api.calibrating import calibrate_and_keep

    report = calibrate_and_keep(run, settings)
    if as_json:
        console.emit_json(report.document)
    else:
        print_calibration(run.name, report)
        console.emit(f"all numbers: {run.confidence_file}")
    if report.renewed:
        console.log(f"written into the metadata of {', '.join(report.renewed)}; networks and verdicts are as they were")
    if report.stale:
        console.log(f"not written into {', '.join(report.stale)}: write again with kresnet export {run.name}")


def print_calibration(name: str, report: CalibrationReport) -> None:
    """Print a table by model, and what was fitted."""
    from keras_resnet.reporting.confidence import COLUMNS, calibration_rows, describe_calibration

    title = f"{name}: {describe_calibration(report.document)}"
    console.print_table(title, list(COLUMNS), calibration_rows(report.document), prose=COLUMNS[:1])
    for line in report.results:
        console.emit(line)
