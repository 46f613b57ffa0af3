"""`kresnet check`: what is wrong with a dataset."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, GroupedOption, format_examples
from keras_resnet.cli.options import complete_run_names, json_option, runs_option
from keras_resnet.cli.outputs import prepare_page
from keras_resnet.cli.setting_options import add_setting_options
from keras_resnet.cli.targets import find_run, refuse_run
from keras_resnet.config.option_groups import COMMON
from keras_resnet.config.spec import DataSpec
from keras_resnet.config.task_rules import TASK_RULES
from keras_resnet.errors import DataError, KresnetError
from keras_resnet.run import Run, runs_home
from keras_resnet.runtime.plurals import join_words

if TYPE_CHECKING:
    from keras_resnet.checking.findings import CheckReport


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet check photos/",
        "kresnet check photos/labels.csv",
        "kresnet check photos/ --run RUN --strict",
    ),
)
@click.argument("data", required=False)
@click.option(
    "--run",
    "of_run",
    metavar="RUN",
    help="Also look for wrong labels and outliers, with the network of this run; for labels, a classifier of the same"
    " classes.",
    shell_complete=complete_run_names,
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--task",
    metavar="NAME",
    help=f"Read the annotations of this task: {', '.join(TASK_RULES)} [default: that of the run, else classify].",
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write the page with the images [default: check-NAME.html].",
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with code 1 if anything but outliers is found.",
    cls=GroupedOption,
    group=COMMON,
)
@add_setting_options(DataSpec, "data_dir", "download", "cache")
@runs_option
@json_option
def check(
    data: str | None,
    of_run: str | None,
    task: str | None,
    save: Path | None,
    strict: bool,
    runs: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Check DATA for duplicates, bad images, class imbalance and wrong labels.

    DATA is what kresnet train --data takes: a folder of images, a table of their labels (.csv, .json, .parquet, …), a
    folder with boxes in the layout of COCO, Pascal VOC or YOLO (--task detect), or the name of a TFDS dataset.

    Finds unreadable files, duplicates within and across splits, blank, dark and blurred images and class imbalance;
    with --run, also suspected label errors and outliers. Writes a page that shows these images. The exit code is 1 if
    so many files cannot be read that training could not open the data.
    """
    from keras_resnet.api.checking import check_folder, write_page
    from keras_resnet.checking.findings import KINDS

    run = find_run(runs, of_run) if of_run is not None else None
    source = data if data is not None else run.spec().data.source if run else ""
    page = save or Path(f"check-{Path(source).resolve().name or 'data'}.html")
    prepare_page(page)
    try:
        report, splits = check_folder(
            data, run, task, settings, lambda source, depth: _name_label_check(source, depth, runs)
        )
        write_page(report, splits, page)
    except KresnetError as error:
        if data is not None:
            refuse_run(runs, data)
        # Here it is no option.
        error.args = (re.sub(r"--data(?![-\w])", "DATA", str(error)),)
        raise
    if as_json:
        console.emit_json(report.as_dict())
    else:
        _print_report(report)
    console.log(f"page: {page}")
    if report.error:
        raise DataError(f"{report.data} cannot be opened: nothing but unreadable files could be looked for")
    if strict and report.faults:
        found = join_words([KINDS[kind].title.lower() for kind in report.faults])
        raise DataError(f"{report.data} is not clean (--strict): {found}")


def _name_label_check(source: str, depth: int, runs: str | None) -> tuple[str, ...]:
    """Return the commands that check the labels of a dataset: with the newest run that was trained on it, where there
    is one, else with a network of this depth. runs: the home of runs, where that was given."""
    data, home = shlex.quote(source), f" --runs {shlex.quote(runs)}" if runs else ""
    trained = next((each.name for each in Run.all(runs_home(runs)) if _is_trained_on(each, source)), "")
    if trained:
        return (f"kresnet check {data} --run {shlex.quote(trained)}{home}",)
    name = f"check-{re.sub(r'[^A-Za-z0-9]+', '-', Path(source).resolve().name).strip('-') or 'data'}"
    return (
        f"kresnet train --depth {depth} --data {data} --name {name}{home}",
        f"kresnet check {data} --run {name}{home}",
    )


def _is_trained_on(run: Run, source: str) -> bool:
    """Return whether a run is a finished classifier of the data called `source`."""
    try:
        spec = run.spec()
    except KresnetError:  # a run that is damaged, or of another version
        return False
    is_of_data = os.path.realpath(spec.data.source) == os.path.realpath(source)
    return run.is_finished and spec.data.annotations == "labels" and is_of_data


def _print_report(report: CheckReport) -> None:
    """Print how many of what was found, each with its first example."""
    from keras_resnet.checking.findings import COLUMNS

    if report.findings:
        console.print_table(report.title, [*COLUMNS], report.rows)
    else:
        console.emit(report.title)
    for note in report.notes:
        console.emit(note)
