"""What a microcontroller needs for an 8-bit file: memory and operators of TensorFlow Lite Micro."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.export.flatbuffer import Contents
from keras_resnet.export.micro_operators import find_unsupported, write_resolver
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE, child_command, describe_end

NOT_INSTALLED = "tflite-micro, which measures it, is not installed: pip install 'kresnet[micro]'"
# Seconds that a file may take to be opened.
TIMEOUT = 120


@dataclass(frozen=True)
class MicroNeeds:
    """What firmware needs to run a file by TensorFlow Lite Micro.

    arena_bytes: of RAM for all tensors, as tflite-micro measures it; None where arena_unknown says why it could not.
    flash_bytes: of the file; the kernels come on top. operators: of which kinds. unsupported: those without a kernel.
    resolver: lines of C++ that register all operators; none where one has no kernel.
    """

    arena_bytes: int | None
    arena_unknown: str
    flash_bytes: int
    operators: tuple[str, ...]
    unsupported: tuple[str, ...]
    resolver: tuple[str, ...]


def measure_needs(content: bytes, contents: Contents | None, batch: int | None) -> MicroNeeds | None:
    """Return what the file needs whose bytes are `content`; None of one that is not made of 8-bit integers, or takes
    any number of images."""
    if contents is None or batch is None or contents.float_dtypes or "INT16" in contents.dtypes:
        return None
    operators = (*sorted(contents.operators), *sorted(contents.custom))
    unsupported = find_unsupported(operators)
    arena, unknown = (None, "it cannot run") if unsupported else _measure_arena(content)
    return MicroNeeds(arena, unknown, len(content), operators, unsupported, write_resolver(operators))


def _measure_arena(content: bytes) -> tuple[int | None, str]:
    """Return (the bytes of the arena, ""), or (None, why they are unknown)."""
    if importlib.util.find_spec("tflite_micro") is None:
        return None, NOT_INSTALLED
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "model.tflite")
        file.write_bytes(content)
        try:
            done = subprocess.run(child_command(__name__, str(file)), capture_output=True, check=False, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return None, f"tflite-micro took more than {TIMEOUT} seconds"
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode == 0 and lines:
        return int(json.loads(lines[-1])), ""
    if done.returncode == EXPECTED_ERROR_CODE and lines:
        return None, lines[-1]
    return None, f"tflite-micro {describe_end(done.returncode)}"


def main(arguments: list[str]) -> int:
    """Print the bytes of the arena of the file that `arguments` name; returns the exit code."""
    from keras_resnet.export.devices.runner.pipes import DeviceError
    from keras_resnet.export.devices.runner.requirements import require_installed

    try:
        require_installed("tflm")
        from keras_resnet.export.devices.runner.runtimes import Micro

        arena = Micro(Path(arguments[0]).read_bytes()).arena_bytes
    except DeviceError as error:
        print(error)
        return EXPECTED_ERROR_CODE
    if arena is None:
        print("tflite-micro does not report it")
        return EXPECTED_ERROR_CODE
    sys.stdout.write(json.dumps(arena))
    return 0
