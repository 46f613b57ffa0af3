"""What the processor of this machine is and can do."""

from __future__ import annotations

import platform
from itertools import takewhile
from pathlib import Path

PROCESSOR_FILE = Path("/proc/cpuinfo")


def describe_processor() -> str:
    """Return the name of the processor, with its architecture."""
    name = read_processor().get("model name") or platform.processor() or platform.machine()
    return f"{name} ({platform.machine()})"


def read_processor_flags() -> set[str]:
    """Return the instruction sets as Linux names them, such as "avx2" or "asimd"; nothing where they are not known."""
    fields = read_processor()
    return set(fields.get("flags", fields.get("Features", "")).split())


def read_processor() -> dict[str, str]:
    """Return what Linux says of the first core, by its names; nothing elsewhere."""
    try:
        with PROCESSOR_FILE.open(encoding="utf-8") as lines:
            pairs = [line.partition(":") for line in takewhile(str.strip, lines)]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in pairs}
