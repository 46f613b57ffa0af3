"""`kresnet search`: the most accurate network whose file is within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.next_steps import DEMO, log_next_steps
from keras_resnet.cli.options import json_option
from keras_resnet.cli.setting_options import add_setting_options
from keras_resnet.config.given_options import select_given
from keras_resnet.errors import SearchError, TrainingInterrupted
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.network_search.settings import PLACE_SETTINGS, SearchSettings
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from keras_resnet.network_search.dry_run import DryRun
    from keras_resnet.network_search.result import SearchResult

# Estimates that are printed; --json has all.
SHOWN = 20


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet search --data photos/ --budget 'latency<=20ms,size<=2MB'",
        "kresnet search --data photos/ --budget 'arena<=200kB' --image-size 48,64",
        "kresnet search --data digits --budget 'latency<=1ms' --dry-run",
    ),
)
@add_setting_options(SearchSettings, repeats=False)
@add_setting_options(DeviceSettings, *PLACE_SETTINGS)
@json_option
def search(as_json: bool, **options: Any) -> None:
    """Search for the most accurate network within a budget.

    Networks whose file would be outside the budget are left out before any training: their size is counted, and they
    are timed with random weights where they will run. The others are trained briefly, the promising ones longer, and
    compared by the accuracy of the exported file. After Ctrl-C, the same command continues the search.
    """
    from keras_resnet.api.searching import estimate, find_network, take_settings

    settings, on = take_settings(select_given(options))
    if settings.dry_run:
        _print_estimates(estimate(settings, on), as_json)
        return
    result = find_network(settings, on)
    if as_json:
        console.emit_json(result.as_dict())
    else:
        _print_result(result)
    if result.is_interrupted:
        raise TrainingInterrupted(f"interrupted; the same command goes on with {result.folder}")
    best = result.require_recommended()
    if not as_json:
        console.log(f"recommended: run {best.run}: {best}")
        log_next_steps(
            (f"demo {best.run}", DEMO),
            (f"report {best.run} --open", "the whole report"),
            (f"export {best.run}", "other files of it, with verdicts"),
            runs=settings.runs,
        )


def _print_result(result: SearchResult) -> None:
    """Print the Pareto front as a table, and what else there is."""
    from keras_resnet.network_search.outcome import FINISHED, PRUNED
    from keras_resnet.network_search.tables import COLUMNS, SPARE, list_rows

    if rows := list_rows(result):
        title = f"{result.folder.name}: Pareto front of accuracy, latency and size; the budget is {result.budget}"
        console.print_table(title, COLUMNS, rows, prose=["network", "recipe", "verdict"], spare=SPARE)
    states = [each.state for each in result.trained]
    left_out = counted(len(result.left_out), "network")
    console.emit(
        f"{counted(len(states), 'candidate')} trained, {states.count(FINISHED)} of them to the end and"
        f" {states.count(PRUNED)} ended early; {left_out} left out before training; latency on {result.where}"
    )
    if result.figure_file.is_file():
        console.emit(f"plotted: {result.figure_file}; all trials: {result.folder / 'trials.json'}")


def _print_estimates(run: DryRun, as_json: bool) -> None:
    """Print what is expected to be within the budget. Raises SearchError where nothing is."""
    from keras_resnet.network_search.tables import list_estimates

    if as_json:
        console.emit_json(run.as_dict())
    elif run.within:
        columns, rows = list_estimates(run.within[:SHOWN])
        within = run.budget.describe(run.where)
        title = f"expected to be within {within}: {len(run.within)} of {counted(run.total, 'network')}"
        console.print_table(title, columns, rows)
        if len(run.within) > SHOWN:
            console.emit(f"… and {len(run.within) - SHOWN} smaller ones (--json has all)")
        console.emit(
            "these are estimates, from what is counted of each network and what"
            f" {counted(run.measured, 'file')} with random weights cost; nothing was trained"
        )
    if not run.within:
        raise SearchError(run.failure)
