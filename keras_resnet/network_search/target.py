"""The file that a search is for, and where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_resnet.errors import UsageError
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.devices.places import Place, UsablePlaces, find_places
from keras_resnet.export.formats import get_format
from keras_resnet.export.micro_needs import NOT_INSTALLED
from keras_resnet.export.request import ExportFile, ExportRequest
from keras_resnet.export.settings import TFLITE
from keras_resnet.export.tflite_options import ALL, TFLiteOptions, build_tflite_options
from keras_resnet.network_search.budget import Budget
from keras_resnet.network_search.settings import SearchSettings
from keras_resnet.progress import Log
from keras_resnet.runtime.plurals import counted

# Bytes that a weight takes at least, by the type of weights.
WEIGHT_BYTES = {"float32": 4, "float16": 2, "int8": 1}


@dataclass(frozen=True)
class Target:
    """The file of each candidate, and where it is timed: None is this machine, as `kresnet export` times it. max_drop:
    points that the file may lose."""

    file: ExportFile
    place: Place | None
    max_drop: float

    @classmethod
    def create(cls, settings: SearchSettings, on: DeviceSettings, budget: Budget) -> Target:
        """Return what the settings ask for. Raises UsageError for a file that cannot be had, or timed there."""
        file = _choose_file(settings)
        places = find_places(on)
        if len(places) > 1:
            raise UsageError(
                f"a search takes --on once, the place where the file will run. Received:"
                f" {counted(len(places), 'place')}"
            )
        if places and file.format.name != TFLITE:
            raise UsageError(f"--on runs TFLite files; {file.format.title} files are timed on this machine")
        if "arena" in budget.names:
            _require_arena(file)
        target = cls(file, places[0] if places else None, settings.max_drop)
        if target.place is not None and target.place.device.is_emulated:
            _require_known_if_emulated(target.where, budget)
        return target

    def require_usable(self, log: Log) -> None:
        """Raise ExportError where the files are to be timed on a device that cannot be used."""
        if self.place is not None:
            UsablePlaces.test([self.place], log)

    @property
    def where(self) -> str:
        """Where the file runs, in words."""
        if self.place is None:
            return "this machine's CPU"
        return f"{self.place.device.where}, {self.place.settings.accelerator.upper()}"

    @property
    def place_settings(self) -> dict[str, Any]:
        """Where and how the file runs, as a JSON object; empty for this machine."""
        return {} if self.place is None else {**vars(self.place.settings), "on": self.place.device.where}

    @property
    def weight_bytes(self) -> int:
        """Bytes that a weight takes at least."""
        options = self.file.options
        weights = options.scheme.weights if isinstance(options, TFLiteOptions) else ""
        return WEIGHT_BYTES.get(weights, 1)

    @property
    def request(self) -> ExportRequest:
        """What is exported of each run."""
        options, name = self.file.options, self.file.format.name
        if isinstance(options, TFLiteOptions):
            return ExportRequest(tflite=(options,), max_drop=self.max_drop)
        return ExportRequest(formats=(name,), schemes=(options.name,) if options else (), max_drop=self.max_drop)

    @property
    def export_words(self) -> str:
        """What follows `kresnet export RUN` to write the same file."""
        format_words = "" if self.file.format.name == TFLITE else f" --{self.file.format.name}"
        return f"{format_words} --quantize {self.file.options.name}" if self.file.options else format_words


def _choose_file(settings: SearchSettings) -> ExportFile:
    """Return the one file that --format and --quantize name. Raises UsageError."""
    file_format = get_format(settings.format)
    if settings.format == TFLITE:
        if settings.quantize == ALL:
            raise UsageError("--quantize of a search is one scheme. Received: 'all'")
        (options,) = build_tflite_options((settings.quantize,))
        return ExportFile(file_format, options)
    if not file_format.runs_here:
        raise UsageError(f"a search runs its files, and {file_format.title} files cannot be run on this machine")
    possible = file_format.possible_schemes(is_qat=False)
    if possible and settings.quantize not in possible:
        allowed = ", ".join(possible)
        raise UsageError(f"--quantize of {file_format.title} must be one of {allowed}. Received: {settings.quantize!r}")
    file_format.require_installed()
    return ExportFile(file_format, file_format.options((settings.quantize,))[0])


def _require_known_if_emulated(where: str, budget: Budget) -> None:
    """Raise UsageError for limits of what an emulated device cannot show."""
    if meaningless := [name for name in budget.names if name in ("latency", "memory")]:
        raise UsageError(
            f"--budget limits {meaningless[0]}, which means nothing on {where}, because it is emulated; limit size,"
            " arena or macs, or name the device by --on"
        )


def _require_arena(file: ExportFile) -> None:
    """Raise UsageError unless the arena of `file` can be measured."""
    from importlib.util import find_spec

    if not file.is_integer:
        raise UsageError(
            "--budget arena is for int8 TFLite files, which TensorFlow Lite Micro runs: --quantize int8. Received:"
            f" {file.name}"
        )
    if find_spec("tflite_micro") is None:
        raise UsageError(f"--budget: arena cannot be measured: {NOT_INSTALLED}")
