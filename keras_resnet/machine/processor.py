"""What the processor of this machine can do."""

from __future__ import annotations

from pathlib import Path

PROCESSOR_FILE = Path("/proc/cpuinfo")


def read_processor_flags() -> set[str]:
    """Return the instruction sets that Linux names, such as "avx2"; nothing where that is not known."""
    try:
        with PROCESSOR_FILE.open(encoding="utf-8") as lines:
            return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    except OSError:
        return set()
