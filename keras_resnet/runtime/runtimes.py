"""The registry of what runs .tflite files on this machine's CPU."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from .errors import UsageError
from .tflite_model import TFLiteModel

INTERPRETER = "interpreter"
# Name → module and class, a `TFLiteModel`; imported when it is first used.
RUNTIMES = {
    INTERPRETER: ("tflite_model", "TFLiteModel"),
    "openvino": ("openvino_model", "OpenVINOModel"),
}


def load_tflite(file: Path, threads: int | None = None, runtime: str = INTERPRETER) -> TFLiteModel:
    """Load `file` by a `runtime` of RUNTIMES, with so many `threads`, or all. Raises UsageError and ExportError."""
    if runtime not in RUNTIMES:
        raise UsageError(f"the runtime must be one of {', '.join(RUNTIMES)}. Received: {runtime}")
    module, name = RUNTIMES[runtime]
    model: TFLiteModel = getattr(import_module(f".{module}", __package__), name)(file, threads)
    return model
