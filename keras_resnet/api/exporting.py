"""Export from Python and from the command line: files, with verdicts, remedies and what accelerators say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_resnet import progress
from keras_resnet.api.device_verdicts import DeviceVerdicts
from keras_resnet.api.files import ExportedFiles
from keras_resnet.api.keywords import require_known, to_options
from keras_resnet.api.signatures import EXPORT
from keras_resnet.api.signatures import names as names_of
from keras_resnet.config.foreign_words import find_export_name
from keras_resnet.errors import KresnetError, UsageError, VerdictError, describe_received, did_you_mean
from keras_resnet.export.accelerators import check_accelerators
from keras_resnet.export.accelerators.base import AcceleratorReport
from keras_resnet.export.convert import CONVERTER
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.devices.places import UsablePlaces, find_places
from keras_resnet.export.formats import FORMATS
from keras_resnet.export.request import ExportRequest, ExportResult
from keras_resnet.export.rockchip import use_python
from keras_resnet.export.settings import TFLITE, ExportSettings
from keras_resnet.export.tflite_options import ALL, SCHEME_ALIASES, SCHEMES
from keras_resnet.export.verdict import Verdict, is_tflite_file, list_lines
from keras_resnet.run import Run as RunFolder

if TYPE_CHECKING:
    from keras_resnet.export.remedies import RemedyResult
    from keras_resnet.export.run_on_devices import DeviceResult

# Names of schemes of TFLite files, and of formats.
SCHEME_NAMES = (*SCHEMES, *SCHEME_ALIASES, ALL)
NAMES = (*SCHEME_NAMES, *FORMATS)


@dataclass(frozen=True)
class ExportOutcome:
    """What became of an export. remedies: the steps of --auto. accelerators: of --target. devices: of --on."""

    result: ExportResult
    remedies: list[RemedyResult]
    accelerators: list[AcceleratorReport]
    devices: DeviceResult | None = None

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts on the files that could be made."""
        return self.result.verdicts


def export_run(
    run: RunFolder, settings: ExportSettings, request: ExportRequest, on: DeviceSettings | None = None
) -> ExportOutcome:
    """Write and verify the files of the `request` that was made of `settings`, check accelerators, run the TFLite files
    that passed on the devices that `on` names, and write the report. Raises ExportError where no file could be made."""
    with use_python(settings.target_python):
        return _export_run(run, settings, request, on)


def _export_run(
    run: RunFolder, settings: ExportSettings, request: ExportRequest, on: DeviceSettings | None
) -> ExportOutcome:
    places = find_places(on) if on else []
    if places and not request.tflite:
        raise UsageError("--on runs TFLite files on devices: --tflite. None is asked for")
    usable = UsablePlaces.test(places, progress.log)
    request.log_default_files(run, progress.log)
    if run.is_finished:  # others are refused below
        CONVERTER.start()  # before this process imports TensorFlow, so that both do it at the same time
    from keras_resnet.export.pipeline import ExportContext
    from keras_resnet.export.remedies import export_with_remedies
    from keras_resnet.export.run_on_devices import DeviceContext
    from keras_resnet.reporting.page import publish_report

    context = ExportContext.prepare(run, request, progress.log)
    try:
        if settings.auto:
            result, remedies = export_with_remedies(context, request)
        else:
            result, remedies = context.export_all(request), []
        if not result.verdicts and not result.unverified:
            result.require_all()
        verdicts = result.verdicts
        accelerators = check_accelerators(run, verdicts, settings.accelerators, progress.log)
    except (KeyboardInterrupt, SystemExit):  # the files that are there stay, and the report has to show them
        publish_report(run)
        raise
    try:
        publish_report(run)
    except KresnetError as error:  # which hides no verdict
        result.unwritten.append(error)
    passed = [run.exports / verdict.file for verdict in verdicts if verdict.passed and is_tflite_file(verdict.file)]
    devices = None
    if passed and (usable.places or usable.failures):
        on_devices = DeviceContext(run, context.reference, request.budget, progress.log)
        devices = on_devices.verify(dict.fromkeys(passed, ()), usable)
    return ExportOutcome(result, remedies, accelerators, devices)


def export_names(
    run: RunFolder, names: Sequence[str], keywords: Mapping[str, object], must_pass: bool
) -> ExportedFiles:
    """Export what `names` name, with the keywords of `Run.export`. Raises as that does."""
    require_known("export", keywords, names_of(EXPORT))
    on, options = DeviceSettings.take({name: v for name, v in to_options(keywords).items() if v is not None})
    settings = ExportSettings(*sort_names(names), **options)
    outcome = export_run(run, settings, ExportRequest.from_settings(settings, run), on)
    outcome.result.require_all()
    if refused := [each for each in outcome.accelerators if each.refused]:
        progress.log(
            "\n".join(f"{each.target} refuses an operator of {each.file}: {each.refused[0]}" for each in refused)
        )
    failed = list_lines([verdict for verdict in outcome.verdicts if not verdict.passed])
    if outcome.devices:
        progress.log(str(DeviceVerdicts(outcome.devices.verdicts)))
        failed += outcome.devices.list_problems()
    if failed and must_pass:
        raise VerdictError("\n".join(failed))
    return ExportedFiles.of(run, outcome.verdicts, outcome.result.unverified)


def sort_names(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (formats, schemes) of what is named, also with commas between: "int8,onnx". Raises UsageError for an
    unknown name, with the nearest."""
    names = [each for name in names for each in (map(str.strip, name.split(",")) if isinstance(name, str) else [name])]
    for name in names:
        if name not in NAMES:
            meant = find_export_name(str(name))
            near = f" Did you mean {meant!r}?" if meant else did_you_mean(str(name), NAMES)
            allowed, received = ", ".join(NAMES), describe_received(name)
            raise UsageError(f"what to export must be one of {allowed}. Received: {received}{near and '.'}{near}")
    schemes = tuple(name for name in names if name in SCHEME_NAMES)
    formats = tuple(name for name in names if name in FORMATS)
    return ((TFLITE, *formats) if schemes else formats), schemes
