"""`kresnet verify` and `kresnet inspect`: an exported file, scored again, here or on devices; or described."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import complete_run_names, json_option, runs_option
from keras_resnet.cli.setting_options import add_setting_options
from keras_resnet.cli.targets import find_file, find_named_run, find_run, find_target, log_newest
from keras_resnet.config.given_options import select_given
from keras_resnet.errors import KresnetError
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.outputs_settings import OutputsSettings
from keras_resnet.export.settings import ExportSettings
from keras_resnet.run import runs_home
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from keras_resnet.export.evaluate import RunLookup
    from keras_resnet.export.verdict import Verdict
    from keras_resnet.run import Run


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet verify",
        "kresnet verify RUN --on ssh://pi@raspberrypi.local",
        "kresnet verify FILE --outputs results.npz",
    ),
)
@click.argument("target", metavar="[RUN|FILE]", required=False, shell_complete=complete_run_names)
@click.option(
    "--run",
    "of_run",
    metavar="RUN",
    help="Run that FILE is compared with [default: that of its folder, or the one named in it].",
)
@add_setting_options(ExportSettings, "max_drop", "require_proof", "samples")
@add_setting_options(DeviceSettings)
@add_setting_options(OutputsSettings)
@runs_option
@json_option
def verify(target: str | None, of_run: str | None, runs: str | None, as_json: bool, **options: Any) -> None:
    """Verify exported files again, on this machine or on devices (--on).

    Verifies one FILE, or all files of a run that passed, by default of the newest run. They are evaluated on the
    validation images as they are now, on this machine's CPU. --on runs the TFLite files on other devices or in a
    browser instead, and --outputs verifies what something else computed. The exit code is 1 if a file lost more than
    --max-drop. The new verdict is kept only of a file that has changed since it was verified.
    """
    on, given = DeviceSettings.take(select_given(options))
    outputs, given = OutputsSettings.take(given)
    settings, pairs = ExportSettings(**given), outputs.pairs()
    from keras_resnet.export.devices.places import find_places
    from keras_resnet.export.evaluate import RunLookup
    from keras_resnet.export.load import is_exported_file

    find_places(on)  # or what is wrong with them
    lookup = RunLookup(runs_home(runs), of_run)
    found = Path(find_target(runs, target, of_run))
    if not is_exported_file(str(found)):
        find_run(runs, str(found))  # or what is meant
    log_newest(str(found), target)
    if on.on or pairs:
        _verify_on_devices(found, settings, on, pairs, lookup, as_json)
    else:
        _verify_here(found, find_named_run(runs, found), settings, lookup, as_json)


def _verify_on_devices(
    target: Path,
    settings: ExportSettings,
    on: DeviceSettings,
    outputs: list[tuple[str, str]],
    lookup: RunLookup,
    as_json: bool,
) -> None:
    """Run the file, or those of the run, on devices, and verify outputs (file, what computed it); keep and print the
    verdicts."""
    from keras_resnet.cli.device_tables import print_device_verdicts
    from keras_resnet.export.run_on_devices import verify_on_devices

    given = [(Path(file), where) for file, where in outputs]
    run, result = verify_on_devices(target, settings, on, lookup, console.log, given)
    if result.verdicts:
        print_device_verdicts(run.name, result.verdicts, as_json)
    if problems := result.list_problems():
        raise KresnetError("; ".join(problems))


def _verify_here(target: Path, run: Run | None, settings: ExportSettings, lookup: RunLookup, as_json: bool) -> None:
    """Verify the files of the `run` that `target` names, or the one that it is, on this machine's CPU."""
    from keras_resnet.cli.verdict_tables import print_verdicts
    from keras_resnet.export.evaluate import verify_file, verify_run
    from keras_resnet.export.verdict import Budget

    budget = Budget.from_points(settings.max_drop, settings.require_proof)
    problems: list[str] = []
    if run:
        verdicts, problems = verify_run(run, budget, console.log, settings.samples)
    else:
        verdicts = [verify_file(target, budget, lookup, console.log, settings.samples)]
    if verdicts:
        print_verdicts(str(target), verdicts, as_json)
    files = [run.exports / each.file if run else target for each in verdicts]
    problems += [
        _describe_failure(file, each, settings) for file, each in zip(files, verdicts, strict=True) if not each.passed
    ]
    if problems:
        raise KresnetError("; ".join(problems))


def _describe_failure(file: Path, verdict: Verdict, settings: ExportSettings) -> str:
    """Return what to say of a `file` that is not within its budget."""
    from keras_resnet.metrics.outcome import is_unproven

    unproven = is_unproven(verdict.as_dict())
    words = "is not proven to be within" if unproven else "lost more than"
    return f"{file} {words} {counted(settings.max_drop, 'point', 'g')}" + " (--require-proof)" * unproven


@click.command(cls=Command, epilog=format_examples("kresnet inspect exports/int8.tflite"))
@click.argument("file", metavar="FILE", required=False, type=click.Path(path_type=Path))
@runs_option
@json_option
def inspect(file: Path | None, runs: str | None, as_json: bool) -> None:
    """Print what an exported FILE says about itself.

    Prints its labels, its input size, where it came from, its operators and, for an 8-bit file, what a microcontroller
    needs to run it. For a .tflite file, this needs no TensorFlow.
    """
    from keras_resnet.export.evaluate import inspect_file
    from keras_resnet.reporting.microcontroller import describe_all_needs

    description = inspect_file(find_file(runs, file))
    if as_json:
        console.emit_json(description)
        return
    needs = description.pop("micro")
    for key, value in description.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_format(each)}" for name, each in value.items())
        if value is not None:
            console.emit(f"{key}: {_format(value)}")
    if needs:
        for line in describe_all_needs([{"file": Path(description["file"]).name, "micro": needs}]):
            console.emit(line)


def _format(value: object) -> str:
    """Return a value in words, fractions with six digits: as many as a float32 has for certain."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_format, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
