"""Write files whole or not at all; say in the operating system's words why one cannot be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_resnet.errors import KresnetError, RunError
from keras_resnet.runtime.temporary_files import hidden_name

# What libraries hand on from the operating system as a part of a message of their own, or by number.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


@contextmanager
def write_atomically(path: Path, within: Path | None = None) -> Iterator[Path]:
    """Yield a temporary name beside `path` that becomes `path` if the block succeeds, and vanishes if not.

    Makes the folders for it; where `within` is given, that has to exist, and only one folder below it is made. Raises
    RunError, in one sentence, when the disk is full or the folder cannot be written.
    """
    temporary = hidden_name(path)
    try:
        with translate_disk_errors(path):
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
def translate_disk_errors(path: Path) -> Iterator[None]:
    """Raise RunError, in one sentence, where something cannot be written to `path`, whichever library says so."""
    try:
        yield
    except KresnetError:
        raise
    except Exception as error:
        if isinstance(error, OSError) or _find_disk_error(str(error)):
            raise RunError(f"cannot write {path}: {describe_error(error)}") from error
        raise


def describe_error(error: BaseException) -> str:
    """Return the operating system's words for `error`, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _find_disk_error(str(error)) or " ".join(str(error).split()) or type(error).__name__


def _find_disk_error(text: str) -> str:
    """Return the operating system's words that stand in a library's message, "" where there are none."""
    return next(
        (os.strerror(code) for code in _DISK_ERRORS if os.strerror(code) in text or f"errno = {code}," in text), ""
    )
