"""Run exported files on devices, by `kresnet verify --on` and `kresnet export --on`, and keep their verdicts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from keras_resnet.errors import KresnetError, UsageError, require_one_of
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.device_verdict import DeviceVerdict
from keras_resnet.export.devices import find_device
from keras_resnet.export.devices.base import ACCELERATORS, RUNTIMES, Device, RunSettings
from keras_resnet.export.evaluate import RunLookup
from keras_resnet.export.formats import get_format
from keras_resnet.export.load import is_exported_file
from keras_resnet.export.pipeline import load_run_data
from keras_resnet.export.settings import ExportSettings
from keras_resnet.export.verdict import Budget, is_tflite_file
from keras_resnet.export.verify import Reference
from keras_resnet.export.verify_on import DeviceBudget, FileOnDevices
from keras_resnet.metrics.outcome import ACCEPTED
from keras_resnet.progress import Log
from keras_resnet.reporting.page import publish_report
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted

_WITH_ACCELERATOR = re.compile(rf"(?P<where>.+):(?P<accelerator>{'|'.join(ACCELERATORS)})")


@dataclass(frozen=True)
class Place:
    """A device, and how files are run on it."""

    device: Device
    settings: RunSettings


@dataclass
class DeviceResult:
    """verdicts: on the files that could be run. failures: why others could not, a sentence each."""

    verdicts: list[DeviceVerdict] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def list_problems(self) -> list[str]:
        """List why the command fails, a sentence each; empty where it does not."""
        return [*self.failures, *(reason for verdict in self.verdicts for reason in verdict.list_reasons())]


def find_places(settings: DeviceSettings) -> list[Place]:
    """Return the devices that --on names, each with its accelerator. Raises UsageError for what is no device, or asks
    for what a device does not have."""
    settings.require_used()
    require_one_of("--accelerator", settings.accelerator, ACCELERATORS)
    require_one_of("--runtime", settings.runtime, RUNTIMES)
    places: list[Place] = []
    devices: dict[str, Device] = {}
    for word in settings.on:
        match = _WITH_ACCELERATOR.fullmatch(word)
        where, accelerator = (match["where"], match["accelerator"]) if match else (word, settings.accelerator)
        wanted = RunSettings(
            accelerator=accelerator,
            runtime=settings.runtime,
            threads=settings.threads,
            minutes=settings.minutes,
            timeout=settings.timeout,
            keep=settings.keep,
            install=settings.install,
            host=settings.host,
            port=settings.port,
        )
        # With another accelerator it is the same device.
        device = devices.setdefault(where, find_device(where))
        device.require_possible(wanted)
        places.append(Place(device, wanted))
    return places


def verify_on_devices(
    target: Path, settings: ExportSettings, on: DeviceSettings, lookup: RunLookup, log: Log
) -> tuple[Run, DeviceResult]:
    """Run an exported file, or all TFLite files of a run, on the devices that `on` names; return the run and what came
    of it. Verdicts on a run's own files are kept in its verdicts.json.

    Raises UsageError or RunError where `target` is neither, or --on names no device.
    """
    places = find_places(on)
    if is_exported_file(str(target)):
        files = [target]
        run = lookup.find(target, lookup.load(target))
    else:
        run = Run.find(lookup.home, str(target))
        files = list_files(run)
    run.require_finished()
    reference = Reference.from_run(run, load_run_data(run, log), settings.samples)
    wanted = DeviceBudget(Budget(settings.max_drop / 100, settings.require_proof), on.allow_fallback)
    result = run_on_devices(files, places, reference, wanted, log)
    own = [verdict for verdict in result.verdicts if (run.exports / verdict.file).is_file()]
    if own and all(Run.containing(file) == run for file in files):
        keep_verdicts(run, own)
        publish_report(run)
    return run, result


def list_files(run: Run) -> list[Path]:
    """Return the TFLite files among a run's exports that passed. Raises UsageError if there is none."""
    names = [row["file"] for row in run.verdicts() if row["verdict"] in ACCEPTED and is_tflite_file(row["file"])]
    files = [run.exports / name for name in names if (run.exports / name).is_file()]
    if not files:
        raise UsageError(
            f"run {run.name} has no exported {get_format('tflite').title} that devices can run; make some with:"
            f" kresnet export {run.name}"
        )
    return files


def run_on_devices(
    files: list[Path], places: list[Place], reference: Reference, wanted: DeviceBudget, log: Log
) -> DeviceResult:
    """Run each file on each device; one that fails keeps no other from being run."""
    try:
        return _run_all(files, places, reference, wanted, log)
    finally:
        for place in places:
            place.device.close()


def _run_all(
    files: list[Path], places: list[Place], reference: Reference, wanted: DeviceBudget, log: Log
) -> DeviceResult:
    result = DeviceResult()
    for file in files:
        try:
            on_devices = FileOnDevices.load(file, reference)
        except KresnetError as error:
            result.failures.append(str(error))
            continue
        for place in places:
            accelerator, images = place.settings.accelerator.upper(), reference.evaluation.samples
            where = f"{place.device.where}, {accelerator}"
            log(f"running {file.name} on {where}, with {counted(images, 'validation image')}")
            try:
                result.verdicts.append(on_devices.verify(place.device, place.settings, wanted, log))
            except KresnetError as error:
                result.failures.append(f"{file.name} on {where}: {error}")
    return result


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
