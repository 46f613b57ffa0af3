"""`kresnet robustness`: how a run's model and its exported files do on corrupted images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import complete_run_names, json_option, runs_option
from keras_resnet.cli.setting_options import add_setting_options
from keras_resnet.cli.targets import find_run, find_target, log_newest
from keras_resnet.config.given_options import select_given
from keras_resnet.errors import UsageError
from keras_resnet.export.robustness_settings import RobustnessSettings

if TYPE_CHECKING:
    from keras_resnet.run.documents import RobustnessDocument


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet robustness RUN",
        "kresnet robustness RUN --corruptions noise,fog --severities 1,3,5",
        "kresnet robustness exports/int8.tflite",
    ),
)
@click.argument("target", metavar="[RUN|FILE]", required=False, shell_complete=complete_run_names)
@add_setting_options(RobustnessSettings, repeats=False)
@click.option("--run", "of_run", metavar="RUN", help="The run whose data FILE is evaluated on [default: its own].")
@runs_option
@json_option
def robustness(target: str | None, of_run: str | None, runs: str | None, as_json: bool, **options: Any) -> None:
    """Score RUN's model and files, or a FILE, on corrupted images.

    Adds noise, blur, snow, JPEG, … to the validation images in five severities, as ImageNet-C does, and rotates, scales
    and darkens them. All models see the same images, which shows whether int8 files break sooner. Stores the results of
    a run, by default the newest, in its folder, in place of earlier ones, and shows them in its report.
    """
    settings = RobustnessSettings(**select_given(options))
    found = find_target(runs, target, of_run)
    from keras_resnet.api.robustness import measure_and_keep, measure_file
    from keras_resnet.export.load import is_exported_file
    from keras_resnet.run import runs_home

    run = None if is_exported_file(found) else find_run(runs, found)
    if run is None and settings.files:
        raise UsageError("--files says which exported files of a run; a file was named already")
    if run is not None:
        run.require_finished()
    log_newest(found, target)

    if run is not None:
        document = measure_and_keep(run, settings)
    else:
        document = measure_file(Path(found), settings, runs_home(runs), of_run)
    if as_json:
        console.emit_json(document)
        return
    print_robustness(found, document)
    if run is not None:
        console.emit(f"all numbers: {run.robustness_file}, plotted: {run.robustness_plot}")


def print_robustness(title: str, document: RobustnessDocument) -> None:
    """Print a table by corruption, and what it shows."""
    from keras_resnet.reporting.robustness import (
        HOW_TO_READ,
        describe_robustness,
        list_conclusions,
        robustness_columns,
        robustness_rows,
    )

    columns = robustness_columns(document)
    words = f"{title}: {describe_robustness(document)}; {HOW_TO_READ}"
    console.print_table(words, columns, robustness_rows(document), prose=columns[:1])
    for line in list_conclusions(document):
        console.emit(line)
