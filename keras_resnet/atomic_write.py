"""Files written whole or not at all, and the operating system's words when they cannot be."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_resnet.errors import KresnetError, RunError

# What libraries hand on from the operating system as a part of a message of their own, or by number.
_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


@contextmanager
def writing(path: Path, within: Path | None = None) -> Iterator[Path]:
    """Yields a temporary name beside `path` that becomes `path` if the block succeeds, and vanishes if not.

    Folders are made for it; but `within`, where it is given, has to be there, and one folder below it is made.
    Raises RunError, in one sentence, when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        with disk_faults_told(path):
            if within is None:
                path.parent.mkdir(parents=True, exist_ok=True)
            elif path.parent != within:
                path.parent.mkdir(exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def disk_faults_told(path: Path) -> Iterator[None]:
    """Raises RunError, in one sentence, where something cannot be written to `path`, whichever library says so."""
    try:
        yield
    except KresnetError:
        raise
    except Exception as error:
        if isinstance(error, OSError) or _fault_in(str(error)):
            raise RunError(f"cannot write {path}: {reason(error)}") from error
        raise


def reason(error: BaseException) -> str:
    """The operating system's words for `error`, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _fault_in(str(error)) or " ".join(str(error).split()) or type(error).__name__


def _fault_in(text: str) -> str:
    """The operating system's words that stand in a library's message; '' where there are none."""
    return next((os.strerror(code) for code in _FAULTS if os.strerror(code) in text or f"errno = {code}," in text), "")
