"""`kresnet report`: write report.html of a run."""

from __future__ import annotations

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.next_steps import EXPORT, is_at_chance, log_next_steps
from keras_resnet.cli.options import optional_run_argument, runs_option
from keras_resnet.cli.targets import find_run, log_newest


@click.command(cls=Command, epilog=format_examples("kresnet report", "kresnet report RUN --open"))
@optional_run_argument
@click.option("--again", is_flag=True, help="Evaluate the model again first, for example after the data have changed.")
@click.option("--open", "opens", is_flag=True, help="Open the report in the browser.")
@runs_option
def report(run: str | None, again: bool, opens: bool, runs: str | None) -> None:
    """Write the report of RUN, report.html.

    The report is a single page that needs no other file. It is that of the newest run by default. Training and export
    write it, too.
    """
    found = find_run(runs, run)
    found.require_finished()
    log_newest(found.name, run)
    from keras_resnet.api.functions import write_run_report

    console.emit(str(write_run_report(found, again)))
    if not found.verdict_rows():
        console.log("its files for devices are missing: nothing has been exported yet")
        if not is_at_chance(found):
            log_next_steps((f"export {found.name}", EXPORT), runs=runs)
    if opens:
        click.launch(str(found.report_file.resolve()))
