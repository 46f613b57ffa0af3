"""Remove what a process that was killed has left half-written: hidden files and folders called .PID-NAME."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_HIDDEN = re.compile(r"\.([0-9]{1,10})-(.+)", re.DOTALL)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove such of `folder` whose process is gone: all, or those that were to become `name`."""
    for left in folder.iterdir() if folder.is_dir() else ():
        found = _HIDDEN.fullmatch(left.name)
        if found and name in (None, found[2]) and not _is_written_by(int(found[1]), left):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def hidden_name(path: Path) -> Path:
    """Return the name beside `path` under which this process writes it, until it is whole."""
    return path.with_name(f".{os.getpid()}-{path.name}")


def final_name(file: Path) -> Path:
    """Return the name that a file will have which is still hidden."""
    found = _HIDDEN.fullmatch(file.name)
    return file.with_name(found[2]) if found else file


def _is_written_by(process: int, file: Path) -> bool:
    """Return whether `process` is there, and was already when `file` was last changed: numbers are given out again, in
    containers soon."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        pass
    return file.lstat().st_mtime >= _start_time(process)


def _start_time(process: int) -> float:
    """Return when `process` began, in seconds since 1970, a second early; 0 where the system does not say."""
    try:
        # The name, in parentheses, may hold anything; of what stands behind it this is number 20.
        ticks = int(
            Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
        )
        uptime = next(
            line for line in Path("/proc/stat").read_text(encoding="ascii").splitlines() if line.startswith("btime ")
        )
    except (OSError, ValueError, IndexError, StopIteration):
        return 0.0
    return int(uptime.split()[1]) + ticks / os.sysconf("SC_CLK_TCK") - 1
