"""`kresnet train`: train a network, or try learning rates or batch sizes for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, GroupedOption, format_examples
from keras_resnet.cli.options import json_option, runs_option
from keras_resnet.cli.setting_options import add_train_options
from keras_resnet.config.given_options import name_options, select_given
from keras_resnet.config.option_groups import COMMON, TRAINING
from keras_resnet.config.provenance import Provenance, use_provenance
from keras_resnet.config.spec import Spec
from keras_resnet.errors import UsageError

if TYPE_CHECKING:
    from keras_resnet.run import Run


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet train --depth 50",
        "kresnet train --task segment --depth 18",
        "kresnet train --recipe timm-a2 --quick",
    ),
)
@add_train_options
@click.option("--name", help="Name of the run [default: made from network and data].", cls=GroupedOption, group=COMMON)
@click.option(
    "--resume", metavar="RUN", help="Continue an interrupted run as it was started.", cls=GroupedOption, group=COMMON
)
@click.option("--data-changed", is_flag=True, help="With --resume: go on although the data are no longer the same.")
@click.option(
    "--find-lr",
    is_flag=True,
    help="Only try learning rates: suggests one, plots the losses.",
    cls=GroupedOption,
    group=TRAINING,
)
@click.option(
    "--find-batch-size",
    is_flag=True,
    help="Only try batch sizes: speed and memory of each.",
    cls=GroupedOption,
    group=TRAINING,
)
@runs_option
@json_option
def train(name: str | None, resume: str | None, runs: str | None, as_json: bool, **options: Any) -> None:
    """Train a residual network; writes a run."""
    modes = {each: options.pop(each) for each in ("data_changed", "find_lr", "find_batch_size")}
    given = select_given(options)
    _check_modes(given, name, resume, modes)
    from keras_resnet.run import runs_home
    from keras_resnet.run.folders import require_free
    from keras_resnet.signals import stop_with_launcher

    stop_with_launcher()
    home = runs_home(runs)
    require_free(home, name)
    if resume is not None:
        with use_provenance(Provenance(f"as run {resume} was started")):
            _print_result(_resume(home, resume, modes["data_changed"]), as_json)
        return
    from keras_resnet.training.spec_request import build_spec, trace_spec

    spec = build_spec(given, home, console.log)
    # What the data decide may contradict an option only then.
    with use_provenance(trace_spec(given, home)), name_options(given):
        if modes["find_lr"]:
            _find_learning_rate(spec, home, as_json)
        elif modes["find_batch_size"]:
            _find_batch_size(spec, as_json)
        else:
            from keras_resnet.training.train import train as start_run

            _print_result(start_run(spec, home, name, console.log), as_json)


def _check_modes(given: dict[str, Any], name: str | None, resume: str | None, modes: dict[str, bool]) -> None:
    """Raise UsageError for options that exclude each other."""
    finds = modes["find_lr"] or modes["find_batch_size"]
    if resume is not None and (given or name or finds):
        other = next(iter(given), "name").replace("_", "-")
        raise UsageError(f"--resume continues a run as it was started; it takes no --{other}")
    if modes["find_lr"] and modes["find_batch_size"]:
        raise UsageError("--find-lr and --find-batch-size are two questions; ask one at a time")
    if modes["data_changed"] and resume is None:
        raise UsageError("--data-changed is for a run that goes on: it needs --resume")


def _resume(home: Path, name: str, data_changed: bool) -> Run:
    from keras_resnet.run import Run
    from keras_resnet.training.train import resume

    interrupted = Run.find(home, name)
    return resume(interrupted, console.log, data_changed)


def _print_result(run: Run, as_json: bool) -> None:
    """Write the report of a finished `run`, and print what came out."""
    from keras_resnet.metrics.labels import metric_label
    from keras_resnet.reporting.page import publish_report

    publish_report(run)
    metrics = run.metrics()
    if as_json:
        console.emit_json({"run": run.name, "folder": str(run.folder), **metrics})
    else:
        row = [run.name, f"{metrics['value']:.2%}", str(run.folder)]
        console.print_table("", ["run", metric_label(metrics["metric"]), "folder"], [row])


def _find_learning_rate(spec: Spec, home: Path, as_json: bool) -> None:
    from keras_resnet.models.names import model_name
    from keras_resnet.training.finder import find_learning_rate

    figure = home / f"learning-rate-{model_name(spec.network)}.png"
    search = find_learning_rate(spec, figure, console.log)
    if as_json:
        rows = [{"rate": float(r), "loss": float(loss)} for r, loss in zip(search.rates, search.losses, strict=True)]
        console.emit_json({"suggested": search.suggested, "figure": str(figure), "rates": rows})
    else:
        console.emit(f"--learning-rate {search.suggested:g} (a tenth of where the loss is lowest); plotted: {figure}")


def _find_batch_size(spec: Spec, as_json: bool) -> None:
    from keras_resnet.training.finder import choose_batch_size, find_batch_size, to_json_rows

    tried = find_batch_size(spec, console.log)
    best = choose_batch_size(tried)
    if as_json:
        console.emit_json({"suggested": best.batch_size, "tried": to_json_rows(tried)})
    else:
        console.emit(f"--batch-size {best.batch_size} (the smallest within 5% of the fastest)")
