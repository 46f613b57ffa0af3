"""`kresnet launch`: one training in several processes."""

from __future__ import annotations

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.errors import UsageError

# More processes than a machine can hold would be started before one of them failed.
MAX_WORKERS = 1024


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True},
    epilog=format_examples("kresnet launch --workers 2 -- train --depth 50"),
)
@click.option(
    "--workers", type=click.IntRange(2, MAX_WORKERS), required=True, help="Number of processes that train together."
)
@click.option(
    "--start-timeout",
    type=float,
    default=600.0,
    show_default=True,
    help="Restart the workers if one has not begun to train after X seconds.",
)
@click.option(
    "--stall-timeout",
    type=float,
    default=300.0,
    show_default=True,
    help="Restart the workers if one has made no step for X seconds.",
)
@click.option("--max-restarts", type=click.IntRange(0), default=3, show_default=True, help="Give up after N restarts.")
@click.option(
    "--isolate/--no-isolate",
    default=None,
    help="Give the workers a network of their own, which nobody else reaches [default: if the system allows it and no"
    " option needs another machine].",
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

    If a worker dies or stalls, all workers are stopped and continue from the last checkpoint.
    """
    if "train" not in command[:2]:
        raise UsageError(
            f"launch starts a training: kresnet launch --workers {workers} -- train [options]. Received:"
            f" {' '.join(command) or 'no command'}"
        )
    from keras_resnet.training.launch import RestartPolicy
    from keras_resnet.training.launch import launch as launch_workers

    policy = RestartPolicy(start_timeout, stall_timeout, max_restarts)
    code = launch_workers(workers, list(command), policy, console.log, isolate)
    if code:
        raise SystemExit(code)
