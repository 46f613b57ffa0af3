"""Allow one training at a time in a run folder, by a lock that ends with its process, however that dies."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_resnet.atomic_write import translate_disk_errors
from keras_resnet.errors import RunError

LOCK_NAME = "training.lock"
# What the system says of a file that another process has locked; anything else means that it has no such locks.
LOCKED_ERRORS = (errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def lock_run(folder: Path) -> Iterator[Callable[[], bool]]:
    """Keep other trainings out of the run in `folder`. Yields a function that returns whether the folder is still
    there, under its name. Raises RunError where another process, which it names, has the lock."""
    file = folder / LOCK_NAME
    with translate_disk_errors(folder):
        folder_descriptor = os.open(folder, os.O_RDONLY)
    lock = -1
    try:
        with translate_disk_errors(file):
            lock = _open_locked(file)
            os.ftruncate(lock, 0)
            os.write(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield lambda: _is_at(folder, folder_descriptor)
    finally:
        if lock >= 0:
            if _is_at(file, lock):
                file.unlink(missing_ok=True)
            os.close(lock)
        os.close(folder_descriptor)


def find_lock_holder(folder: Path) -> str | None:
    """Return which process trains in `folder`; None where none does. A lock file that a killed one left says
    nothing."""
    try:
        lock = os.open(folder / LOCK_NAME, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None
    except OSError as error:
        return _describe_holder(lock) if error.errno in LOCKED_ERRORS else None
    finally:
        os.close(lock)


def _open_locked(file: Path) -> int:
    """Return the locked `file`, open. The one who had it removes it, so what was locked may be there no more."""
    while True:
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _describe_holder(lock)
            if error.errno in LOCKED_ERRORS:
                os.close(lock)
                raise RunError(
                    f"run {file.parent.name} is being trained by {holder}: wait for it, or stop it"
                ) from error
        if _is_at(file, lock):
            return lock
        os.close(lock)


def _describe_holder(lock: int) -> str:
    """Return who wrote the lock file, as far as that can be read."""
    text = os.pread(lock, 200, 0).decode("ascii", "replace").strip()
    return text if text.startswith("process ") and text.isprintable() else "another process"


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether what is open is still at `path`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
