"""`kresnet train`, `kresnet compress` and `kresnet launch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.options import (
    asked,
    choices_of,
    compress_options,
    examples,
    given,
    json_option,
    overridden,
    run_names,
    runs_option,
    spec_of,
    train_options,
)
from keras_resnet.config.chosen import Choices, chosen
from keras_resnet.config.spec import Spec
from keras_resnet.errors import UsageError
from keras_resnet.metrics.labels import metric_label
from keras_resnet.models.names import model_name
from keras_resnet.reporting.page import publish_report
from keras_resnet.run import Run, runs_home
from keras_resnet.run.folders import free_name, require_free
from keras_resnet.signals import end_with_launcher

if TYPE_CHECKING:
    from keras_resnet.compression.plan import Step


@click.command(
    epilog=examples(
        "kresnet train --depth 50",
        "kresnet train --task segment --depth 18",
        "kresnet train --recipe timm-a2 --quick",
    )
)
@train_options
@click.option("--name", help="Name of the run [default: made from depth and data].")
@click.option("--resume", metavar="RUN", help="Continue an interrupted run as it was started.")
@click.option("--data-changed", is_flag=True, help="With --resume: go on although the data are no longer the same.")
@click.option("--find-lr", is_flag=True, help="Only try learning rates: suggests one, draws the losses.")
@click.option("--find-batch-size", is_flag=True, help="Only try batch sizes: speed and memory of each.")
@runs_option
@json_option
def train(
    name: str | None,
    resume: str | None,
    data_changed: bool,
    find_lr: bool,
    find_batch_size: bool,
    runs: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a residual network; writes a run."""
    wanted = given(options)
    if resume is not None and (wanted or name or find_lr or find_batch_size):
        other = next(iter(wanted), "name").replace("_", "-")
        raise UsageError(f"--resume continues a run as it was started; it takes no --{other}")
    if find_lr and find_batch_size:
        raise UsageError("--find-lr and --find-batch-size are two questions; ask one at a time")
    if data_changed and resume is None:
        raise UsageError("--data-changed is for a run that goes on: it needs --resume")
    end_with_launcher()
    home = runs_home(runs)
    require_free(home, name)
    spec = spec_of(wanted, home, console.log) if resume is None else None
    choices = choices_of(wanted, home) if spec else Choices(f"as run {resume} was started")
    click.get_current_context().with_resource(chosen(choices))
    if spec and (find_lr or find_batch_size):
        (_find_rate if find_lr else _find_batch_size)(spec, home, as_json)
        return
    from keras_resnet.training.train import resume as continue_run
    from keras_resnet.training.train import train as start_run

    if spec is None:
        from keras_resnet.training.compress import method_of

        interrupted = Run.find(home, resume)
        run = continue_run(interrupted, console.log, method_of(interrupted.spec()), data_changed)
    else:
        run = start_run(spec, home, name, console.log)
    publish_report(run)
    metrics = run.metrics()
    if as_json:
        console.emit_json({"run": run.name, "folder": str(run.folder), **metrics})
    else:
        row = [run.name, f"{metrics['value']:.2%}", str(run.folder)]
        console.table("", ["run", metric_label(metrics["metric"]), "folder"], [row])


@click.command(
    epilog=examples("kresnet compress RUN --qat", "kresnet compress RUN --prune 0.8 --cluster 16 --qat tfmot")
)
@click.argument("run", shell_complete=run_names)
@click.option("--shrink", type=float, metavar="SHARE", help="Remove this share of the filters inside units.")
@click.option("--prune", type=float, metavar="SHARE", help="Make this share of the weights zero.")
@click.option("--pattern", type=click.Choice(["2:4"]), help="Two zeros in each four weights, instead of anywhere.")
@click.option("--cluster", type=int, metavar="N", help="Give every kernel N different weights.")
@click.option(
    "--qat",
    is_flag=False,
    flag_value="native",
    type=click.Choice(["native", "tfmot"]),
    help="Train on with 8 bits: --qat, or --qat tfmot by tensorflow-model-optimization.",
)
@compress_options
@click.option("--name", help="Name of the (last) new run [default: RUN-qat, …].")
@runs_option
@json_option
def compress(
    run: str,
    shrink: float | None,
    prune: float | None,
    pattern: str | None,
    cluster: int | None,
    qat: str | None,
    name: str | None,
    runs: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a smaller or faster network of RUN, by training on from its weights; writes a new run.

    Several ways are taken one after another, each a run: filters, zeros, shared weights, 8 bits.
    """
    from keras_resnet.compression.plan import steps_of

    steps = steps_of(shrink, prune, pattern, cluster, qat)
    home = runs_home(runs)
    require_free(home, name)
    parents = [Run.find(home, run)]
    wanted = given(options)
    for step in steps:
        last = name if step is steps[-1] else None
        parents.append(_compressed(parents[-1], step, wanted, home, last))
    first, made = parents[0], parents[-1]
    before, after = first.metrics(), made.metrics()
    result = {"run": made.name, "parent": parents[-2].name, "folder": str(made.folder), **after}
    if as_json:
        console.emit_json({**result, "before": before["value"], "runs": [each.name for each in parents[1:]]})
    else:
        rows = [
            [each.name, f"{each.metrics()['value']:.2%}", each.network_summary, str(each.folder)] for each in parents
        ]
        console.table(
            "",
            ["run", metric_label(after["metric"]), "what it is", "folder"],
            rows,
            prose=["what it is"],
            spare=["folder"],
        )


def _compressed(parent: Run, step: Step, wanted: dict[str, Any], home: Path, name: str | None) -> Run:
    """The new run that `step` makes of `parent`."""
    from keras_resnet.compression.plan import adopt_parent

    spec = overridden(adopt_parent(parent, step, set(wanted), console.log), wanted, home)
    from keras_resnet.training.compress import method_of
    from keras_resnet.training.train import train as start_run

    name = name or free_name(home, f"{parent.name}-{step.name}")
    with chosen(Choices(f"of run {parent.name}", asked(wanted))):
        return publish_report(start_run(spec, home, name, console.log, method_of(spec)))


def _find_rate(spec: Spec, home: Path, as_json: bool) -> None:
    from keras_resnet.training.finder import find_rate

    figure = home / f"learning-rate-{model_name(spec.network)}.png"
    found = find_rate(spec, figure, console.log)
    if as_json:
        rows = [{"rate": float(r), "loss": float(loss)} for r, loss in zip(found.rates, found.losses, strict=True)]
        console.emit_json({"suggested": found.suggested, "figure": str(figure), "rates": rows})
    else:
        console.emit(f"--learning-rate {found.suggested:g} (a tenth of where the loss is lowest); drawn: {figure}")


def _find_batch_size(spec: Spec, home: Path, as_json: bool) -> None:
    from keras_resnet.training.finder import best_of, find_batch_size, rows_of

    found = find_batch_size(spec, console.log)
    best = best_of(found)
    if as_json:
        console.emit_json({"suggested": best.batch_size, "tried": rows_of(found)})
    else:
        console.emit(f"--batch-size {best.batch_size} (the smallest within 5% of the fastest)")


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog=examples("kresnet launch --workers 2 -- train --depth 50"),
)
@click.option("--workers", type=click.IntRange(2), required=True, help="How many processes train together.")
@click.option("--start-timeout", type=float, default=600.0, show_default=True, help="Seconds until the first step.")
@click.option("--stall-timeout", type=float, default=300.0, show_default=True, help="Seconds between two steps.")
@click.option("--max-restarts", type=click.IntRange(0), default=3, show_default=True, help="How often all start again.")
@click.option(
    "--isolate/--no-isolate",
    default=None,
    help="Give the workers a network of their own [default: where the system allows it and nothing needs more].",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def launch(
    workers: int,
    start_timeout: float,
    stall_timeout: float,
    max_restarts: int,
    isolate: bool | None,
    command: tuple[str, ...],
) -> None:
    """Train with several processes on this machine.

    When a worker dies or stalls, all are stopped and go on from the last checkpoint.
    """
    if "train" not in command[:2]:
        raise UsageError(
            f"launch starts kresnet train: … -- train [options]. Received: {' '.join(command) or 'nothing'}"
        )
    from keras_resnet.training.launch import Watch
    from keras_resnet.training.launch import launch as launch_workers

    watch = Watch(start_timeout, stall_timeout, max_restarts)
    code = launch_workers(workers, list(command), watch, console.log, isolate)
    if code:
        raise SystemExit(code)
