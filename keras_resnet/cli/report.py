"""`kresnet report` and `kresnet compare`."""

from __future__ import annotations

from pathlib import Path

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.next_steps import EXPORT, is_at_chance, log_next_steps
from keras_resnet.cli.options import complete_run_names, json_option, optional_run_argument, runs_option
from keras_resnet.cli.outputs import prepare_save
from keras_resnet.cli.targets import find_run, log_newest
from keras_resnet.errors import UsageError


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
    if not found.verdicts():
        console.log("its files for devices are missing: nothing has been exported yet")
        if not is_at_chance(found):
            log_next_steps((f"export {found.name}", EXPORT), runs=runs)
    if opens:
        click.launch(str(found.report_file.resolve()))


@click.command(
    cls=Command, epilog=format_examples("kresnet compare RUN RUN", "kresnet compare RUN RUN --save compared.html")
)
@click.argument("names", nargs=-1, required=True, metavar="RUN RUN...", shell_complete=complete_run_names)
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE", help="Also write the comparison as an HTML page to FILE."
)
@runs_option
@json_option
def compare(names: tuple[str, ...], save: Path | None, runs: str | None, as_json: bool) -> None:
    """Compare runs side by side.

    Shows their networks and settings, how accurate they are, and what their exported files cost.
    """
    if len(names) < 2:
        raise UsageError(f"compare puts two runs or more side by side; one alone: kresnet report {names[0]}")
    from keras_resnet.reporting.compare import comparison_rows, describe_difference, list_known, render_comparison

    found = [find_run(runs, name) for name in names]
    if save:
        prepare_save(save)
    rows = comparison_rows(found)
    if save:
        from keras_resnet.atomic_write import write_atomically

        with write_atomically(save) as temporary:
            temporary.write_text(render_comparison(found, rows), encoding="utf-8")
        console.log(f"page: {save}")
    if as_json:
        console.emit_json(rows)
        return
    columns = [run.name for run in found]
    cells = [[key, *(row[key] or "–" for row in rows)] for key in list_known(rows)]
    console.print_table("", ["", *columns], cells, prose=columns, folds=True)
    if difference := describe_difference(found):
        console.log(difference)
    if missing := [run.name for run in found if not run.verdicts() and not is_at_chance(run)]:
        log_next_steps(*((f"export {name}", EXPORT) for name in dict.fromkeys(missing)), runs=runs)
