"""Export: trained networks become files for devices, and every file gets a verdict.

For scripts: `export_tflite(model, in_memory(train, validation, classes), "model.tflite")`. Names are imported when
first used: on a device most of this package is not there.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_resnet.data.sources.arrays import in_memory as in_memory
    from keras_resnet.export.api import export_tflite as export_tflite
    from keras_resnet.export.benchmark import Cost as Cost
    from keras_resnet.export.benchmark import Latency as Latency
    from keras_resnet.export.calibration import Calibration as Calibration
    from keras_resnet.export.device_verdict import DeviceVerdict as DeviceVerdict
    from keras_resnet.export.devices.base import Device as Device
    from keras_resnet.export.devices.base import DeviceFacts as DeviceFacts
    from keras_resnet.export.devices.base import Measurement as Measurement
    from keras_resnet.export.devices.base import RunSettings as RunSettings
    from keras_resnet.export.devices.base import Session as Session
    from keras_resnet.export.evaluate import RunLookup as RunLookup
    from keras_resnet.export.evaluate import evaluate_target as evaluate_target
    from keras_resnet.export.evaluate import inspect_file as inspect_file
    from keras_resnet.export.evaluate import verify_file as verify_file
    from keras_resnet.export.formats.base import Format as Format
    from keras_resnet.export.formats.base import LoadedModel as LoadedModel
    from keras_resnet.export.load import load_file as load_file
    from keras_resnet.export.micro_needs import MicroNeeds as MicroNeeds
    from keras_resnet.export.paired import MetricDifference as MetricDifference
    from keras_resnet.export.paired import PairedComparison as PairedComparison
    from keras_resnet.export.pipeline import ExportContext as ExportContext
    from keras_resnet.export.pipeline import export as export
    from keras_resnet.export.pipeline import export_files as export_files
    from keras_resnet.export.request import ExportFile as ExportFile
    from keras_resnet.export.request import ExportRequest as ExportRequest
    from keras_resnet.export.request import ExportResult as ExportResult
    from keras_resnet.export.settings import ExportSettings as ExportSettings
    from keras_resnet.export.tflite_options import Engine as Engine
    from keras_resnet.export.tflite_options import Scheme as Scheme
    from keras_resnet.export.tflite_options import TFLiteOptions as TFLiteOptions
    from keras_resnet.export.tflite_options import TFLiteRequest as TFLiteRequest
    from keras_resnet.export.tflite_options import build_tflite_options as build_tflite_options
    from keras_resnet.export.unverified import UnverifiedFile as UnverifiedFile
    from keras_resnet.export.verdict import Budget as Budget
    from keras_resnet.export.verdict import MetricDrop as MetricDrop
    from keras_resnet.export.verdict import Verdict as Verdict
    from keras_resnet.export.verify import Reference as Reference

# By module, the names that are public.
_PUBLIC = {
    "data.sources.arrays": ("in_memory",),
    "export.api": ("export_tflite",),
    "export.benchmark": ("Cost", "Latency"),
    "export.calibration": ("Calibration",),
    "export.device_verdict": ("DeviceVerdict",),
    "export.devices.base": ("Device", "DeviceFacts", "Measurement", "RunSettings", "Session"),
    "export.evaluate": ("RunLookup", "evaluate_target", "inspect_file", "verify_file"),
    "export.formats.base": ("Format", "LoadedModel"),
    "export.load": ("load_file",),
    "export.micro_needs": ("MicroNeeds",),
    "export.paired": ("MetricDifference", "PairedComparison"),
    "export.pipeline": ("ExportContext", "export", "export_files"),
    "export.request": ("ExportFile", "ExportRequest", "ExportResult"),
    "export.settings": ("ExportSettings",),
    "export.tflite_options": ("Engine", "Scheme", "TFLiteOptions", "TFLiteRequest", "build_tflite_options"),
    "export.unverified": ("UnverifiedFile",),
    "export.verdict": ("Budget", "MetricDrop", "Verdict"),
    "export.verify": ("Reference",),
}
_HOME = {name: f"keras_resnet.{module}" for module, names in _PUBLIC.items() for name in names}
_MODULES = tuple(each.name for each in iter_modules(__path__))
__all__ = sorted(_HOME)


class _Package(ModuleType):
    """This package, which says what is meant where it is called like a function."""

    def __call__(self, *arguments: object, **options: object) -> None:
        raise TypeError(
            "keras_resnet.export is a package: use run.export(…), where run is what keras_resnet.train or"
            " keras_resnet.open_run returns"
        )


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'keras_resnet.export' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    # Modules can be imported too, but are no part of what is public.
    return __all__
