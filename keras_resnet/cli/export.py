"""`kresnet export`: files for devices, each with a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, GroupedOption, format_examples
from keras_resnet.cli.next_steps import DEMO, is_at_chance, log_better_training, log_next_steps
from keras_resnet.cli.options import json_option, optional_run_argument, runs_option
from keras_resnet.cli.setting_options import add_setting_options
from keras_resnet.cli.targets import find_run, log_newest
from keras_resnet.config.foreign_words import translate_export
from keras_resnet.config.given_options import select_given
from keras_resnet.config.option_groups import FILES
from keras_resnet.errors import KresnetError
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.formats import FORMATS, find_format
from keras_resnet.export.settings import TFLITE, ExportSettings
from keras_resnet.export.tflite_options import ALL, SCHEME_ALIASES, SCHEMES
from keras_resnet.metrics.outcome import format_interval
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from keras_resnet.api.exporting import ExportOutcome
    from keras_resnet.config.spec import Spec
    from keras_resnet.export.devices.places import Place
    from keras_resnet.export.verdict import Verdict
    from keras_resnet.run import Run

F = TypeVar("F", bound=Callable[..., Any])
COMPRESSION_REMARK = (
    "zeros and shared weights make only the download smaller (gzip): the file on the device stays as large and"
    " inference as slow; 8 bits (--qat, int8) and fewer filters (--shrink) improve all three"
)


class ExportCommand(Command):
    """A command that takes options of other tools which say exactly what one of its own does, and says so."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse `args`, those of other tools in ours."""
        translated, remarks = translate_export(args, FORMATS, (*SCHEMES, *SCHEME_ALIASES, ALL))
        for remark in remarks:
            console.log(remark)
        return super().parse_args(ctx, translated)


def _add_format_options(command: F) -> F:
    """Add an option for each format of the registry."""
    for name, entry in reversed(FORMATS.items()):
        command = click.option(f"--{name}", is_flag=True, help=entry.help, cls=GroupedOption, group=FILES)(command)
    return command


@click.command(
    cls=ExportCommand,
    epilog=format_examples(
        "kresnet export",
        "kresnet export RUN --quantize int8 --auto",
        "kresnet export RUN --savedmodel --onnx --c-array",
    ),
)
@optional_run_argument
@_add_format_options
@add_setting_options(ExportSettings)
@add_setting_options(DeviceSettings)
@runs_option
@json_option
def export(run: str | None, runs: str | None, as_json: bool, **options: Any) -> None:
    """Export RUN and verify every file.

    Exports the newest run by default. Each file is evaluated on the validation images and compared with the Keras
    model. The exit code is 1 if a file lost more than --max-drop or could not be made; other files are still written.
    """
    from keras_resnet.export.devices.places import find_places
    from keras_resnet.export.request import ExportRequest

    formats = tuple(name for name in FORMATS if options.pop(name.replace("-", "_")))
    on, given = DeviceSettings.take(select_given(options))
    settings = ExportSettings(formats, **given)
    settings.require_possible()
    of_run = find_run(runs, run)
    request = ExportRequest.from_settings(settings, of_run)
    places = find_places(on)  # or what is wrong with them
    log_newest(of_run.name, run)
    if not formats and settings.asks_tflite:
        others = ", ".join(f"--{name}" for name in FORMATS if name != TFLITE)
        console.log(f"format: --tflite (the default; also available: {others})")
    from keras_resnet.api.exporting import export_run

    outcome = export_run(of_run, settings, request, on)
    _print_outcome(of_run, outcome, as_json, _is_for_microcontrollers(settings, places))
    if problems := _list_problems(outcome, settings):
        inaccurate = _list_inaccurate(outcome)
        if inaccurate and not as_json and not outcome.result.failures:
            if is_at_chance(of_run):
                log_better_training(of_run, runs)
            else:
                first = _ask_for_images(outcome.verdicts, settings.samples)
                log_next_steps(*_list_remedies(of_run, inaccurate, settings), runs=runs, first=first)
        raise KresnetError("; ".join(problems))
    if as_json:
        return
    if is_at_chance(of_run):
        log_better_training(of_run, runs)
    else:
        report = (f"report {of_run.name} --open", "the whole report")
        log_next_steps((f"demo {of_run.name}", DEMO), report, runs=runs)


def _is_for_microcontrollers(settings: ExportSettings, places: Sequence[Place]) -> bool:
    """Return whether --target or --on names a chip that runs the 8-bit files by firmware."""
    from keras_resnet.export.accelerators import find_accelerator

    chips = [find_accelerator(name).is_for_microcontrollers for name in settings.accelerators]
    return any(chips) or any(place.device.is_microcontroller for place in places)


def _print_outcome(of_run: Run, outcome: ExportOutcome, as_json: bool, is_for_microcontrollers: bool) -> None:
    """Print the verdicts, and what else was found out about the files; for microcontrollers also what they need."""
    from keras_resnet.cli import verdict_tables
    from keras_resnet.cli.device_tables import print_device_verdicts
    from keras_resnet.evaluation.advice import describe_missed_classes

    devices = outcome.devices.verdicts if outcome.devices else []
    if not as_json:
        if outcome.remedies:
            verdict_tables.print_remedies(outcome.remedies)
        if outcome.accelerators:
            verdict_tables.print_accelerators(outcome.accelerators)
        if _needs_compression_remark(of_run.spec()):
            console.emit(COMPRESSION_REMARK)
    if missed := describe_missed_classes(of_run):
        console.log(f"warning: {missed}")
    unverified = outcome.result.unverified
    if as_json:
        rows = [verdict.as_dict() for verdict in outcome.verdicts]
        console.emit_json([*rows, *(each.as_dict() for each in unverified), *(each.as_dict() for each in devices)])
        return
    if outcome.verdicts:
        title = f"{of_run.name}, as written to {of_run.exports}"
        verdict_tables.print_verdicts(title, outcome.verdicts, False, is_for_microcontrollers, True, unverified)
    for each in unverified:
        console.emit(str(each))
    if devices:
        print_device_verdicts(of_run.name, devices, as_json=False, shown=outcome.verdicts)


def _list_problems(outcome: ExportOutcome, settings: ExportSettings) -> list[str]:
    """Return what to say of the files that failed."""
    from keras_resnet.cli import verdict_tables

    result = outcome.result
    return [
        *result.list_problems(),
        *(
            f"{each.target} refuses an operator of {each.file}: {each.refused[0]}"
            for each in outcome.accelerators
            if each.refused
        ),
        *verdict_tables.describe_failures(outcome.verdicts, settings.max_drop),
        *(
            f"{each.file} was not verified here (--require-proof)"
            for each in result.unverified
            if settings.require_proof
        ),
        *(outcome.devices.list_problems() if outcome.devices else []),
    ]


def _list_inaccurate(outcome: ExportOutcome) -> list[str]:
    """Return the files that failed because of what they predict. Advice on that is of no use for a device that cannot
    be reached, or one without the accelerator that was asked for."""
    on_devices = outcome.devices.verdicts if outcome.devices else []
    here = [each.file for each in outcome.verdicts if not each.passed]
    return here + [each.file for each in on_devices if each.has_lost_accuracy]


def _list_remedies(run: Run, inaccurate: list[str], settings: ExportSettings) -> list[tuple[str, str]]:
    """Return what can be typed after these files of `run` failed, and what it does."""
    were_tried = settings.auto or settings.accuracy_control
    formats = [] if were_tried else [find_format(run.exports / file) for file in inaccurate]
    remedies = dict.fromkeys(each.remedy for each in formats if each.remedy)
    return [
        (f"diagnose {run.name}", "find the layers that lose accuracy"),
        *((f"export {run.name} {options}", words) for options, words in remedies),
        (f"compress {run.name} --qat", "fine-tune it for 8 bits"),
    ]


def _ask_for_images(verdicts: list[Verdict], samples: int | None) -> str:
    """Return that more validation images are needed where these cannot tell whether a file that failed is within its
    budget; "" where they can. samples: how many were asked for, None for all."""
    for each in verdicts:
        is_one_image = each.drop * each.samples < 1.5
        if not each.passed and (is_one_image or each.drop_interval[0] <= each.max_drop):
            more = "a larger --samples" if samples else "more validation images"
            return (
                f"{more}: on {counted(each.samples, 'image')} the drop of {each.file} may be anything in"
                f" {format_interval(each.drop_interval)}, and {counted(100 * each.max_drop, 'point', 'g')} may be lost"
            )
    return ""


def _needs_compression_remark(spec: Spec) -> bool:
    """Return whether the run was compressed in a way that makes neither the file smaller nor inference faster."""
    return bool(spec.compress.sparsity or spec.compress.clusters)
