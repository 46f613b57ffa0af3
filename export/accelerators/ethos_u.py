"""Arm's Ethos-U, by its compiler vela."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
from pathlib import Path

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.accelerators.base import Accelerator, AcceleratorReport
from keras_resnet.progress import show_activity
from keras_resnet.runtime.child_process import child_command, describe_exit
from keras_resnet.runtime.plurals import counted, verb

CONFIGURATIONS = tuple(
    f"ethos-u{size}"
    for size in (
        *("55-32", "55-64", "55-128", "55-256", "65-256", "65-512"),
        *("85-128", "85-256", "85-512", "85-1024", "85-2048"),
    )
)


class EthosU(Accelerator):
    """One configuration."""

    is_for_microcontrollers = True

    def require_installed(self) -> None:
        """Raise UsageError unless vela is installed."""
        if importlib.util.find_spec("ethosu") is None:
            raise UsageError(f"--target {self.name} needs Arm's compiler: pip install 'kresnet[ethos]'")

    def check(self, file: Path, folder: Path) -> AcceleratorReport:
        """Compile `file` to `folder`. Raises ExportError if vela fails, naming its log."""
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{file.stem}-{self.name}.log"
        command = child_command(
            "ethosu.vela.vela", str(file), "--accelerator-config", self.name, "--output-dir", str(folder)
        )
        with log.open("wb") as output, show_activity(f"compiling {file.name} for {self.name}"):
            ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        printed = log.read_text(encoding="utf-8", errors="replace")
        accepted = re.search(r"NPU operators = \d+ \(([\d.]+)%\)", printed)
        compiled = folder / f"{file.stem}_vela.tflite"
        if ended.returncode or accepted is None or not compiled.is_file():
            raise ExportError(f"vela failed on {file.name} ({describe_exit(ended.returncode)}); its output is in {log}")
        left = re.search(r"CPU operators = (\d+)", printed)
        on_cpu = int(left[1]) if left else 0
        refused = (f"{counted(on_cpu, 'operator')} {verb(on_cpu)} left to the CPU",) if on_cpu else ()
        kept = compiled.replace(folder / f"{file.stem}-{self.name}.tflite")
        estimates = _read_summary(next(folder.glob(f"{file.stem}_summary_*.csv")))
        return AcceleratorReport(self.name, file.name, float(accepted[1]) / 100, refused, estimates, kept.name)


def _read_summary(file: Path) -> dict[str, float]:
    """Return vela's estimates, and remove the file that it wrote them to."""
    with file.open(encoding="utf-8") as lines:
        row = next(csv.DictReader(lines))
    file.unlink()
    return {
        "milliseconds": 1e3 * float(row["inference_time"]),
        "cycles": float(row["cycles_total"]),
        "sram_kib": float(row["sram_memory_used"]),
        "flash_kib": float(row["off_chip_flash_memory_used"]) + float(row["on_chip_flash_memory_used"]),
    }
