"""What this machine, its packages and this clone are, for the results of benchmarks."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_resnet.machine.processor import read_processor, read_processor_flags

ROOT = Path(__file__).resolve().parents[1]
# Flags of Linux that decide how fast networks are, with their names; the first one of each line that is there counts.
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "asimd": "NEON"}
PRODUCTS = {
    "avx512_bf16": "bfloat16",
    "avx512_vnni": "VNNI",
    "avx_vnni": "AVX-VNNI",
    "amx_tile": "AMX",
    "asimddp": "dot products",
    "i8mm": "8-bit matrix products",
}
# Runs in any Python: prints {name: version} of the packages that it is asked for and has.
ASK_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try: found[name] = version(name)
    except PackageNotFoundError: pass
print(json.dumps(found))
"""


def describe_machine() -> tuple[str, dict[str, Any]]:
    """Return this machine in words and in numbers: processor, the flags that matter, cores, memory, system."""
    import psutil

    fields, flags = read_processor(), read_processor_flags()
    vectors = [words for flag, words in VECTORS.items() if flag in flags][:1]
    products = [words for flag, words in PRODUCTS.items() if flag in flags]
    cores, name = os.cpu_count() or 1, fields.get("model name", platform.processor() or platform.machine())
    details = {
        "processor": name,
        "family": fields.get("cpu family"),
        "flags": sorted(flags & {*VECTORS, *PRODUCTS}),
        "cores": cores,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": _describe_system(),
    }
    has = ", ".join([*vectors, *products]) or platform.machine()
    return f"{name} ({has}), {cores} cores, {details['memory_gib']:.0f} GiB, {details['system']}", details


def name_machine(details: dict[str, Any]) -> str:
    """Return a name for the file of this machine's results: amd-epyc-avx2-2, without "(R)", "(TM)" and "Processor"."""
    vectors = [words for flag, words in VECTORS.items() if flag in details["flags"]][:1]
    processor = re.sub(r"\(\w+\)|\bprocessor\b", "", details["processor"], flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", " ".join([processor, *vectors, str(details["cores"])]).lower())


def _describe_system() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.machine()}"
    except OSError:
        return f"{platform.system()} {platform.release()}, {platform.machine()}"


def read_versions(packages: Iterable[str], python: str = sys.executable) -> dict[str, str]:
    """Return the versions of those `packages` that `python` has, by their names."""
    done = subprocess.run([python, "-c", ASK_VERSIONS, *packages], capture_output=True, text=True, check=True)
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def read_pins(file: Path) -> dict[str, str]:
    """Return the versions that a requirements file pins, by package."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name: pinned for name, pinned in pins}


def read_revision() -> str:
    """Return git's revision of this clone, with "-dirty" behind it where its code differs from that. What benchmarks
    write themselves, results and pages, is no code."""
    git = ["git", "-C", str(ROOT)]
    status = [*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results", ":!docs"]
    revision, changes = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        for command in ([*git, "rev-parse", "--short=12", "HEAD"], status)
    )
    return f"{revision}-dirty" if changes else revision
