"""`kresnet compare`: runs or exported files side by side, and whether they differ on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.next_steps import EXPORT, is_at_chance, log_next_steps
from keras_resnet.cli.options import complete_run_names, json_option, runs_option
from keras_resnet.cli.outputs import prepare_page
from keras_resnet.cli.targets import find_target
from keras_resnet.errors import KresnetError, UsageError

if TYPE_CHECKING:
    from keras_resnet.export.compared_models import ComparedModel, ModelComparison
    from keras_resnet.export.paired import PairedComparison

Row = Mapping[str, str | None]


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet compare RUN OTHER",
        "kresnet compare RUN OTHER --save compared.html",
        "kresnet compare RUN exports/int8.tflite",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="RUN|FILE RUN|FILE...", shell_complete=complete_run_names)
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE", help="Also write the comparison as a page, FILE.html."
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    metavar="N",
    help="Evaluate on only N validation images, drawn by a fixed seed [default: all].",
)
@click.option("--stored", is_flag=True, help="Show what the folders of runs hold, and evaluate nothing.")
@click.option(
    "--run",
    "of_run",
    metavar="RUN",
    help="The run whose data FILEs are evaluated on [default: their own].",
)
@runs_option
@json_option
def compare(
    names: tuple[str, ...],
    save: Path | None,
    samples: int | None,
    stored: bool,
    of_run: str | None,
    runs: str | None,
    as_json: bool,
) -> None:
    """Compare runs, or exported files, on the same images.

    Shows them side by side: network, data, accuracy, and the size and latency of files. If they have the same
    validation images, the first is compared with each of the others on these: the difference of each metric with its
    95% interval and, for classifiers, the p-value of McNemar's exact test.
    """
    if len(names) < 2:
        alone = "evaluate" if Path(names[0]).is_file() else "report"
        raise UsageError(f"compare takes two runs or exported files, or more; one alone: kresnet {alone} {names[0]}")
    if stored and samples:
        raise UsageError("--stored evaluates nothing; it takes no --samples")
    models = _find_models(names, of_run, runs)
    if stored and any(each.file for each in models):
        raise UsageError("--stored shows what the folders of runs hold; it takes no exported files")
    if save:
        prepare_page(save)
    result, problem = (None, _describe_stored(models)) if stored else _compare(models, samples)
    rows = _list_rows(models, result)
    pairs = result.pairs if result else []
    found = [each.run for each in models if not each.file]
    if save:
        from keras_resnet.atomic_write import write_atomically
        from keras_resnet.reporting.compare import render_comparison

        with write_atomically(save) as temporary:
            page = render_comparison(found, rows, [each.describe() for each in pairs], problem)
            temporary.write_text(page, encoding="utf-8")
        console.log(f"page: {save}")
    if as_json:
        console.emit_json(
            {"models": rows, "comparisons": [each.as_dict() for each in pairs], "not_compared": problem or None}
        )
        return
    _print_rows(rows)
    for pair in pairs:
        _print_pair(pair)
    if problem:
        console.log(f"warning: {problem}")
    if missing := [run.name for run in found if not run.verdict_rows() and not is_at_chance(run)]:
        log_next_steps(*((f"export {name}", EXPORT) for name in dict.fromkeys(missing)), runs=runs)


def _find_models(names: Sequence[str], of_run: str | None, runs: str | None) -> list[ComparedModel]:
    """Find the runs and files that are named. Raises UsageError for what is neither, and for --run without a file."""
    from keras_resnet.export.compared_models import ComparedModel
    from keras_resnet.export.evaluate import RunLookup
    from keras_resnet.run import runs_home

    lookup = RunLookup(runs_home(runs), of_run)
    targets = [find_target(runs, name, None) for name in names]
    models = [ComparedModel.find(target, lookup) for target in targets]
    if of_run and not any(each.file for each in models):
        raise UsageError("--run says which run exported files are of; no file is named")
    return models


def _compare(models: Sequence[ComparedModel], samples: int | None) -> tuple[ModelComparison | None, str]:
    """Return what the models' evaluation on the same images gave, or why there is none."""
    from keras_resnet.export.compared_models import compare_models

    try:
        return compare_models(models, console.log, samples), ""
    except UsageError as error:
        return None, str(error)
    except KresnetError as error:
        return None, f"not compared on the same images: {error}"


def _describe_stored(models: Sequence[ComparedModel]) -> str:
    """Say why what the folders of runs hold must not be compared; "" where it may be."""
    from keras_resnet.reporting.compare import describe_difference

    return describe_difference([each.run for each in models])


def _list_rows(models: Sequence[ComparedModel], result: ModelComparison | None) -> list[Row]:
    """Return a row for each model, in words."""
    from keras_resnet.export.compared_models import name_briefly

    evaluations = result.evaluations if result else {}
    return [each.describe_row(evaluations.get(each.place), models) for each in name_briefly(models)]


def _print_rows(rows: Sequence[Row]) -> None:
    from keras_resnet.reporting.compared_models import MODEL, list_known

    columns = [row[MODEL] or "" for row in rows]
    cells = [[key, *(row.get(key) or "–" for row in rows)] for key in list_known(rows)]
    console.print_table("", ["", *columns], cells, prose=columns, folds=True)


def _print_pair(pair: PairedComparison) -> None:
    """Print how the second model differs from the first, and what that shows."""
    console.print_table(pair.title, pair.columns, pair.rows, prose=[pair.first, pair.second])
    console.emit(pair.remark)
    console.emit(pair.conclusion)
