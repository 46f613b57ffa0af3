"""NVIDIA GPUs, listed by the driver and the environment. Imports no TensorFlow."""

from __future__ import annotations

import os
import shutil
import subprocess
from itertools import takewhile


def list_gpus() -> list[str]:
    """Return the numbers of the GPUs that the driver lists; none where there is no driver."""
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, encoding="utf-8", check=False)
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def list_visible_gpus() -> list[str]:
    """Return the GPUs that this process and those it starts may use: what CUDA_VISIBLE_DEVICES names, up to -1 as CUDA
    reads it; if that is not set, all of the machine."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is None:
        return list_gpus()
    return list(takewhile(lambda name: name != "-1", filter(None, map(str.strip, names.split(",")))))


def assign_gpus(rank: int, workers: int) -> dict[str, str]:
    """Return the environment that gives a worker its equal share of the visible GPUs; empty if there are fewer than
    workers."""
    gpus = list_visible_gpus()
    share = len(gpus) // workers
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus[rank * share : (rank + 1) * share])} if share else {}
