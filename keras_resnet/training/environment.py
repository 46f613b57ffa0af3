"""What there is to work with: the machine, packages, devices, and what would be chosen of them."""

from __future__ import annotations

import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from keras_resnet.progress import waiting
from keras_resnet.run import runs_home
from keras_resnet.run.description import package_versions

# Extras of the package, by the module that each one brings.
EXTRAS = {
    "onnx": "onnxruntime",
    "litert": "litert_quantizer",
    "ethos": "ethosu",
    "video": "cv2",
}
# What the precision is tried with on a CPU.
TRIED, SIZE, BATCH = 50, 64, 16


def machine() -> str:
    """The processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model} ({platform.machine()})"


def environment(runs: str | None = None) -> dict[str, Any]:
    """{"machine", "cores", "memory_gib", "python", "versions", "extras", "devices", "precision", "runs"}: all in words
    but the numbers. It starts TensorFlow, and on a CPU times a few training steps."""
    from keras_resnet.training import distribute

    here = distribute.start("auto")
    chosen, why = _precision()
    return {
        "machine": machine(),
        "cores": os.cpu_count(),
        "memory_gib": _memory(),
        "python": f"{platform.python_version()} ({sys.executable})",
        "versions": package_versions(),
        "extras": {name: find_spec(module) is not None for name, module in EXTRAS.items()},
        "devices": here.why,
        "precision": f"{chosen}: {why}",
        "runs": str(runs_home(runs).resolve()),
    }


def _precision() -> tuple[str, str]:
    import tensorflow as tf

    from keras_resnet.config.spec import NetworkSpec
    from keras_resnet.models import build
    from keras_resnet.training.precision import choose_precision
    from keras_resnet.training.resolve import training_bricks

    def trial(policy: str) -> Any:
        return build.build_shallowest(training_bricks(policy, 1), NetworkSpec(TRIED), SIZE)

    with waiting("trying precisions"):
        chosen, why = choose_precision(trial, SIZE, BATCH)
    gpus = tf.config.get_visible_devices("GPU")
    return chosen, why if gpus else f"{why}; each training tries it with its own network, here ResNet-{TRIED}'s"


def _memory() -> float | None:
    """GiB of main memory; None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (OSError, ValueError):
        return None
