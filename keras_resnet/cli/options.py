"""The options and arguments that several commands share."""

from __future__ import annotations

from functools import partial

import click

from keras_resnet.cli.command import GroupedOption
from keras_resnet.config.option_groups import VERDICT
from keras_resnet.errors import UsageError

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document to standard output.")
runs_option = click.option(
    "--runs", "runs", metavar="DIR", help="Where runs live [default: KRESNET_RUNS, else saved_models/]."
)

_verdict_option = partial(click.option, cls=GroupedOption, group=VERDICT)

drop_option = _verdict_option(
    "--max-drop", type=float, default=1.0, show_default=True, help="Points of accuracy a file may lose."
)
proof_option = _verdict_option(
    "--require-proof",
    is_flag=True,
    help="Fail also where the drop's 95% interval is not within --max-drop: too few images to tell.",
)
samples_option = _verdict_option(
    "--samples",
    type=click.IntRange(1),
    help="Score so many validation images, drawn by a fixed seed [default: all].",
)


def check_max_drop(max_drop: float) -> None:
    """Raise UsageError for a --max-drop that is no share of 100 points."""
    if not 0 <= max_drop <= 100:
        raise UsageError(f"--max-drop must be between 0 and 100 points. Received: {max_drop}")


def complete_run_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the runs whose names begin with `incomplete`, for a shell that completes them."""
    from keras_resnet.run import Run, runs_home

    names = [run.name for run in Run.all(runs_home(context.params.get("runs")))]
    return [name for name in names if name.startswith(incomplete)]


# RUN: the newest run where it may be left out.
run_argument = partial(click.argument, "run", shell_complete=complete_run_names)
optional_run_argument = run_argument(required=False)
