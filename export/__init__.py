"""Export: trained networks become files for devices, and every file gets a verdict.

For scripts: `export_tflite(model, in_memory(train, validation, classes), "model.tflite")`. Names are imported when
first used: on a device most of this package is not there.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_resnet.data.sources.arrays import in_memory as in_memory
    from keras_resnet.export.api import export_tflite as export_tflite
    from keras_resnet.export.evaluate import inspect_file as inspect_file
    from keras_resnet.export.evaluate import verify_file as verify_file
    from keras_resnet.export.load import load_file as load_file
    from keras_resnet.export.pipeline import export_files as export_files
    from keras_resnet.export.request import ExportRequest as ExportRequest
    from keras_resnet.export.tflite_options import build_tflite_options as build_tflite_options
    from keras_resnet.export.verdict import Budget as Budget
    from keras_resnet.export.verdict import Verdict as Verdict

_HOME = {
    "Budget": "keras_resnet.export.verdict",
    "ExportRequest": "keras_resnet.export.request",
    "Verdict": "keras_resnet.export.verdict",
    "build_tflite_options": "keras_resnet.export.tflite_options",
    "export_files": "keras_resnet.export.pipeline",
    "export_tflite": "keras_resnet.export.api",
    "in_memory": "keras_resnet.data.sources.arrays",
    "inspect_file": "keras_resnet.export.evaluate",
    "load_file": "keras_resnet.export.load",
    "verify_file": "keras_resnet.export.evaluate",
}
_MODULES = tuple(each.name for each in iter_modules(__path__))
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'keras_resnet.export' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})
