"""`kresnet train`: train a network, or try learning rates or batch sizes for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, GroupedOption, format_examples
from keras_resnet.cli.next_steps import DEMO, EXPORT, is_at_chance, log_advice, log_next_steps
from keras_resnet.cli.options import json_option, runs_option
from keras_resnet.cli.setting_options import add_train_options
from keras_resnet.config.given_options import Options, name_options, select_given
from keras_resnet.config.option_groups import COMMON, TRAINING
from keras_resnet.config.provenance import use_provenance
from keras_resnet.errors import UsageError

if TYPE_CHECKING:
    from keras_resnet.api.seeds import Runs
    from keras_resnet.run import Run


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet train --data photos/ --depth 18",
        "kresnet train --task detect",
        "kresnet train --recipe timm-a2 --quick",
    ),
)
@add_train_options
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the run [default: made from network and data].",
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--resume",
    metavar="RUN",
    help="Continue this interrupted run, with the settings that it was started with; takes no other option but"
    " --data-changed, --runs and --json.",
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--data-changed",
    is_flag=True,
    help="With --resume: continue although the data have changed.",
    cls=GroupedOption,
    group=TRAINING,
)
@click.option(
    "--seeds",
    type=click.IntRange(2),
    metavar="N",
    help="Train N runs, with --seed and the next ones; prints mean and standard deviation.",
    cls=GroupedOption,
    group=TRAINING,
)
@click.option(
    "--find-lr",
    is_flag=True,
    help="Only try learning rates, plot their losses and suggest one.",
    cls=GroupedOption,
    group=TRAINING,
)
@click.option(
    "--find-batch-size",
    is_flag=True,
    help="Only try batch sizes, and print the speed and memory of each.",
    cls=GroupedOption,
    group=TRAINING,
)
@runs_option
@json_option
def train(
    name: str | None, resume: str | None, seeds: int | None, runs: str | None, as_json: bool, **options: Any
) -> None:
    """Train a residual network and save it as a run.

    A run is a folder in saved_models/ with the model, its settings and a report. Settings that you leave open are
    chosen to suit the data, and each choice is printed with its reason.
    """
    modes = {each: options.pop(each) for each in ("data_changed", "find_lr", "find_batch_size")}
    given = select_given(options)
    _check_modes({**given, "seeds": seeds} if seeds else given, name, resume, modes)
    from keras_resnet.api.functions import train_run, train_seeds
    from keras_resnet.run import runs_home
    from keras_resnet.signals import stop_with_launcher

    stop_with_launcher()
    home = runs_home(runs)
    if modes["find_lr"]:
        _find_learning_rate(given, home, as_json)
    elif modes["find_batch_size"]:
        _find_batch_size(given, home, as_json)
    elif seeds:
        _print_runs(train_seeds(given, home, seeds, name), runs, as_json)
    else:
        _print_result(train_run(given, home, name, resume, modes["data_changed"]), runs, as_json)


def _check_modes(given: dict[str, Any], name: str | None, resume: str | None, modes: dict[str, bool]) -> None:
    """Raise UsageError for options that exclude each other."""
    from keras_resnet.api.functions import require_resumable

    finds = [each for each in ("find_lr", "find_batch_size") if modes[each]]
    require_resumable({**given, **dict.fromkeys(finds, True)}, name, resume, modes["data_changed"])
    if other := next((each for each in ("name", "seeds") if finds and {"name": name, **given}.get(each)), None):
        raise UsageError(f"--{finds[0].replace('_', '-')} makes no run; it takes no --{other}")
    if len(finds) == 2:
        raise UsageError("--find-lr and --find-batch-size exclude each other; use one at a time")


def _print_result(run: Run, runs: str | None, as_json: bool) -> None:
    """Print what came out of a finished `run`, and say what can be done next."""
    from keras_resnet.training.distribute import is_first_worker

    metrics = run.metrics()
    if as_json:
        console.emit_json({"run": run.name, "folder": str(run.folder), **metrics})
        return
    if not console.is_output_with_messages():  # where the line above says the same
        _print_table([run])
    if is_first_worker():
        log_advice(run, runs)
        if is_at_chance(run):
            log_next_steps((f"report {run.name} --open", "what the model gets wrong"), runs=runs)
        else:
            log_next_steps(("export", EXPORT), ("demo", DEMO), runs=runs)


def _print_runs(trained: Runs, runs: str | None, as_json: bool) -> None:
    """Print what came out of trainings with several seeds, and say what can be done next."""
    if as_json:
        console.emit_json(trained.as_dict())
        return
    _print_table([run.stored for run in trained])
    console.emit(trained.summary)
    names = [run.name for run in trained]
    log_next_steps(
        (f"export {names[0]}", EXPORT),
        (f"compare {' '.join(names)}", "whether they differ, image by image"),
        runs=runs,
    )


def _print_table(trained: Sequence[Run]) -> None:
    """Print the metrics of runs of one task as a table."""
    from keras_resnet.metrics.labels import metric_label
    from keras_resnet.metrics.outcome import format_value

    rows = []
    for run in trained:
        metrics = run.metrics()
        values = {metrics["metric"]: metrics["value"]}
        if "macro_recall" in metrics:
            values["macro_recall"] = metrics["macro_recall"]
        intervals = metrics.get("intervals", {})
        cells = [format_value(value, intervals.get(name)) for name, value in values.items()]
        rows.append([run.name, *cells, str(run.folder)])
    console.print_table("", ["run", *map(metric_label, values), "folder"], rows)


def _find_learning_rate(given: Options, home: Path, as_json: bool) -> None:
    from keras_resnet.api.functions import search_learning_rate

    search, figure = search_learning_rate(given, home)
    if as_json:
        rows = [{"rate": float(r), "loss": float(loss)} for r, loss in zip(search.rates, search.losses, strict=True)]
        console.emit_json({"suggested": search.suggested, "figure": str(figure), "rates": rows})
    else:
        console.emit(f"--learning-rate {search.suggested:g} (a tenth of where the loss is lowest); plotted: {figure}")


def _find_batch_size(given: Options, home: Path, as_json: bool) -> None:
    from keras_resnet.api.functions import build_train_spec
    from keras_resnet.training.finder import choose_batch_size, find_batch_size, to_json_rows
    from keras_resnet.training.spec_request import trace_spec

    spec = build_train_spec(given, home)
    with use_provenance(trace_spec(given, home)), name_options(given):
        tried = find_batch_size(spec, console.log)
    best = choose_batch_size(tried)
    if as_json:
        console.emit_json({"suggested": best.batch_size, "tried": to_json_rows(tried)})
    else:
        console.emit(f"--batch-size {best.batch_size} (the smallest within 5% of the fastest)")
