"""What a device says of itself."""

from __future__ import annotations

import os
import platform


def describe_machine() -> dict[str, object]:
    """Return names and numbers of this machine, as the system has them."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "name": platform.node(),
        "board": _read("/proc/device-tree/model").strip("\0\n "),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
    }


def memory_mib(field: str) -> float:
    """Return the MiB of this process: VmRSS now, VmHWM at its highest; 0 where the system does not tell."""
    lines = _read("/proc/self/status").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), 0.0)


def _processor() -> str:
    names: dict[str, str] = {}
    for line in _read("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        names.setdefault(key.strip(), value.strip())
    known = (names.get(key) for key in ("model name", "Model", "Hardware", "cpu model"))
    return next(filter(None, known), platform.processor() or platform.machine() or "unknown")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
