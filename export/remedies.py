"""Remedies for an int8 file that lost too much: the cheapest first, each verified as a file, until one is enough."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from keras_resnet.compression.plan import QAT, spec_for_compression
from keras_resnet.compression.quantization.equalize import equalize
from keras_resnet.errors import KresnetError, UsageError
from keras_resnet.evaluation.evaluate import load_keras_file, load_model
from keras_resnet.export.calibration import build_calibration
from keras_resnet.export.convert import share_imports
from keras_resnet.export.flatbuffer import find_layer_outputs
from keras_resnet.export.formats import get_format
from keras_resnet.export.pipeline import ExportContext, export
from keras_resnet.export.request import ExportFile, ExportRequest, ExportResult, is_qat
from keras_resnet.export.sensitivity import SensitivityAnalysis
from keras_resnet.export.tflite_options import (
    LITERT_QUANTIZER,
    MIN_MAX,
    SCHEMES,
    TENSORFLOW,
    RangeMethod,
    TFLiteOptions,
)
from keras_resnet.export.verdict import Verdict
from keras_resnet.progress import show_activity
from keras_resnet.run.folders import free_name
from keras_resnet.runtime.plurals import counted
from keras_resnet.training.train import train

EXTENDED_CALIBRATION = 1000
DIAGNOSIS_IMAGES = 200
# How many of the worst layers stay in float32 at most: a file with more is hardly one of 8 bits.
MAX_FLOAT_LAYERS = 10
# Ranges to try beside those from the smallest to the largest value.
NARROWER: tuple[RangeMethod, ...] = ("percentile", "mse")


@dataclass(frozen=True)
class RemedyResult:
    """One remedy, in words, and what became of the file; options: of that, None where a new run was trained."""

    remedy: str
    verdict: Verdict
    options: TFLiteOptions | None


@share_imports()
def export_with_remedies(context: ExportContext, request: ExportRequest) -> tuple[ExportResult, list[RemedyResult]]:
    """Export all that is asked for, with remedies for the one int8 file in it; return what became of all, and the
    steps of that file.

    Raises UsageError unless there is exactly one.
    """
    int8 = request.int8_file
    others = replace(request, tflite=tuple(options for options in request.tflite if options != int8))
    result = context.export_all(others) if others.tflite or others.formats else ExportResult()
    try:
        steps = try_remedies(context, int8, request)
    except KresnetError as error:
        name = get_format("tflite").file_name(int8)
        return replace(result, failures={**result.failures, name: error}), []
    return replace(result, verdicts=[*result.verdicts, steps[-1].verdict]), steps


@share_imports()
def try_remedies(context: ExportContext, options: TFLiteOptions, request: ExportRequest) -> list[RemedyResult]:
    """Try remedies on an int8 file of a run until it is within the budget; return all steps, the last one being the
    best that could be done.

    As it is; calibrated by 1,000 images; narrower ranges of activations; by litert-quantizer where that is installed;
    channels equalized (Nagel et al. 2019); the most sensitive layers in float32, one more each time; trained on with 8
    bits, which makes a new run. A remedy that cannot be tried is logged, and the next one follows. Raises UsageError
    for a file or run that is not for this.
    """
    run = context.run
    if not options.scheme.is_int8_ptq or is_qat(run):
        raise UsageError("--auto is for int8 files of a run that was not trained with 8 bits")
    context.require_calibration()
    with tempfile.TemporaryDirectory() as scratch:
        search = RemedySearch(context, options, request, Path(scratch))
        with context.refresh_artifacts():
            search.run()
    steps = search.require_steps()
    document = [{"remedy": step.remedy, **step.verdict.as_dict()} for step in steps]
    run.write_json(run.exports / "auto.json", document)
    return steps


@dataclass(frozen=True)
class Remedy:
    """One thing to try: in words, and the file to write, with what it is written from; None to train a new run."""

    words: str
    context: ExportContext
    options: TFLiteOptions | None


@dataclass
class RemedySearch:
    """The search for a good enough int8 file. scratch: a folder for models that are made on the way."""

    context: ExportContext
    options: TFLiteOptions
    request: ExportRequest
    scratch: Path
    steps: list[RemedyResult] = field(default_factory=list)
    failure: KresnetError | None = None

    @property
    def can_have_floats(self) -> bool:
        """Whether the file may hold floats: a microcontroller takes none."""
        return self.options.io != "int8"

    def run(self) -> None:
        """Try one remedy after another until a file is within its budget."""
        log = self.context.log
        for remedy in self._remedies():
            log(f"remedy: {remedy.words}")
            try:
                with show_activity(f"trying a remedy: {remedy.words}"):
                    self.steps.append(RemedyResult(remedy.words, self._try(remedy), remedy.options))
            except KresnetError as error:
                log(f"this remedy could not be tried: {error}")
                self.failure = error
                continue
            if self.steps[-1].verdict.passed:
                break

    def require_steps(self) -> list[RemedyResult]:
        """Return what was tried. Raises the last error where nothing could be."""
        if not self.steps and self.failure:
            raise self.failure
        return self.steps

    def _try(self, remedy: Remedy) -> Verdict:
        if remedy.options is None:
            return self._train_quantized()
        return remedy.context.export(ExportFile(get_format("tflite"), remedy.options))

    def _remedies(self) -> Iterator[Remedy]:
        """Yield the remedies; each is made when those before it were not enough, and keeps what they changed."""
        calibration = self.context.require_calibration()
        options = self.options
        yield Remedy(f"as it is, {counted(len(calibration.images), 'calibration image')}", self.context, options)
        if self.request.calibration_folder is None:
            extended = build_calibration(self.context.data, count=EXTENDED_CALIBRATION)
            if len(extended.images) > len(calibration.images):
                self.context = replace(self.context, calibration=extended)
                yield Remedy(counted(len(extended.images), "calibration image"), self.context, options)
        for method in NARROWER if options.ranges == MIN_MAX else ():
            yield Remedy(f"ranges by {method}", self.context, replace(options, ranges=method))
        if self._suits_litert():
            litert = replace(options, engine=LITERT_QUANTIZER, ranges=MIN_MAX)
            yield Remedy("rounded by litert-quantizer", self.context, litert)
        options = self.options = self._choose_ranges()
        if equalized := self._equalize():
            self.context = equalized
            yield Remedy("channels equalized", self.context, options)
        layers = self._find_sensitive_layers()
        for count in range(1, min(MAX_FLOAT_LAYERS, len(layers)) + 1):
            kept = replace(options, keep_float=tuple(layers[:count]))
            yield Remedy(f"{', '.join(layers[:count])} in float32", self.context, kept)
        yield Remedy("trained on with 8 bits", self.context, None)

    def _suits_litert(self) -> bool:
        """Whether litert-quantizer is installed and can make such a file."""
        options = self.options
        return self.can_have_floats and options.batch == 1 and not options.per_tensor and LITERT_QUANTIZER.is_installed

    def _choose_ranges(self) -> TFLiteOptions:
        """Return the options with the ranges that changed the fewest predictions so far."""
        tried = [
            (step.verdict.agreement, step.options)
            for step in self.steps
            if step.options and step.options.engine == TENSORFLOW
        ]
        if not tried:
            return self.options
        agreement, best = max(tried, key=lambda each: each[0])
        if best.ranges != self.options.ranges:
            self.context.log(
                f"from here on: ranges by {best.ranges}, with which most predictions are those of the Keras model,"
                f" {agreement:.2%}"
            )
        return best

    def _equalize(self) -> ExportContext | None:
        """Return the context with a model that computes the same by channels of like ranges; None where none can be
        scaled."""
        model = load_model(self.context.run)
        if not equalize(model, self.context.require_calibration().images):
            return None
        file = self.scratch / "equalized.keras"
        model.save(file)
        return replace(self.context, model_file=file)

    def _find_sensitive_layers(self) -> list[str]:
        """Return the layers that lose most in 8 bits, the worst first; none where no file can keep them in float."""
        context = self.context
        rejected = context.run.rejected / get_format("tflite").file_name(self.options)
        if not self.can_have_floats or not rejected.is_file():
            return []
        model = load_keras_file(context.model_file)
        analysis = SensitivityAnalysis(context.run, context.data, context.require_calibration(), context.log)
        sensitivities = analysis.measure(model, DIAGNOSIS_IMAGES)
        layers = [each.layer for each in sensitivities if each.low is not None]
        # What only joins or passes on has no operator of its own to be left out.
        outputs = find_layer_outputs(rejected.read_bytes(), tuple(layers))
        return [layer for layer in layers if outputs[layer]]

    def _train_quantized(self) -> Verdict:
        run, options, log = self.context.run, self.options, self.context.log
        home = run.folder.resolve().parent
        trained = train(spec_for_compression(run, QAT, set(), log), home, free_name(home, f"{run.name}-qat"), log)
        qat = (TFLiteOptions(SCHEMES["qat"], options.io, options.batch),)
        (verdict,) = export(trained, replace(self.request, tflite=qat, formats=(), calibration_folder=None), log)
        return replace(verdict, file=str(trained.exports / verdict.file))
