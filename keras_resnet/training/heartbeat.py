"""The heartbeat by which a worker tells its launcher that it is alive."""

from __future__ import annotations

import os
import time
from pathlib import Path

VARIABLE = "KRESNET_HEARTBEAT"
INTERVAL = 1.0
_last = 0.0


def beat(run_folder: Path) -> None:
    """Write the run's folder to the file that VARIABLE names, at most once a second; nothing without it."""
    global _last
    file, now = os.environ.get(VARIABLE), time.monotonic()
    if file and now - _last >= INTERVAL:
        _last = now
        temporary = Path(f"{file}.new")
        temporary.write_text(str(run_folder.resolve()), encoding="utf-8")
        os.replace(temporary, file)
