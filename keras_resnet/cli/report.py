"""`kresnet report` and `kresnet compare`."""

from __future__ import annotations

from pathlib import Path

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import complete_run_names, json_option, optional_run_argument, runs_option


@click.command(cls=Command, epilog=format_examples("kresnet report", "kresnet report RUN --again"))
@optional_run_argument
@click.option("--again", is_flag=True, help="Evaluate the model again first, for example after the data have changed.")
@runs_option
def report(run: str | None, again: bool, runs: str | None) -> None:
    """Write report.html of RUN.

    One page, of the newest run by default, that needs no other file. Training and export write it too.
    """
    from keras_resnet.run import Run, runs_home

    found = Run.find(runs_home(runs), run)
    found.require_finished()
    from keras_resnet.reporting.page import write_report

    if again:
        from keras_resnet.evaluation.analysis import refresh_analysis

        refresh_analysis(found, console.log)
    write_report(found)
    console.emit(str(found.report_file))


@click.command(
    cls=Command, epilog=format_examples("kresnet compare RUN RUN", "kresnet compare RUN RUN --save compared.html")
)
@click.argument("names", nargs=-1, required=True, metavar="RUN RUN...", shell_complete=complete_run_names)
@click.option("--save", type=click.Path(path_type=Path), help="Also write the comparison as a page.")
@runs_option
@json_option
def compare(names: tuple[str, ...], save: Path | None, runs: str | None, as_json: bool) -> None:
    """Put runs side by side.

    What they are, how good, what their files cost.
    """
    from keras_resnet.reporting.compare import comparison_rows, render_comparison
    from keras_resnet.run import Run, runs_home

    found = [Run.find(runs_home(runs), name) for name in names]
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
    cells = [[key, *(row[key] or "" for row in rows)] for key in rows[0] if key != "run"]
    console.print_table("", ["", *columns], cells, prose=columns)
