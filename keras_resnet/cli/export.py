"""`kresnet export`: files for devices, each with a verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, GroupedOption, format_examples
from keras_resnet.cli.foreign_words import translate_export
from keras_resnet.cli.next_steps import DEMO, log_next_steps
from keras_resnet.cli.options import (
    check_max_drop,
    drop_option,
    json_option,
    optional_run_argument,
    proof_option,
    runs_option,
    samples_option,
)
from keras_resnet.cli.targets import find_run
from keras_resnet.config.option_groups import FILES, QUANTIZATION
from keras_resnet.errors import KresnetError, UsageError
from keras_resnet.export.formats import FORMATS

if TYPE_CHECKING:
    from keras_resnet.config.spec import Spec
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import TFLiteOptions
    from keras_resnet.run import Run

F = TypeVar("F", bound=Callable[..., Any])
# Options that only TFLite files take.
TFLITE_OPTIONS = ("quantize", "io", "keep_float", "batch", "dynamic_batch", "with_nms")
COMPRESSION_REMARK = (
    "zeros and shared weights make the download smaller (gzip), not the file on the device, and inference no faster;"
    " 8 bits (--qat, int8) and fewer filters (--shrink) do all three"
)


class ExportCommand(Command):
    """A command that takes options of other tools which say exactly what one of its own does, and says so."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse `args`, those of other tools in ours."""
        translated, remarks = translate_export(args)
        for remark in remarks:
            console.log(remark)
        return super().parse_args(ctx, translated)


_file_option = partial(click.option, cls=GroupedOption, group=FILES)
_quantization_option = partial(click.option, cls=GroupedOption, group=QUANTIZATION)


def _add_format_options(command: F) -> F:
    """Add an option for each format of the registry."""
    for name, entry in reversed(FORMATS.items()):
        command = _file_option(f"--{name}", is_flag=True, help=entry.help)(command)
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
@_quantization_option(
    "--quantize",
    multiple=True,
    metavar="SCHEME",
    help="float32, float16, dynamic, int8, int8-float-io, int16x8 or all.",
)
@_quantization_option("--auto", is_flag=True, help="Try remedies on an int8 file until it is within the budget.")
@_file_option("--target", multiple=True, metavar="NAME", help="Also fit integer files to: ethos-u55-128, …, edgetpu.")
@_file_option("--with-nms", is_flag=True, help="Of a detector also files with NMS, which end in objects.")
@_file_option("--batch", type=click.IntRange(1), help="Batch size of a TFLite file [default: 1].")
@_file_option("--dynamic-batch", is_flag=True, help="TFLite files that take any number of images at a time.")
@_quantization_option("--io", help="Inputs and outputs: uint8 (raw pixels), int8 or float [default: uint8].")
@_quantization_option(
    "--keep-float", multiple=True, metavar="LAYER", help="A layer of an int8 file that is not quantized."
)
@_quantization_option(
    "--calibration-data", metavar="DIR", help="Images to calibrate with [default: of the training data]."
)
@_quantization_option(
    "--calibration-images",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="How many of the training data.",
)
@_quantization_option(
    "--engine", default="tensorflow", show_default=True, help="What makes int8 files: tensorflow or litert-quantizer."
)
@drop_option
@proof_option
@samples_option
@runs_option
@json_option
def export(run: str | None, runs: str | None, as_json: bool, max_drop: float, **options: Any) -> None:
    """Export RUN and verify every file.

    Each file, of the newest run by default, is scored on the validation images beside the Keras model. Exit code 1 if
    a file lost more than --max-drop, or could not be made; the others are written nonetheless.
    """
    check_max_drop(max_drop)
    is_default = not any(options[name.replace("-", "_")] for name in FORMATS)
    formats = _read_formats(options)
    of_run = find_run(runs, run)
    if is_default:
        others = ", ".join(f"--{name}" for name in FORMATS if name != "tflite")
        console.log(f"format: --tflite (none is asked for; others: {others})")
    tflite = _read_tflite(options, of_run)
    of_run.require_finished()
    _check_before_tensorflow(options["target"], options["calibration_data"])
    if options["target"] and not any(each.is_integer for each in tflite):
        raise UsageError("--target is for integer TFLite files: --tflite --quantize int8. None is asked for")
    from keras_resnet.export.request import ExportRequest

    request = ExportRequest(
        tflite=tuple(tflite),
        formats=tuple(name for name in formats if name != "tflite"),
        max_drop=max_drop / 100,
        calibration_folder=options["calibration_data"],
        calibration_images=options["calibration_images"],
        samples=options["samples"],
        require_proof=options["require_proof"],
    )
    if problems := _export(of_run, request, options, as_json):
        raise KresnetError("; ".join(problems))
    if not as_json:
        log_next_steps((f"demo {of_run.name}", DEMO), (f"report {of_run.name} --open", "the whole report"), runs=runs)


def _export(of_run: Run, request: ExportRequest, options: dict[str, Any], as_json: bool) -> list[str]:
    """Write, verify and print the files of `request`; returns what to say of those that failed."""
    from keras_resnet.cli import verdict_tables
    from keras_resnet.export.accelerators import check_accelerators
    from keras_resnet.export.pipeline import export_files
    from keras_resnet.export.remedies import export_with_remedies
    from keras_resnet.reporting.page import publish_report

    if options["auto"]:
        result, remedies = export_with_remedies(of_run, request, console.log)
    else:
        result, remedies = export_files(of_run, request, console.log), []
    verdicts = result.verdicts or result.require_all()
    accelerators = check_accelerators(of_run, verdicts, options["target"], console.log)
    publish_report(of_run)
    if not as_json:
        if remedies:
            verdict_tables.print_remedies(remedies)
        if accelerators:
            verdict_tables.print_accelerators(accelerators)
        if _needs_compression_remark(of_run.spec()):
            console.emit(COMPRESSION_REMARK)
    verdict_tables.print_verdicts(f"{of_run.name}, as written to {of_run.exports}", verdicts, as_json)
    return [
        *([result.failure_message] if result.failures else []),
        *(f"{each.target} refuses of {each.file}: {each.refused[0]}" for each in accelerators if each.refused),
        *verdict_tables.describe_failures(verdicts, 100 * request.max_drop),
    ]


def _read_formats(options: dict[str, Any]) -> list[str]:
    """Return the formats that `options` ask for: TFLite where they ask for none. Raises UsageError for options of a
    format that is not asked for."""
    if options["batch"] and options["dynamic_batch"]:
        raise UsageError("--batch fixes what --dynamic-batch leaves open; give one of them")
    formats = [name for name in FORMATS if options[name.replace("-", "_")]]
    if not formats:
        options["tflite"], formats = True, ["tflite"]
    if not options["tflite"]:
        for name in TFLITE_OPTIONS:
            if options[name]:
                raise UsageError(f"--{name.replace('_', '-')} is for TFLite files; add --tflite")
    return formats


def _read_tflite(options: dict[str, Any], of_run: Run) -> list[TFLiteOptions]:
    """Return the TFLite files that `options` ask for. Raises UsageError for what cannot be written of the run."""
    from keras_resnet.export.tflite_options import TFLiteRequest, with_engine, with_nms_variants

    spec = of_run.spec()
    batch = None if options["dynamic_batch"] else options["batch"] or 1
    request = TFLiteRequest(options["io"], batch, tuple(options["keep_float"]), spec.compress.is_qat)
    files = with_engine(request.build(options["quantize"]) if options["tflite"] else [], options["engine"])
    return files + with_nms_variants(files, spec.task) if options["with_nms"] else files


def _check_before_tensorflow(targets: tuple[str, ...], calibration_folder: str | None) -> None:
    """Raise UsageError or DataError for what cannot be had, before TensorFlow is imported."""
    from keras_resnet.export.accelerators import require_accelerator
    from keras_resnet.export.calibration import require_calibration_folder

    for target in targets:
        require_accelerator(target)
    if calibration_folder:
        require_calibration_folder(calibration_folder)


def _needs_compression_remark(spec: Spec) -> bool:
    """Return whether the run was compressed in a way that makes neither the file smaller nor inference faster."""
    return bool(spec.compress.sparsity or spec.compress.clusters)
