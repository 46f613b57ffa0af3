"""The machine, its packages and devices, and the precision that a training would choose on it."""

from __future__ import annotations

import os
import platform
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from keras_resnet.machine.onednn import describe_onednn
from keras_resnet.machine.processor import describe_processor
from keras_resnet.progress import show_activity
from keras_resnet.run import runs_home
from keras_resnet.run.description import package_versions

if TYPE_CHECKING:
    import keras

# Extras of the package, by the module that each one brings.
EXTRAS = {
    "onnx": "onnxruntime",
    "litert": "litert_quantizer",
    "ethos": "ethosu",
    "video": "cv2",
}
# The network, image size and batch size with which a CPU tries precisions.
TRIAL_DEPTH, TRIAL_IMAGE_SIZE, TRIAL_BATCH_SIZE = 50, 64, 16


def describe_environment(runs: str | None = None) -> dict[str, Any]:
    """Return {"machine", "cores", "memory_gib", "python", "versions", "extras", "devices", "onednn", "precision",
    "runs"}.

    Starts TensorFlow and, on a CPU that computes in bfloat16, times training steps.
    """
    from keras_resnet.training import distribute

    devices = distribute.setup("auto")
    precision, reason = _choose_precision()
    return {
        "machine": describe_processor(),
        "cores": os.cpu_count(),
        "memory_gib": _main_memory(),
        "python": f"{platform.python_version()} ({sys.executable})",
        "versions": package_versions(),
        "extras": {name: find_spec(module) is not None for name, module in EXTRAS.items()},
        "devices": devices.reason,
        "onednn": describe_onednn(),
        "precision": f"{precision}: {reason}",
        "runs": str(runs_home(runs).resolve()),
    }


def _choose_precision() -> tuple[str, str]:
    from keras_resnet.training.precision import choose_by_hardware, choose_precision

    if known := choose_by_hardware():
        return known
    from keras_resnet.config.spec import NetworkSpec
    from keras_resnet.models import build
    from keras_resnet.training.resolve import training_layers

    def trial(policy: str) -> keras.Model:
        return build.build_shallowest(training_layers(policy), NetworkSpec(TRIAL_DEPTH), TRIAL_IMAGE_SIZE)

    with show_activity("trying precisions"):
        precision, reason = choose_precision(trial, TRIAL_IMAGE_SIZE, TRIAL_BATCH_SIZE)
    return precision, f"{reason}; each training tries it with its own network, here ResNet-{TRIAL_DEPTH}'s"


def _main_memory() -> float | None:
    """Return GiB of main memory; None if the system does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (OSError, ValueError):
        return None
