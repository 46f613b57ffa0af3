"""Recognize the file that a verdict is on by its hash, so that no other file has the verdict."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any


def hash_file(path: Path) -> str:
    """Return the SHA-256 of the file `path`, in hexadecimal digits.

    Of a folder, such as a SavedModel: that of a line "SHA-256, two spaces, name" for each file below it, as `sha256sum`
    prints them, in the order of the names' bytes; hidden files, which file managers leave there, are not part of it. A
    file that has not changed since is not read again. Raises OSError where one cannot be read.
    """
    if not path.is_dir():
        return _hash(path, _stamp(path))
    files = {file.relative_to(path): file for file in path.rglob("*") if file.is_file()}
    names = {os.fsencode(name.as_posix()): name for name in files if not any(part[0] == "." for part in name.parts)}
    lines = (b"%s  %s\n" % (hash_file(files[name]).encode(), written) for written, name in sorted(names.items()))
    return hashlib.sha256(b"".join(lines)).hexdigest()


def has_changed(row: Mapping[str, Any], path: Path) -> bool:
    """Return whether what is at `path` is another file than the one that `row`, of verdicts.json, is on. Nothing is
    known of a file that is gone. A row of an earlier version has no hash: there the size decides, see `has_other_size`.
    """
    if not path.exists():
        return False
    if not row.get("sha256"):
        return has_other_size(row, path)
    try:
        return not (path.is_file() or path.is_dir()) or hash_file(path) != row["sha256"]
    except OSError:
        return True


def has_other_size(row: Mapping[str, Any], path: Path) -> bool:
    """Return whether a file has another size than the one that `row` is on, without reading it; False of a folder,
    whose size is that of its format."""
    return path.is_file() and path.stat().st_size != row["bytes"]


def _stamp(file: Path) -> tuple[int, ...]:
    """Return what changes when the file does."""
    status = file.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@lru_cache(maxsize=1024)
def _hash(file: Path, stamp: tuple[int, ...]) -> str:
    """Return the SHA-256 of a file that has the `stamp`."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
