"""What a runtime prints to standard error: kept apart, and searched for what it says nowhere else."""

from __future__ import annotations

import os
import re
import sys
import tempfile

from .pipes import MAX_QUOTED

# Warnings that are passed on.
MAX_WARNINGS = 5
# Lines about what could not be done, as LiteRT, Abseil and Dawn write them.
WARNING = re.compile(r"^(?:ERROR: |E\d{4} |W\d{4} |Validation error|.*\b(?:[Ss]hader|[Mm]ismatch|[Ff]ailed)\b)")
# Those of parts that are not installed, and of other things that concern no result.
HARMLESS = re.compile(r"registry\.cc|compiler_plugin|OpenCL|shared library|buffer requirements|InitGoogle|Vulkan")
PREFIX = re.compile(r"^(?:[EW]\d{4} \S+ +\d+ |ERROR: )(?:\[?[\w.]+:\d+\] )?")
DELEGATED = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \(([^)]*)\) node, yielding (\d+) part")
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

    def adapter(self) -> str:
        """Return the name of the GPU that was chosen, "" where none says so."""
        return next((match[1] for match in map(ADAPTER.search, self.lines()) if match), "")
