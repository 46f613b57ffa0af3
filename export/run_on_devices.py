"""Run exported files on devices, by `kresnet verify --on` and `kresnet export --on`, and keep their verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from keras_resnet.errors import ExportError, KresnetError, UsageError
from keras_resnet.export.artifacts import write_model_card
from keras_resnet.export.bundle_manifest import hash_bytes
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.device_verdict import DeviceVerdict
from keras_resnet.export.devices.base import CPU, Device, NoAcceleratorError, UnusableDeviceError
from keras_resnet.export.devices.places import Place, UsablePlaces, describe_missing_accelerator, find_places
from keras_resnet.export.evaluate import RunLookup, list_passed_files
from keras_resnet.export.formats import get_format
from keras_resnet.export.given_outputs import GivenOutputs, read_all
from keras_resnet.export.load import is_exported_file, load_file, read_content
from keras_resnet.export.pipeline import load_run_data
from keras_resnet.export.settings import ExportSettings
from keras_resnet.export.verdict import Budget, is_tflite_file
from keras_resnet.export.verify import Reference
from keras_resnet.export.verify_on import FileOnDevices, require_tflite
from keras_resnet.progress import Log
from keras_resnet.reporting.page import publish_report
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted, join_words
from keras_resnet.runtime.tflite_model import TFLiteModel


@dataclass
class DeviceResult:
    """verdicts: on the files that could be run. failures: why others could not, a sentence each."""

    verdicts: list[DeviceVerdict] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def list_problems(self) -> list[str]:
        """List why the command fails, a sentence each; empty where it does not."""
        return [*self.failures, *(reason for verdict in self.verdicts for reason in verdict.list_reasons())]


def verify_on_devices(
    target: Path,
    settings: ExportSettings,
    on: DeviceSettings,
    lookup: RunLookup,
    log: Log,
    outputs: Sequence[tuple[Path, str]] = (),
) -> tuple[Run, DeviceResult]:
    """Run an exported file, or all TFLite files of a run, on the devices that `on` names, and verify `outputs`, each a
    path with what computed it; return the run and what came of it. Verdicts on a run's own files are kept in its
    verdicts.json. Outputs that cannot be used keep no others from being verified.

    Raises UsageError or RunError where `target` is neither, or --on names no device, or it is not clear of any outputs
    which file they are of; ExportError where none of the outputs can be read, and no device is to run a file.
    """
    places = find_places(on)
    given, failures = read_all(outputs)
    if failures and not given and not places:
        raise ExportError("; ".join(failures))
    for sentence in failures:
        log(sentence)
    if is_exported_file(str(target)):
        files = [target]
        run = lookup.find(target, require_tflite(target, lookup.load(target)))
    else:
        run = Run.find(lookup.home, str(target))
        run.require_finished()
        files = list_files(run)
    assigned, unclear = assign_outputs(files, given)
    if unclear and not assigned and not places:
        raise UsageError("; ".join([*failures, *unclear]))
    for sentence in unclear:
        log(sentence)
    usable = UsablePlaces.test(places, log, is_alone=not assigned)
    if any(place.settings.accelerator != CPU for place in usable.places):
        model = load_file(files[0])
        if isinstance(model, TFLiteModel):
            usable = usable.with_accelerators(model, log, is_alone=not assigned)
    work = {file: assigned.get(file, []) for file in files if places or file in assigned}
    result = DeviceContext.prepare(run, settings, log).verify(work, usable)
    return run, DeviceResult(result.verdicts, [*failures, *unclear, *result.failures])


@dataclass(frozen=True)
class DeviceContext:
    """What files of `run` are compared with on devices, and may lose there."""

    run: Run
    reference: Reference
    budget: Budget
    log: Log

    @classmethod
    def prepare(cls, run: Run, settings: ExportSettings, log: Log) -> DeviceContext:
        """Open the data of `run` and evaluate its Keras model. Raises RunError unless it has finished."""
        run.require_finished()
        reference = Reference.from_run(run, load_run_data(run, log), settings.samples)
        return cls(run, reference, Budget.from_points(settings.max_drop, settings.require_proof), log)

    def verify(self, files: Mapping[Path, Sequence[GivenOutputs]], usable: UsablePlaces) -> DeviceResult:
        """Run each file on each device, and verify the outputs that are given of it; one that fails keeps no other from
        being run, but a device that has gone is not tried again. Keep the verdicts if the files are the run's own."""
        with ExitStack() as stack:
            for place in usable.places:
                stack.callback(place.device.close)
            result = self._run(files, usable)
        run = self.run
        if result.verdicts and all(file.resolve().parent == run.exports.resolve() for file in files):
            keep_verdicts(run, result.verdicts)
            write_model_card(run)
            publish_report(run)
        return result

    def _run(self, files: Mapping[Path, Sequence[GivenOutputs]], usable: UsablePlaces) -> DeviceResult:
        result, log = DeviceResult(failures=[*usable.failures]), self.log
        gone: set[Device] = set()
        without: set[Place] = set()
        for file, outputs in files.items():
            try:
                on_devices = FileOnDevices.load(file, self.reference)
            except KresnetError as error:
                result.failures.append(str(error))
                continue
            for place in usable.places:
                if place.device in gone or place in without:
                    continue
                accelerator, images = place.settings.accelerator.upper(), self.reference.evaluation.samples
                where = f"{place.device.where}, {accelerator}"
                if len(files) > 1 and (reason := place.device.refuses(on_devices.model)):
                    log(f"{file.name} is left out on {where}: {reason}")
                    continue
                log(f"running {file.name} on {where}, with {counted(images, 'validation image')}")
                try:
                    result.verdicts.append(on_devices.verify(place.device, place.settings, self.budget, log))
                except NoAcceleratorError as error:
                    result.failures.append(describe_missing_accelerator(place, error))
                    without.add(place)
                except UnusableDeviceError as error:
                    result.failures.append(f"{file.name} on {where}: {error}; nothing else is run there")
                    gone.add(place.device)
                except KresnetError as error:
                    result.failures.append(f"{file.name} on {where}: {error}")
            for given in outputs:
                log(f"verifying {given.path} as outputs of {file.name}")
                try:
                    result.verdicts.append(on_devices.verify_outputs(given, self.budget, log))
                except KresnetError as error:
                    result.failures.append(str(error))
        return result


def list_files(run: Run) -> list[Path]:
    """Return the TFLite files among a run's exports that passed. Raises UsageError if there is none."""
    files = [file for file in list_passed_files(run) if is_tflite_file(file.name)]
    if not files:
        raise UsageError(
            f"run {run.name} has no exported {get_format('tflite').title} file that devices can run; write some with:"
            f" kresnet export {run.name}"
        )
    return files


def assign_outputs(
    files: list[Path], given: Sequence[GivenOutputs]
) -> tuple[dict[Path, list[GivenOutputs]], list[str]]:
    """Return which of the `files` outputs are of: by the SHA-256 that stands beside them; of one file, all are. And a
    sentence on each of those where that does not tell."""
    assigned: dict[Path, list[GivenOutputs]] = {}
    unclear: list[str] = []
    if not given:
        return assigned, unclear
    by_hash = {hash_bytes(read_content(file)): file for file in files}
    for each in given:
        found = files[0] if len(files) == 1 else by_hash.get(each.model_hash or "")
        if found is None:
            names = join_words([file.name for file in files])
            unclear.append(f"nothing says which of {names} {each.path} is of: name the file instead of the run")
        else:
            assigned.setdefault(found, []).append(each)
    return assigned, unclear


def keep_verdicts(run: Run, verdicts: list[DeviceVerdict]) -> None:
    """Put `verdicts` on files of `run` into its verdicts.json, in the place of those of the same file, device and
    accelerator."""
    rows = run.verdict_rows()
    new = {_key(verdict.as_dict()): verdict.as_dict() for verdict in verdicts}
    kept = [row for row in rows if "device" not in row or _key(row) not in new]
    run.write_json(run.verdicts_file, [*kept, *new.values()])


def _key(row: dict[str, object]) -> tuple[object, ...]:
    device = row["device"]
    assert isinstance(device, dict)
    return row["file"], device["where"], device["accelerator"]
