"""The options and arguments that several commands share."""

from __future__ import annotations

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document to standard output.")
runs_option = click.option(
    "--runs", "runs", metavar="DIR", help="Folder of the runs [default: KRESNET_RUNS, else saved_models/]."
)
tta_option = click.option(
    "--tta",
    default="none",
    show_default=True,
    metavar="NAME",
    help="Take the mean of the logits of each image and its mirror image: auto (if the run trained with flips), flip"
    " (in any case) or none. For classifiers.",
)


def complete_run_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the runs whose names begin with `incomplete`, for a shell that completes them."""
    from keras_resnet.run import Run, runs_home

    names = [run.name for run in Run.all(runs_home(context.params.get("runs")))]
    return [name for name in names if name.startswith(incomplete)]


# RUN: the newest run where it is left out.
optional_run_argument = click.argument("run", required=False, shell_complete=complete_run_names)
