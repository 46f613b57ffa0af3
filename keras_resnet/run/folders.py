"""Folders of runs in their home: which names are free, and how one appears whole, for one process only."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.atomic_write import disk_faults_told
from keras_resnet.errors import RunError, UsageError

# Seconds after which a folder that is still being made belongs to a process that was killed: it takes milliseconds.
ABANDONED = 60
# What the system says of a name that is taken, by a folder that is not empty or by a file.
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


@dataclass
class NewFolder:
    """A folder in the making. hidden: where it is filled. folder: where it stands at the end."""

    hidden: Path
    folder: Path | None = None


@contextmanager
def new_folder(home: Path, stem: str, name: str | None) -> Iterator[NewFolder]:
    """Yields a hidden folder to fill, which then stands in `home` under `name`, or under the first free one that begins
    with `stem`: with all that is in it, or not at all, and for one process only.

    Raises UsageError if `name` is taken, which an empty folder does not do, and RunError where the disk is full.
    """
    made = NewFolder(home / f".{os.getpid()}-{time.monotonic_ns()}")
    try:
        require_free(home, name)
        with disk_faults_told(home):
            made.hidden.mkdir(parents=True)
            _sweep(home)
        yield made
        while made.folder is None:
            folder = home / (name or free_name(home, stem))
            made.folder = folder if _renamed(made.hidden, folder) else None
            if made.folder is None and name:
                raise taken(home, name)
    finally:
        shutil.rmtree(made.hidden, ignore_errors=True)


def require_free(home: Path, name: str | None) -> None:
    """Raises UsageError unless a run may be called `name`: an empty folder does not take it."""
    if name is None:
        return
    folder = home / name
    plain = Path(name).name == name and not name.startswith(".") and name.isprintable()
    if not plain or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise taken(home, name)


def taken(home: Path, name: str) -> UsageError:
    """That `name` cannot be had."""
    return UsageError(f"--name must be a plain name that is not taken in {home}. Received: {name!r}")


def free_name(home: Path, stem: str) -> str:
    """`stem`, or with the first number behind it that makes it a name that is not taken in `home`."""
    number = 1
    while (home / (name := stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return name


def is_alive(process: int) -> bool:
    """Whether there is a process of that number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _renamed(hidden: Path, folder: Path) -> bool:
    """Whether the folder could be given its name; False where another one has it. Raises RunError."""
    try:
        os.rename(hidden, folder)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
    return True


def _sweep(home: Path) -> None:
    """Remove folders whose making was cut off."""
    for left in home.glob(".[0-9]*-[0-9]*"):
        with suppress(FileNotFoundError):  # another process has just given it its name
            if left.is_dir() and time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
