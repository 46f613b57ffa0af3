"""Which NVIDIA GPUs there are, asked of the driver and the environment. Imports no TensorFlow."""

from __future__ import annotations

import os
import shutil
import subprocess
from itertools import takewhile


def of_machine() -> list[str]:
    """The numbers of the GPUs that the driver lists; none where there is no driver."""
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, encoding="utf-8", check=False)
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def visible() -> list[str]:
    """The GPUs that this process and those it starts may use: what CUDA_VISIBLE_DEVICES names, up to -1 as CUDA reads
    it; where that is not set, all of the machine."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is None:
        return of_machine()
    return list(takewhile(lambda name: name != "-1", filter(None, map(str.strip, told.split(",")))))


def share(rank: int, workers: int) -> dict[str, str]:
    """The environment by which the visible GPUs are dealt out to so many workers, to each as many; nothing where they
    are fewer."""
    gpus = visible()
    each = len(gpus) // workers
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus[rank * each : (rank + 1) * each])} if each else {}
