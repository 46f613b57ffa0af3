"""`kresnet push`: publish a run on the Hugging Face hub."""

from __future__ import annotations

from typing import Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import complete_run_names, runs_option
from keras_resnet.cli.setting_options import add_setting_options
from keras_resnet.cli.targets import find_run, log_newest
from keras_resnet.config.given_options import select_given
from keras_resnet.errors import UsageError
from keras_resnet.export.publish_settings import PublishSettings


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet push RUN hf:USER/NAME --license apache-2.0",
        "kresnet push hf:USER/NAME --private",
        "kresnet push RUN hf:USER/NAME --files int8",
    ),
)
@click.argument("words", nargs=-1, required=True, metavar="[RUN] hf:USER/NAME", shell_complete=complete_run_names)
@add_setting_options(PublishSettings, repeats=False)
@runs_option
def push(words: tuple[str, ...], runs: str | None, **options: Any) -> None:
    """Publish RUN and its files on the Hugging Face hub.

    The newest run by default. One commit with a model card made of the verdicts, the Keras model, the exported
    files that passed, labels, scripts that run the files, and the verdicts. A new repository is public unless
    --private is given. Images, paths and host names stay here. Needs a token: hf auth login.
    """
    settings = PublishSettings(**select_given(options))
    *before, destination = words
    if len(before) > 1:
        raise UsageError(f"push takes a run and a repository, RUN hf:USER/NAME. Received: {' '.join(words)}")
    name = before[0] if before else None
    from keras_resnet.export.publish import parse_destination, publish

    parse_destination(destination)
    run = find_run(runs, name)
    run.require_finished()
    log_newest(run.name, name)
    console.emit(publish(run, destination, settings, console.log))
