"""`kresnet verify` and `kresnet inspect`: an exported file, scored again or described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import (
    check_max_drop,
    drop_option,
    json_option,
    proof_option,
    runs_option,
    samples_option,
)
from keras_resnet.errors import KresnetError
from keras_resnet.runtime.plurals import counted


@click.command(cls=Command, epilog=format_examples("kresnet verify exports/int8.tflite"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--run", "of_run", help="The run that FILE is compared with [default: its folder's, or its own].")
@drop_option
@proof_option
@samples_option
@runs_option
@json_option
def verify(file: Path, of_run: str | None, max_drop: float, runs: str | None, as_json: bool, **options: Any) -> None:
    """Verify an exported FILE again, on this machine.

    It is scored on the data as they are now. Exit code 1 if it lost more than --max-drop.
    """
    check_max_drop(max_drop)
    from keras_resnet.cli.verdict_tables import print_verdicts
    from keras_resnet.export.evaluate import RunLookup, verify_file
    from keras_resnet.export.verdict import Budget
    from keras_resnet.metrics.outcome import is_unproven
    from keras_resnet.run import runs_home

    budget, lookup = Budget(max_drop / 100, options["require_proof"]), RunLookup(runs_home(runs), of_run)
    verdict = verify_file(file, budget, lookup, console.log, options["samples"])
    print_verdicts(str(file), [verdict], as_json)
    if not verdict.passed:
        unproven = is_unproven(verdict.as_dict())
        words = "is not proven to be within" if unproven else "lost more than"
        raise KresnetError(f"{file} {words} {counted(max_drop, 'point', 'g')}" + " (--require-proof)" * unproven)


@click.command(cls=Command, epilog=format_examples("kresnet inspect exports/int8.tflite"))
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def inspect(file: Path, as_json: bool) -> None:
    """Print what an exported FILE says of itself.

    Labels, input pixels, origin, operators. A .tflite file needs no TensorFlow for this.
    """
    from keras_resnet.export.evaluate import inspect_file

    description = inspect_file(file)
    if as_json:
        console.emit_json(description)
        return
    for key, value in description.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {each}" for name, each in value.items())
        elif isinstance(value, list):
            value = ", ".join(str(each) for each in value)
        console.emit(f"{key}: {value}")
