"""`kresnet verify` and `kresnet inspect`: an exported file, scored again or described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import json_option, runs_option
from keras_resnet.cli.setting_options import add_setting_options
from keras_resnet.cli.targets import find_file
from keras_resnet.config.given_options import select_given
from keras_resnet.errors import KresnetError
from keras_resnet.export.settings import ExportSettings
from keras_resnet.runtime.plurals import counted


@click.command(cls=Command, epilog=format_examples("kresnet verify exports/int8.tflite"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--run", "of_run", help="The run that FILE is compared with [default: its folder's, or its own].")
@add_setting_options(ExportSettings, "max_drop", "require_proof", "samples")
@runs_option
@json_option
def verify(file: Path, of_run: str | None, runs: str | None, as_json: bool, **options: Any) -> None:
    """Verify an exported FILE again, on this machine.

    It is scored on the data as they are now. Exit code 1 if it lost more than --max-drop.
    """
    settings = ExportSettings(**select_given(options))
    from keras_resnet.cli.verdict_tables import print_verdicts
    from keras_resnet.export.evaluate import RunLookup, verify_file
    from keras_resnet.export.verdict import Budget
    from keras_resnet.metrics.outcome import is_unproven
    from keras_resnet.run import runs_home

    file = find_file(runs, file)
    budget, lookup = Budget(settings.max_drop / 100, settings.require_proof), RunLookup(runs_home(runs), of_run)
    verdict = verify_file(file, budget, lookup, console.log, settings.samples)
    print_verdicts(str(file), [verdict], as_json)
    if not verdict.passed:
        unproven = is_unproven(verdict.as_dict())
        words = "is not proven to be within" if unproven else "lost more than"
        raise KresnetError(
            f"{file} {words} {counted(settings.max_drop, 'point', 'g')}" + " (--require-proof)" * unproven
        )


@click.command(cls=Command, epilog=format_examples("kresnet inspect exports/int8.tflite"))
@click.argument("file", type=click.Path(path_type=Path))
@runs_option
@json_option
def inspect(file: Path, runs: str | None, as_json: bool) -> None:
    """Print what an exported FILE says of itself.

    Labels, input pixels, origin, operators. A .tflite file needs no TensorFlow for this.
    """
    from keras_resnet.export.evaluate import inspect_file

    description = inspect_file(find_file(runs, file))
    if as_json:
        console.emit_json(description)
        return
    for key, value in description.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {each}" for name, each in value.items())
        elif isinstance(value, list):
            value = ", ".join(str(each) for each in value)
        console.emit(f"{key}: {value}")
