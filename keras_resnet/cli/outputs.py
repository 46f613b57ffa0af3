"""Where a command is asked to write: checked before its work, and said where a folder has to be made for it."""

from __future__ import annotations

from pathlib import Path

from keras_resnet.cli import console
from keras_resnet.errors import UsageError
from keras_resnet.run.folders import require_creatable

PAGE_SUFFIXES = (".html", ".htm")


def prepare_save(path: Path, is_folder: bool = False) -> None:
    """Check that what --save names can be written, a file or a folder, and log which folder is going to be made.

    Raises UsageError if `path` is to be a file and is a folder, or the other way round, RunError if nothing can be
    written there.
    """
    if path.is_dir() and not is_folder:
        raise UsageError(f"--save must name a file. Received: {path}, which is a folder")
    if is_folder and path.exists() and not path.is_dir():
        raise UsageError(f"--save must name a folder here. Received: {path}, which is a file")
    folder = path if is_folder else path.parent
    require_creatable(folder)
    if not folder.exists():
        console.log(f"--save: the folder {folder} is not there yet; it will be made")


def prepare_page(path: Path) -> None:
    """Do the same for a page of HTML. Raises UsageError for a name that would hide that it is one."""
    if path.suffix.lower() not in PAGE_SUFFIXES:
        raise UsageError(f"--save writes a page, whose name must end in {PAGE_SUFFIXES[0]}. Received: {path}")
    prepare_save(path)
