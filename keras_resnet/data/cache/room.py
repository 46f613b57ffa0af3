"""How much of the disk the cache of decoded images may take, and what goes first where it takes more."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.data.readability import cache_home
from keras_resnet.errors import UsageError

GB = 10**9
DEFAULT_GB = 32.0


def images_folder() -> Path | None:
    """Return where decoded images lie: kresnet/images in the user's cache; None without a home."""
    home = cache_home()
    return None if home is None else home / "images"


def read_limit() -> float:
    """Return the most bytes that the cache may take: KRESNET_CACHE_GB, else DEFAULT_GB. Raises UsageError if that is no
    number, 0 or more."""
    text = os.environ.get("KRESNET_CACHE_GB", "")
    try:
        value = float(text) if text else DEFAULT_GB
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError(f"KRESNET_CACHE_GB must be a number of gigabytes, 0 or more. Received: {text!r}")
    return value * GB


@dataclass(frozen=True)
class Room:
    """What one dataset may take: `most` bytes, of which it has `held`, and the `reason` for that. others: the folders
    of others, the one used longest ago first, and their bytes."""

    most: float
    reason: str
    held: int
    others: dict[Path, int]

    @classmethod
    def measure(cls, folder: Path, beside: Path | None = None) -> Room:
        """Measure what `folder` may take, together with what is held `beside` it: never more than the limit, nor than
        half of what is free or cached."""
        home = folder.parent
        with suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
        sizes = {each: count_bytes(each) for each in _by_last_use(home)}
        held = sizes.pop(folder, 0) + (sizes.pop(beside, 0) if beside else 0)
        limit, half = read_limit(), (_free_bytes(home) + held + sum(sizes.values())) / 2
        if limit <= half:
            return cls(limit, "KRESNET_CACHE_GB=… sets another limit", held, sizes)
        return cls(half, f"half of what is free on the disk of {home}", held, sizes)

    def clear(self, needed: int) -> None:
        """Remove folders of others until `needed` bytes fit, those used longest ago first."""
        total = sum(self.others.values())
        for folder, size in self.others.items():
            if total + needed <= self.most:
                return
            shutil.rmtree(folder, ignore_errors=True)
            total -= size


def count_bytes(folder: Path) -> int:
    """Return the bytes of the files in `folder`."""
    total = 0
    with suppress(OSError):
        for file in folder.iterdir():
            with suppress(OSError):
                total += file.stat().st_size
    return total


def _by_last_use(home: Path) -> list[Path]:
    """Return the folders of the cache; its user touches one whenever it is opened."""
    used = {}
    with suppress(OSError):
        for folder in home.iterdir():
            with suppress(OSError):
                used[folder] = folder.stat().st_mtime
    return sorted(used, key=lambda each: used[each])


def _free_bytes(home: Path) -> int:
    try:
        return shutil.disk_usage(home).free
    except OSError:
        return 0
