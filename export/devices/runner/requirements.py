"""Check what a runtime needs on a device, without importing it: what is missing is known before a file is sent."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from .pipes import DeviceError

# Packages that have LiteRT's interpreter, with their modules.
LITERT = (("ai-edge-litert", "ai_edge_litert"), ("tflite-runtime", "tflite_runtime"))


def require_installed(runtime: str) -> None:
    """Raise DeviceError where a package is missing that the `runtime` needs."""
    if find_spec("numpy") is None:
        raise DeviceError(
            f"NumPy is not installed for {sys.executable}: install it there (pip install ai-edge-litert numpy), or let"
            " --install do so in a folder of its own"
        )
    if runtime == "openvino" and find_spec("openvino") is None:
        raise DeviceError(f"OpenVINO is not installed for {sys.executable}: install it there (pip install openvino)")
    if runtime == "tflm" and find_spec("tflite_micro") is None:
        raise DeviceError(
            "tflite-micro, which runs TensorFlow Lite Micro here, is not installed: pip install 'kresnet[micro]'"
        )
    if all(find_spec(module) is None for _, module in LITERT):
        raise DeviceError(
            f"neither ai-edge-litert nor tflite-runtime is installed for {sys.executable}: install one there"
            " (pip install ai-edge-litert numpy), or let --install do so in a folder of its own"
        )
