"""Create folders of runs in their home: under a name that is free, whole, and for one process only."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.atomic_write import translate_disk_errors
from keras_resnet.errors import RunError, UsageError
from keras_resnet.runtime.image_files import readable_name

# Seconds after which a folder that is still being made belongs to a process that was killed: it takes milliseconds.
ABANDONED_SECONDS = 60
# What the system says of a name that is taken, by a folder that is not empty or by a file.
NAME_TAKEN_ERRORS = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def runs_home(chosen: str | None = None) -> Path:
    """Return the folder of runs: `chosen`, else the environment's KRESNET_RUNS, else saved_models/ here.

    Raises UsageError for a folder that TensorFlow cannot write to: its path is UTF-8.
    """
    home = Path(chosen or os.environ.get("KRESNET_RUNS") or "saved_models").expanduser()
    try:
        str(home.absolute()).encode()
    except UnicodeError as error:
        raise UsageError(
            f"runs cannot be kept in {readable_name(home.absolute())}: TensorFlow takes paths in UTF-8 only; choose"
            f" another folder by --runs, or a locale of UTF-8 (LC_ALL=C.UTF-8). The one here is"
            f" {sys.getfilesystemencoding()}"
        ) from error
    return home


def describe_no_runs(home: Path) -> str:
    """Return what to say of a folder without runs, which may not be the one that was meant."""
    return (
        f"there are no runs in {home.absolute()}; make one with: kresnet train --data FOLDER; or name their folder:"
        " --runs DIR"
    )


@dataclass
class RunFolder:
    """A folder in the making. hidden: where it is filled. folder: where it is at the end."""

    hidden: Path
    folder: Path | None = None


@contextmanager
def create_run_folder(home: Path, stem: str, name: str | None) -> Iterator[RunFolder]:
    """Yield a hidden folder to fill, which then gets its place in `home` under `name`, or under the first free one that
    begins with `stem`: with all that is in it, or not at all, and for one process only.

    Raises UsageError if `name` is taken, which an empty folder does not do, and RunError where the disk is full.
    """
    made = RunFolder(home / f".{os.getpid()}-{time.monotonic_ns()}")
    try:
        require_free(home, name)
        with translate_disk_errors(home):
            made.hidden.mkdir(parents=True)
            _remove_abandoned(home)
        yield made
        while made.folder is None:
            folder = home / (name or free_name(home, stem))
            made.folder = folder if _rename(made.hidden, folder) else None
            if made.folder is None and name:
                raise name_taken_error(home, name)
    finally:
        shutil.rmtree(made.hidden, ignore_errors=True)


def require_free(home: Path, name: str | None) -> None:
    """Raise UsageError unless a run may be called `name`: an empty folder does not take it."""
    if name is None:
        return
    require_plain_name(home, name)
    folder = home / name
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise name_taken_error(home, name)


def require_plain_name(home: Path, name: str) -> None:
    """Raise UsageError unless `name` is that of a folder in `home` itself."""
    if not (Path(name).name == name and not name.startswith((".", "-")) and name.isprintable()):
        raise UsageError(f"--name must be the plain name of a new folder in {home}. Received: {name!r}")


def require_creatable(home: Path) -> None:
    """Raise RunError unless folders can be made in `home`, or in the nearest folder above it that exists. Makes none of
    them: other workers may be about to."""
    try:
        nearest = next(folder for folder in (home, *home.parents) if folder.exists())
        with tempfile.TemporaryDirectory(dir=nearest, prefix="."):
            pass
    except OSError as error:
        raise RunError(f"cannot write {home}: {error.strerror}") from error


def name_taken_error(home: Path, name: str) -> UsageError:
    """Return the error for a `name` that another run has."""
    return UsageError(f"--name must be new: {home} holds {name!r} already; {free_name(home, name)!r} is free")


def free_name(home: Path, stem: str) -> str:
    """Return `stem`, with the first number behind it that makes it a name that is not taken in `home`."""
    number = 1
    while (home / (name := stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return name


def is_alive(process: int) -> bool:
    """Return whether there is a process of that number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _rename(hidden: Path, folder: Path) -> bool:
    """Give the folder its name; return False where another one has it. Raises RunError."""
    try:
        os.rename(hidden, folder)
    except OSError as error:
        if error.errno in NAME_TAKEN_ERRORS:
            return False
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
    return True


def _remove_abandoned(home: Path) -> None:
    """Remove folders whose making was cut off."""
    for left in home.glob(".[0-9]*-[0-9]*"):
        with suppress(FileNotFoundError):  # another process has just given it its name
            if left.is_dir() and time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
