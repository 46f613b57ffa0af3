"""Benchmarks of exported files: latency and memory, in a process of its own that does nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.errors import ExportError, KresnetError
from keras_resnet.progress import show_activity
from keras_resnet.runtime import sandbox
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE, child_command, describe_exit, without_gpus

if TYPE_CHECKING:
    from keras_resnet.export.formats.base import LoadedModel


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one image: the median and two percentiles of `runs` of them."""

    threads: int
    p50: float
    p90: float
    p99: float
    runs: int


@dataclass(frozen=True)
class Cost:
    """latencies: for 1 … all threads. first_ms: from a process that has images to its first outputs: the runtime's
    import, loading, one inference. peak_mib: resident memory at its highest, beyond that of such a process."""

    latencies: tuple[Latency, ...]
    first_ms: float
    peak_mib: float


# Of a simulated file.
NO_COST = Cost((), 0.0, 0.0)


def count_threads() -> list[int]:
    """Return 1, 2, 4 … and the number of this machine's cores."""
    cores = os.cpu_count() or 1
    return [*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores]


def measure_cost(file: Path, images: np.ndarray, threads: list[int]) -> Cost:
    """Time `file` on uint8 `images` (N, H, W, C), one at a time, with each number of `threads`; the last one is that of
    the first inference and the memory. Raises ExportError if it fails."""
    with show_activity("timing one image"), tempfile.TemporaryDirectory() as scratch:
        sample = Path(scratch, "images.npy")
        np.save(sample, images)
        done = subprocess.run(
            child_command(__name__, str(file), str(sample), *map(str, threads)),
            env=without_gpus(),  # the times are those of the CPU
            capture_output=True,
            check=False,
        )
    printed = done.stdout.decode(errors="replace").splitlines()
    if done.returncode:
        raised = done.stderr.decode(errors="replace").splitlines()[-1:] if done.returncode == 1 else []
        why = [*(printed if done.returncode == EXPECTED_ERROR_CODE else raised), describe_exit(done.returncode)][-2:][0]
        raise ExportError(f"{file.name} could not be timed: {why}")
    document = json.loads(printed[-1])
    latencies = tuple(Latency(**each) for each in document.pop("latencies"))
    return Cost(latencies, **document)


def _measure_here(file: Path, images: np.ndarray, threads: list[int]) -> Cost:
    # Devices have costs of their own, so that these cannot be imported above.
    from keras_resnet.export.devices.runner.measuring import MAX_RUNS, MAX_SECONDS, MIN_RUNS, WARMUP_RUNS
    from keras_resnet.export.formats import find_format

    def measure_latency(model: LoadedModel) -> Latency:
        for _ in range(WARMUP_RUNS):
            model(images[:1])
        seconds: list[float] = []
        while len(seconds) < MIN_RUNS or (sum(seconds) < MAX_SECONDS and len(seconds) < MAX_RUNS):
            image = images[len(seconds) % len(images)][None]
            start = time.perf_counter()
            model(image)
            seconds.append(time.perf_counter() - start)
        p50, p90, p99 = (float(value) for value in np.percentile(np.array(seconds) * 1e3, (50, 90, 99)))
        return Latency(model.threads, p50, p90, p99, len(seconds))

    file_format = find_format(file)  # from here on, nothing but the runtime is still to be imported
    before = read_memory_mib("VmRSS")
    start = time.perf_counter()
    model = file_format.load(file, threads[-1])
    model(images[:1])
    first_ms = (time.perf_counter() - start) * 1e3
    last = measure_latency(model)
    peak_mib = read_memory_mib("VmHWM") - before
    del model
    others = [measure_latency(file_format.load(file, count)) for count in threads[:-1]]
    return Cost((*others, last), first_ms, peak_mib)


def read_memory_mib(field: str) -> float:
    """Return the MiB of this process: VmRSS now, VmHWM at its highest; 0 where the system does not tell.

    Not getrusage's maximum, which a child inherits from a larger parent.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), 0.0)


def main(arguments: list[str]) -> int:
    """Measure, in the child process, the file that `arguments` name, which was tried before; returns the exit code."""
    file, sample, *threads = arguments
    sandbox.skip_checks()
    try:
        print(json.dumps(asdict(_measure_here(Path(file), np.load(sample), [int(count) for count in threads]))))
    except KresnetError as error:
        print(error)
        return EXPECTED_ERROR_CODE
    return 0
