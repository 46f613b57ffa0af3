"""Files written whole or not at all, and the operating system's words when they cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_resnet.errors import KresnetError, RunError


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside `path` that becomes `path` if the block succeeds, and vanishes if not.

    Raises RunError, in one sentence, when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except KresnetError:
        raise
    except Exception as error:
        if isinstance(error, OSError) or "No space left" in str(error):
            raise RunError(f"cannot write {path}: {reason(error)}") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def reason(error: BaseException) -> str:
    """The operating system's words for `error`, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    return "No space left on device" if "No space left" in text or "errno = 28" in text else " ".join(text.split())
