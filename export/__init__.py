"""Export: trained networks become files for devices, and every file gets a verdict.

For scripts: `export_tflite(model, in_memory(train, validation, classes), "model.tflite")`. Names are imported when
first used: on a device most of this package is not there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_resnet.data.sources.arrays import in_memory as in_memory
    from keras_resnet.export.api import export_tflite as export_tflite
    from keras_resnet.export.verdict import Verdict as Verdict

_HOME = {
    "Verdict": "keras_resnet.export.verdict",
    "export_tflite": "keras_resnet.export.api",
    "in_memory": "keras_resnet.data.sources.arrays",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'keras_resnet.export' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
