"""`kresnet export`, `kresnet verify` and `kresnet inspect`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import complete_run_names, json_option, runs_option
from keras_resnet.errors import KresnetError, UsageError
from keras_resnet.export.formats import FORMATS
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import format_interval, is_unproven, list_remarks, list_shared_remarks
from keras_resnet.reporting.page import publish_report
from keras_resnet.run import Run, runs_home
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from keras_resnet.config.spec import Spec
    from keras_resnet.export.accelerators.base import AcceleratorReport
    from keras_resnet.export.remedies import RemedyResult
    from keras_resnet.export.verdict import Verdict

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
# Of a verdict's details, what is told beside its metric.
SHOWN = ("box mAP", "AP50", "mask AP50")


def format_options(command: Decorated) -> Decorated:
    """Add an option for each format of the registry."""
    for name, entry in reversed(FORMATS.items()):
        command = click.option(f"--{name}", is_flag=True, help=entry.help)(command)
    return command


drop_option = click.option(
    "--max-drop", type=float, default=1.0, show_default=True, help="Points of accuracy a file may lose."
)
proof_option = click.option(
    "--require-proof",
    is_flag=True,
    help="Fail also where the drop's 95% interval is not within --max-drop: too few images to tell.",
)
samples_option = click.option(
    "--samples",
    type=click.IntRange(1),
    help="Judge by so many validation images, drawn by a fixed seed [default: all].",
)


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet export --tflite",
        "kresnet export RUN --tflite --quantize int8 --auto",
        "kresnet export RUN --savedmodel --onnx --c-array",
    ),
)
@click.argument("run", required=False, shell_complete=complete_run_names)
@format_options
@click.option(
    "--quantize",
    multiple=True,
    metavar="SCHEME",
    help="float32, float16, dynamic, int8, int8-float-io, int16x8 or all.",
)
@click.option("--io", help="Inputs and outputs: uint8 (raw pixels), int8 or float [default: uint8].")
@click.option("--keep-float", multiple=True, metavar="LAYER", help="A layer of an int8 file that is not quantized.")
@click.option("--batch", type=click.IntRange(1), help="Images of one inference of a TFLite file [default: 1].")
@click.option("--dynamic-batch", is_flag=True, help="TFLite files that take any number of images at a time.")
@click.option("--with-nms", is_flag=True, help="Of a detector also files that make objects of the outputs themselves.")
@click.option("--calibration-data", metavar="DIR", help="Images to calibrate with [default: of the training data].")
@click.option(
    "--calibration-images",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="How many of the training data.",
)
@click.option(
    "--engine", default="tensorflow", show_default=True, help="What makes int8 files: tensorflow or litert-quantizer."
)
@click.option("--target", multiple=True, metavar="NAME", help="Also fit integer files to: ethos-u55-128, …, edgetpu.")
@click.option("--auto", is_flag=True, help="Try remedies on an int8 file until it is within the budget.")
@drop_option
@proof_option
@samples_option
@runs_option
@json_option
def export(run: str | None, runs: str | None, as_json: bool, max_drop: float, **options: Any) -> None:
    """Export RUN and verify every file.

    Each file, of the newest run by default, is scored on the validation images beside the Keras model.
    Exit code 1 if a file lost more than --max-drop, or could not be made; the others are written nonetheless.
    """
    from keras_resnet.export.tflite_options import TFLiteRequest, with_engine, with_nms_variants

    _require_drop(max_drop)
    if not options["tflite"]:
        for name in ("quantize", "io", "keep_float", "batch", "dynamic_batch", "with_nms"):
            if options[name]:
                raise UsageError(f"--{name.replace('_', '-')} is for TFLite files; add --tflite")
    if options["batch"] and options["dynamic_batch"]:
        raise UsageError("--batch fixes what --dynamic-batch leaves open; give one of them")
    batch = None if options["dynamic_batch"] else options["batch"] or 1
    formats = [name for name in FORMATS if options[name.replace("-", "_")]]
    if not formats:
        *names, last = (f"--{name}" for name in FORMATS)
        raise UsageError(f"say what to export: {', '.join(names)} or {last}")
    found = Run.find(runs_home(runs), run)
    is_qat = found.spec().compress.is_qat
    request = TFLiteRequest(options["io"], batch, tuple(options["keep_float"]), is_qat)
    tflite = request.build(options["quantize"]) if options["tflite"] else []
    tflite = with_engine(tflite, options["engine"])
    if options["with_nms"]:
        tflite += with_nms_variants(tflite, found.spec().task)
    found.require_finished()
    _require_possible(options["target"], options["calibration_data"])
    from keras_resnet.export.accelerators import check_accelerators
    from keras_resnet.export.pipeline import export_files
    from keras_resnet.export.remedies import export_with_remedies
    from keras_resnet.export.request import ExportRequest

    wanted = ExportRequest(
        tflite=tuple(tflite),
        formats=tuple(name for name in formats if name != "tflite"),
        max_drop=max_drop / 100,
        calibration_folder=options["calibration_data"],
        calibration_images=options["calibration_images"],
        samples=options["samples"],
        require_proof=options["require_proof"],
    )
    if options["target"] and not any(each.is_integer for each in tflite):
        raise UsageError("--target is for integer TFLite files: --tflite --quantize int8. None is asked for")
    steps: list[RemedyResult] = []
    if options["auto"]:
        done, steps = export_with_remedies(found, wanted, console.log)
    else:
        done = export_files(found, wanted, console.log)
    verdicts = done.verdicts or done.require_all()
    fits = check_accelerators(found, verdicts, options["target"], console.log)
    publish_report(found)
    if not as_json:
        if steps:
            _tell_steps(steps)
        if fits:
            _tell_fits(fits)
        if words := _plain_words(found.spec()):
            console.emit(words)
    _tell(f"{found.name}, as written to {found.exports}", verdicts, as_json)
    problems = [
        *([done.failure_message] if done.failures else []),
        *(f"{each.target} refuses of {each.file}: {each.refused[0]}" for each in fits if each.refused),
        *_not_within(verdicts, max_drop),
    ]
    if problems:
        raise KresnetError("; ".join(problems))


def _not_within(verdicts: list[Verdict], max_drop: float) -> list[str]:
    """What to say of files that failed."""
    failed = [verdict for verdict in verdicts if not verdict.is_within]
    lost = ", ".join(verdict.file for verdict in failed if not is_unproven(verdict.as_dict()))
    open_ = ", ".join(verdict.file for verdict in failed if is_unproven(verdict.as_dict()))
    return [
        *(
            [f"lost more than {counted(max_drop, 'point', 'g')}: {lost} (kept apart, not the run's export)"]
            if lost
            else []
        ),
        *(
            [f"not proven to be within {counted(max_drop, 'point', 'g')}: {open_} (kept apart by --require-proof)"]
            if open_
            else []
        ),
    ]


def _require_possible(targets: tuple[str, ...], calibration_folder: str | None) -> None:
    """Raises UsageError or DataError for what cannot be had, before TensorFlow is imported."""
    from keras_resnet.export.accelerators import require_accelerator
    from keras_resnet.export.calibration import require_calibration_folder

    for target in targets:
        require_accelerator(target)
    if calibration_folder:
        require_calibration_folder(calibration_folder)


def _plain_words(spec: Spec) -> str:
    """What compression is good for, where it may be taken for something else."""
    if not (spec.compress.sparsity or spec.compress.clusters):
        return ""
    return (
        "zeros and shared weights make the download smaller (gzip), not the file on the device, and inference no"
        " faster; 8 bits (--qat, int8) and fewer filters (--shrink) do all three"
    )


def _tell_fits(fits: list[AcceleratorReport]) -> None:
    rows = [
        [each.target, each.file, f"{each.accepted:.1%}", ", ".join(f"{k} {v:.4g}" for k, v in each.estimates.items())]
        for each in fits
    ]
    console.print_table("accelerators", ["target", "file", "operators taken", "estimates"], rows, prose=["estimates"])


def _tell_steps(steps: list[RemedyResult]) -> None:
    verdicts = [step.verdict for step in steps]
    rows = [
        [step.remedy, f"{v.value:.2%}", drop, interval, v.words, f"{v.agreement:.2%}", f"{v.bytes / 1e6:.2f} MB"]
        for step, v, (drop, interval) in zip(steps, verdicts, _drops(verdicts), strict=True)
    ]
    metric, drop = metric_label(verdicts[0].metric), _drop_column(verdicts)
    columns = ["remedy", metric, drop, "95%", "verdict", "agreement", "size"]
    prose, spare = ["remedy", drop, "verdict"], ["agreement", "size"]
    console.print_table("effect of each remedy", columns, rows, prose=prose, spare=spare)


def _drop_column(verdicts: list[Verdict]) -> str:
    """What the drops are of, where that is the same for all."""
    of = {verdict.drop_metric for verdict in verdicts}
    return f"drop of {metric_label(of.pop())}" if len(of) == 1 else "drop"


def _drops(verdicts: list[Verdict]) -> list[tuple[str, str]]:
    """(drop, interval) of each file in points, the drop with its metric where that is not the same for all."""
    named = _drop_column(verdicts) == "drop"
    return [
        (f"{100 * v.drop:+.2f}" + f" of {metric_label(v.drop_metric)}" * named, format_interval(v.drop_interval))
        for v in verdicts
    ]


@click.command(cls=Command, epilog=format_examples("kresnet verify exports/int8.tflite"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--run", "of_run", help="The run that FILE is judged against [default: its folder's, or its own].")
@drop_option
@proof_option
@samples_option
@runs_option
@json_option
def verify(
    file: Path,
    of_run: str | None,
    max_drop: float,
    require_proof: bool,
    samples: int | None,
    runs: str | None,
    as_json: bool,
) -> None:
    """Verify an exported FILE again, on this machine.

    It is scored on the data as they are now. Exit code 1 if it lost more than --max-drop.
    """
    _require_drop(max_drop)
    from keras_resnet.export.evaluate import RunLookup, verify_file
    from keras_resnet.export.verdict import Budget

    budget, lookup = Budget(max_drop / 100, require_proof), RunLookup(runs_home(runs), of_run)
    verdict = verify_file(file, budget, lookup, console.log, samples)
    _tell(str(file), [verdict], as_json)
    if not verdict.is_within:
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

    found = inspect_file(file)
    if as_json:
        console.emit_json(found)
        return
    for key, value in found.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {each}" for name, each in value.items())
        elif isinstance(value, list):
            value = ", ".join(str(each) for each in value)
        console.emit(f"{key}: {value}")


@click.command(cls=Command, epilog=format_examples("kresnet diagnose RUN"))
@click.argument("run", required=False, shell_complete=complete_run_names)
@click.option(
    "--samples", type=click.IntRange(1), default=200, show_default=True, help="Validation images to judge by."
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many layers to name.")
@runs_option
@json_option
def diagnose(run: str | None, samples: int, top: int, runs: str | None, as_json: bool) -> None:
    """Rank the layers of RUN by what 8 bits cost.

    Each layer of the newest run by default is rounded alone, and the whole network scored.
    """
    found = Run.find(runs_home(runs), run)
    found.require_finished()
    from keras_resnet.export.sensitivity import diagnose as diagnosed

    damages = diagnosed(found, samples, console.log)
    if as_json:
        console.emit_json([vars(damage) for damage in damages])
        return
    columns = ["layer", "same answers", "outputs changed", "range", "widest channel"]
    rows = [
        [
            damage.layer,
            f"{damage.agreement:.2%}",
            f"{damage.error:.2%}",
            "" if damage.low is None else f"{damage.low:.3g} … {damage.high:.3g}",
            "" if damage.spread is None else f"{damage.spread:.1f} × median",
        ]
        for damage in damages[:top]
    ]
    title = f"{found.name}: each layer alone in 8 bits, the worst first"
    console.print_table(title, columns, rows, spare=["range"])
    console.emit(f"all {len(damages)}: {found.exports / 'diagnosis.json'}, drawn: {found.exports / 'diagnosis.png'}")


def _require_drop(max_drop: float) -> None:
    if not 0 <= max_drop <= 100:
        raise UsageError(f"--max-drop must be between 0 and 100 points. Received: {max_drop}")


def _tell(title: str, verdicts: list[Verdict], as_json: bool) -> None:
    if as_json:
        console.emit_json([verdict.as_dict() for verdict in verdicts])
        return
    first, drop = verdicts[0], _drop_column(verdicts)
    metric = metric_label(first.metric)
    columns = ["file", "size", "gzip", metric, drop, "95%", "agreement", "worst class", "latency", "memory"]
    rows = [
        [
            *(v.file, f"{v.bytes / 1e6:.2f} MB", f"{v.gzip_bytes / 1e6:.2f} MB", f"{v.value:.2%}", *of),
            f"{v.agreement:.2%}" + (f" ({v.own_agreement:.2%})" if v.own_agreement != v.agreement else ""),
            f"{100 * v.worst_class_drop:+.2f} ({v.worst_class})",
            *(f"{v.latency_ms:.2f} ms", f"{v.cost.peak_mib:.0f} MiB", v.words),
        ]
        for v, of in zip(verdicts, _drops(verdicts), strict=True)
    ]
    title = f"{title}: {counted(first.samples, 'validation image')}, drops in points"
    spare = ["size", "latency", "agreement", "memory", "worst class", "gzip"]
    console.print_table(title, [*columns, "verdict"], rows, prose=[drop, "verdict"], spare=spare)
    console.emit(f"the Keras model on the same images: {metric} {first.model_value:.2%}")
    for v in verdicts:
        if others := ", ".join(
            f"{metric_label(name)} {value:.2%}" for name, value in v.details.items() if name in SHOWN
        ):
            console.emit(f"{v.file}: {others}")
    for remark in dict.fromkeys(chain.from_iterable(list_remarks(v.as_dict()) for v in verdicts)):
        console.emit(remark)
    for remark in list_shared_remarks(first.as_dict()):
        console.emit(remark)
    threads = first.cost.latencies[-1].threads
    console.emit(
        f"latency: median of one image, {counted(threads, 'thread')}; memory: resident at its highest; on"
        f" {first.machine}"
    )
