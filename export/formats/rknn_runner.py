"""Build a network for a Rockchip chip, and simulate it: run by the Python that has rknn-toolkit2, which has none of our
packages. Imports only NumPy, the standard library and the toolkit.

    python -I rknn_runner.py FOLDER CHIP CHANNELS [TARGET]

FOLDER has model.onnx, {"pixels": float32 (1, C, H, W), 0–255} → outputs, and for 8 bits calibration.npy, uint8
(N, C, H, W). With TARGET, an .rknn file is written there; without it, the network is simulated: messages with uint8
images (N, H, W, C) come on standard input, and the outputs of each are answered. A message is its length, 8 bytes,
little-endian, and that many bytes: the first answer is JSON, {"error": sentence} or {"toolkit": version}; all others
are .npy and .npz.
"""

import contextlib
import ctypes
import io
import json
import os
import re
import signal
import struct
import sys
import tempfile
import traceback
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import numpy as np

NETWORK, CALIBRATION = "model.onnx", "calibration.npy"
# Linux: the signal that a process is sent when its parent ends.
PR_SET_PDEATHSIG = 1
COLOR = re.compile(r"\x1b\[[0-9;]*m")


class ToolkitError(Exception):
    """The toolkit failed, and said why in its output alone."""


def write_message(stream: IO[bytes], content: bytes) -> None:
    """Write a message."""
    stream.write(struct.pack("<Q", len(content)) + content)
    stream.flush()


def read_message(stream: IO[bytes]) -> bytes | None:
    """Read a message; None where the stream has ended."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    (length,) = struct.unpack("<Q", head)
    content = stream.read(length)
    return content if len(content) == length else None


def build(folder: Path, chip: str, channels: int) -> Any:
    """Return the toolkit's network, built for `chip`. Raises ToolkitError."""
    from rknn.api import RKNN

    network = RKNN(verbose=False)
    # Normalization is in the graph.
    config = {"mean_values": [[0] * channels], "std_values": [[1] * channels], "target_platform": chip}
    _require("config", network.config(**config))
    _require("load_onnx", network.load_onnx(str(folder / NETWORK)))
    file = folder / CALIBRATION
    if not file.is_file():
        _require("build", network.build(do_quantization=False))
        return network
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch, "dataset.txt")
        names = []
        for number, image in enumerate(np.load(file)):
            np.save(Path(scratch, f"{number}.npy"), image[None])
            names.append(f"{number}.npy\n")
        listed.write_text("".join(names), encoding="utf-8")
        _require("build", network.build(do_quantization=True, dataset=str(listed)))
    return network


def _require(step: str, code: Any) -> None:
    """Raise ToolkitError where a step of the toolkit says that it failed; config gives None."""
    if code:
        raise ToolkitError(f"{step} failed with {code}")


def simulate(network: Any, images: np.ndarray) -> bytes:
    """Return the outputs of uint8 `images` (N, H, W, C) in the network's order, each with N rows, as .npz."""
    answers = [network.inference([image[None]], data_format=["nhwc"]) for image in images]
    packed = io.BytesIO()
    columns = zip(*answers, strict=True)
    np.savez(packed, *(np.concatenate([np.asarray(each, np.float32) for each in rows]) for rows in columns))
    return packed.getvalue()


def describe(error: Exception) -> str:
    """Return what went wrong in a line: the toolkit raises ValueErrors whose texts are tracebacks."""
    lines = [line.strip() for line in COLOR.sub("", str(error)).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def main(arguments: list[str]) -> int:
    """Do what the module says; return the exit code."""
    folder, chip, channels, *target = arguments
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The toolkit prints to standard output.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        network = build(Path(folder), chip, int(channels))
        if target:
            _require("export_rknn", network.export_rknn(target[0]))
        else:
            _require("init_runtime", network.init_runtime())
    except Exception as error:  # of any kind: it is another program's
        traceback.print_exc()
        write_message(answers, json.dumps({"error": describe(error)}).encode())
        return 1
    write_message(answers, json.dumps({"toolkit": metadata.version("rknn-toolkit2")}).encode())
    while not target and (content := read_message(sys.stdin.buffer)) is not None:
        write_message(answers, simulate(network, np.load(io.BytesIO(content))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
