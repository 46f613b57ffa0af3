"""What a runtime prints to standard error: kept apart, and searched for what it says nowhere else."""

from __future__ import annotations

import os
import re
import sys
import tempfile

from .pipes import MAX_QUOTED, in_one_line

# Warnings that are passed on.
MAX_WARNINGS = 5
# Lines about what could not be done, as LiteRT, Abseil and Dawn write them.
WARNING = re.compile(r"^(?:ERROR: |E\d{4} |W\d{4} |Validation error|.*\b(?:[Ss]hader|[Mm]ismatch|[Ff]ailed)\b)")
# Those of parts that are not installed, and of other things that concern no result.
HARMLESS = re.compile(r"registry\.cc|compiler_plugin|OpenCL|shared library|buffer requirements|InitGoogle|Vulkan")
PREFIX = re.compile(r"^(?:[EW]\d{4} \S+ +\d+ |ERROR: )(?:\[?[\w.]+:\d+\] )?")
DELEGATED = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \(([^)]*)\) node, yielding (\d+) part")
# What LiteRT writes where it finds no such accelerator, and of what it could not load.
NOT_FOUND = {
    "gpu": re.compile(r"GPU accelerator could not be loaded|No adapters found"),
    "npu": re.compile(r"NPU accelerator could not be loaded|No compiler plugin found|No dispatch library found"),
}
NOT_LOADED = re.compile(r"Could not load shared library (\S+): (.+)")
ADAPTER = re.compile(r"Selected adapter: ([^,]+)")


class RuntimeLog:
    """Standard error of this process, native libraries' too, in a file."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        sys.stderr.flush()
        os.dup2(self.file.fileno(), 2)

    def lines(self) -> list[str]:
        """Return what was printed."""
        sys.stderr.flush()
        self.file.seek(0)
        return self.file.read().decode(errors="replace").splitlines()

    def warnings(self) -> list[str]:
        """Return the first lines that tell of something wrong, each once, without times and places."""
        found = [line.strip() for line in self.lines() if WARNING.search(line) and not HARMLESS.search(line)]
        shown = [PREFIX.sub("", line)[:MAX_QUOTED] for line in found]
        return list(dict.fromkeys(shown))[:MAX_WARNINGS]

    def delegated(self) -> tuple[float | None, int | None]:
        """Return (share of the operators that a delegate took, number of partitions), None where none says so."""
        matches = [match for match in map(DELEGATED.search, self.lines()) if match and "XNNPack" not in match[3]]
        if not matches:
            return None, None
        return int(matches[0][1]) / int(matches[0][2]), sum(int(each[4]) for each in matches)

    def explain_missing(self, accelerator: str) -> str:
        """Return why there is no such `accelerator`, of NOT_FOUND, for LiteRT; "" where it does not say so."""
        lines = self.lines()
        if accelerator not in NOT_FOUND or not any(map(NOT_FOUND[accelerator].search, lines)):
            return ""
        if accelerator == "gpu":
            return (
                "no GPU was found: LiteRT asked Vulkan (Metal on a Mac, Direct3D on Windows) for one and got none, so"
                " there is none, or its driver is missing"
            )
        match = next(filter(None, map(NOT_LOADED.search, lines)), None)
        tried = f"; {os.path.basename(match[1])} cannot be loaded: {in_one_line(match[2])}" if match else ""
        return (
            "no NPU was found: LiteRT found no dispatch library and compiler plugin of a vendor (Google, Intel,"
            f" MediaTek, Qualcomm, Samsung) that it can load{tried}"
        )

    def adapter(self) -> str:
        """Return the name of the GPU that was chosen, "" where none says so."""
        return next((match[1] for match in map(ADAPTER.search, self.lines()) if match), "")
