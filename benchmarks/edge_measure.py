"""What each process of edge.py does: open a file in a runtime, and time images through it or keep its outputs.

Runs in kresnet's environment and in that of the peers, so it needs NumPy alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np

WARMUP, MIN_RUNS, MAX_RUNS, MIN_SECONDS = 3, 20, 500, 1.0

# One uint8 image (1, H, W, C) → what the file gives for it (1, classes), as it has it.
Network = Callable[[np.ndarray], np.ndarray]


class Runtime(NamedTuple):
    """Something that runs files.

    open: makes a network of a file and a number of threads. tools: modules that its Python package imports and a device
    has not, which are therefore not counted as memory.
    """

    open: Callable[[str, int], Network]
    tools: tuple[str, ...] = ()


def measure(runtime: Runtime, file: str, threads: int, images: np.ndarray) -> dict[str, float]:
    """Return the milliseconds of an image, median and least, those until the first one is done, and the MiB at the
    highest, of `images` (N, H, W, C) one at a time."""
    before = read_memory_mib("VmRSS")
    start = time.perf_counter()
    network = runtime.open(file, threads)
    network(images[:1])
    first = time.perf_counter() - start
    for _ in range(WARMUP):
        network(images[:1])
    times: list[float] = []
    while len(times) < MIN_RUNS or (sum(times) < MIN_SECONDS and len(times) < MAX_RUNS):
        image = images[len(times) % len(images)][None]
        start = time.perf_counter()
        network(image)
        times.append(time.perf_counter() - start)
    return {
        "median_ms": 1e3 * float(np.median(times)),
        "least_ms": 1e3 * min(times),
        "first_ms": 1e3 * first,
        "mib": read_memory_mib("VmHWM") - before,
    }


def read_memory_mib(field: str) -> float:
    """Return the MiB of this process: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def run_child(runtimes: Mapping[str, Runtime], arguments: list[str]) -> None:
    """Do what `arguments` say: RUNTIME FILE THREADS IMAGES prints times, with OUTPUTS behind them it writes there what
    the file gives for all images (N, classes)."""
    name, file, threads, images_file, *outputs = arguments
    runtime, images = runtimes[name], np.load(images_file)
    for tool in runtime.tools:
        import_module(tool)
    if outputs:
        network = runtime.open(file, int(threads))
        np.save(outputs[0], np.concatenate([np.array(network(image[None])).reshape(1, -1) for image in images]))
    else:
        print(json.dumps(measure(runtime, file, int(threads), images)))
    sys.stdout.flush()
