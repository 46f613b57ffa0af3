"""Remedies for an int8 file that lost too much: the cheapest first, each judged as a file, until one is good enough."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from keras_resnet.compression.plan import QAT, adopt_parent
from keras_resnet.compression.quantization.equalize import equalize
from keras_resnet.errors import KresnetError, UsageError
from keras_resnet.evaluation.evaluate import load_model, read_model
from keras_resnet.export.calibration import build_calibration
from keras_resnet.export.flatbuffer import find_layer_outputs
from keras_resnet.export.formats.litert_quantizer import is_installed
from keras_resnet.export.pipeline import (
    ExportContext,
    ExportRequest,
    ExportResult,
    export,
    export_files,
    export_one,
    is_learned,
    prepare,
    refresh_artifacts,
    require_calibration,
)
from keras_resnet.export.sensitivity import diagnose_model
from keras_resnet.export.tflite_options import LITERT_QUANTIZER, TFLiteOptions, build_tflite_options
from keras_resnet.export.verify import Verdict
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.folders import free_name
from keras_resnet.training.train import train

EXTENDED_CALIBRATION = 1000
DIAGNOSIS_IMAGES = 200
# How many of the worst layers stay in float32.
FLOAT_LAYER_COUNTS = (1, 2, 4)


@dataclass(frozen=True)
class RemedyResult:
    """One remedy, in words, and what became of the file."""

    remedy: str
    verdict: Verdict


def export_with_remedies(run: Run, wanted: ExportRequest, log: Log) -> tuple[ExportResult, list[RemedyResult]]:
    """All that is `wanted`, with remedies for the one int8 file in it: what became of it, and the steps of that file.

    Raises UsageError unless there is exactly one.
    """
    integer = [form for form in wanted.tflite if form.scheme.name == "int8"]
    if len(integer) != 1:
        raise UsageError(f"--auto is for one int8 file: --tflite --quantize int8. Received: {len(integer)} of them")
    others = replace(wanted, tflite=tuple(form for form in wanted.tflite if form not in integer))
    done = export_files(run, others, log) if others.tflite or others.formats else ExportResult([], {})
    try:
        steps = try_remedies(run, integer[0], wanted, log)
    except KresnetError as error:
        return ExportResult(done.verdicts, {**done.failures, integer[0].file_name: error}), []
    return ExportResult([*done.verdicts, steps[-1].verdict], done.failures), steps


def try_remedies(run: Run, form: TFLiteOptions, wanted: ExportRequest, log: Log) -> list[RemedyResult]:
    """Try the remedies on an int8 `form` of the run until a file is within `wanted.max_drop`, and proven to be where
    that is wanted; all steps, the last one being the best that could be done. A remedy that cannot be tried is told,
    and the next one follows.

    As it is; calibrated by 1,000 images; by litert-quantizer where that is installed; channels equalized (Nagel et al.
    2019); the worst layers of the diagnosis in float32; trained on with 8 bits, which makes a new run. Raises
    UsageError for a form or run that is not for this.
    """
    if form.scheme.name != "int8" or is_learned(run):
        raise UsageError("--auto is for int8 files of a run that was not trained with 8 bits")
    with tempfile.TemporaryDirectory() as scratch:
        steps: list[RemedyResult] = []
        work = prepare(run, replace(wanted, tflite=(form,)), log)
        require_calibration(work)
        failure: KresnetError | None = None
        with refresh_artifacts(work):
            for remedy, make in _remedies(work, form, wanted, Path(scratch), log):
                log(f"remedy: {remedy}")
                try:
                    steps.append(RemedyResult(remedy, make()))
                except KresnetError as error:
                    log(f"this remedy could not be tried: {error}")
                    failure = error
                    continue
                if steps[-1].verdict.is_within:
                    break
        if not steps and failure:
            raise failure
        run.write_json(run.exports / "auto.json", [{"remedy": step.remedy, **step.verdict.as_dict()} for step in steps])
        return steps


def _remedies(
    work: ExportContext, form: TFLiteOptions, wanted: ExportRequest, scratch: Path, log: Log
) -> Iterator[tuple[str, Callable[[], Verdict]]]:
    calibration = require_calibration(work)
    yield f"as it is, {len(calibration.images)} calibration images", partial(export_one, work, form, log)
    if wanted.calibration_folder is None:
        more = build_calibration(work.data, count=EXTENDED_CALIBRATION)
        if len(more.images) > len(calibration.images):
            work = replace(work, calibration=more)
            yield f"{len(more.images)} calibration images", partial(export_one, work, form, log)
    floats = form.io != "int8"  # which a microcontroller does not take
    if floats and form.batch == 1 and is_installed():
        yield "rounded by litert-quantizer", partial(export_one, work, replace(form, engine=LITERT_QUANTIZER), log)
    if equalized := _equalized(work, scratch):
        work = equalized
        yield "channels equalized", partial(export_one, work, form, log)
    made = work.run.rejected / form.file_name
    if floats and made.is_file():
        model = read_model(work.model_file)
        worst = [
            each.layer
            for each in diagnose_model(work.run, model, work.data, require_calibration(work), DIAGNOSIS_IMAGES, log)
            if each.low is not None
        ]
        # What only joins or passes on has no operator of its own to be left out.
        known = find_layer_outputs(made.read_bytes(), tuple(worst))
        worst = [layer for layer in worst if known[layer]]
        for count in sorted({min(count, len(worst)) for count in FLOAT_LAYER_COUNTS} - {0}):
            kept = replace(form, keep_float=tuple(worst[:count]))
            yield f"{', '.join(worst[:count])} in float32", partial(export_one, work, kept, log)
    yield "trained on with 8 bits", partial(_trained, work.run, form, wanted, log)


def _equalized(work: ExportContext, scratch: Path) -> ExportContext | None:
    """The same with a model that computes the same by channels of like ranges; None where none can be scaled."""
    model = load_model(work.run)
    if not equalize(model, require_calibration(work).images):
        return None
    file = scratch / "equalized.keras"
    model.save(file)
    return replace(work, model_file=file)


def _trained(run: Run, form: TFLiteOptions, wanted: ExportRequest, log: Log) -> Verdict:
    home = run.folder.resolve().parent
    made = train(adopt_parent(run, QAT, set(), log), home, free_name(home, f"{run.name}-qat"), log)
    forms = tuple(build_tflite_options(("qat",), form.io, form.batch, learned=True))
    (verdict,) = export(made, replace(wanted, tflite=forms, formats=(), calibration_folder=None), log)
    return replace(verdict, file=str(made.exports / verdict.file))
