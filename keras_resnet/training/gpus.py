"""NVIDIA GPUs, listed by the driver and the environment. Imports no TensorFlow."""

from __future__ import annotations

import os
import shutil
import subprocess
from itertools import takewhile

from keras_resnet.errors import UsageError
from keras_resnet.runtime.plurals import counted


def list_gpus() -> list[str]:
    """Return the numbers of the GPUs that the driver lists; none where there is no driver."""
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, encoding="utf-8", check=False)
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def describe_driver() -> list[str]:
    """Return a line for each GPU by the driver: name, memory, version of the driver; none where there is no driver."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def list_visible_gpus() -> list[str]:
    """Return the GPUs that this process and those it starts may use: what CUDA_VISIBLE_DEVICES names, up to -1 as CUDA
    reads it; if that is not set, all of the machine."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is None:
        return list_gpus()
    return list(takewhile(lambda name: name != "-1", filter(None, map(str.strip, names.split(",")))))


def describe_shares(workers: int) -> str:
    """Return in words how many GPUs each of the `workers` gets; "" where there are none.

    Raises UsageError for fewer GPUs than workers: NCCL refuses to sum over two processes that use the same GPU.
    """
    count = len(list_visible_gpus())
    if 0 < count < workers:
        raise UsageError(
            f"each worker needs a GPU of its own, or all train on the CPU with CUDA_VISIBLE_DEVICES=-1. Received:"
            f" --workers {workers}, and {counted(count, 'GPU')}"
        )
    share = count // workers
    unused = f", {count - share * workers} unused" if count % workers else ""
    return f"{counted(share, 'GPU')} for each worker (of {count}{unused})" if share else ""


def assign_gpus(rank: int, workers: int) -> dict[str, str]:
    """Return the environment that gives a worker its equal share of the visible GPUs; empty if there are fewer than
    workers."""
    gpus = list_visible_gpus()
    share = len(gpus) // workers
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus[rank * share : (rank + 1) * share])} if share else {}
