"""Loading of any exported file as a callable on images, by its format."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

from keras_resnet.errors import ExportError
from keras_resnet.export.formats import find_format, recognize_format
from keras_resnet.export.formats.base import LoadedModel
from keras_resnet.run.run_files import REJECTED
from keras_resnet.runtime.missing_files import describe_missing
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.printable import make_printable


def is_exported_file(target: str) -> bool:
    """Return whether `target` names an exported file rather than a run."""
    path = Path(target)
    return path.is_file() or recognize_format(path) is not None


def load_file(path: Path, threads: int | None = None) -> LoadedModel:
    """Load the exported file or folder `path`. Raises ExportError if it is missing, damaged or foreign."""
    require_file(path)
    return find_format(path).load(path, threads)


def require_labels(file: Path, model: LoadedModel, labels: Sequence[str], of: str) -> None:
    """Raise ExportError unless the loaded `file` has the `labels` of a run or a model, which is called `of`."""
    own = model.card.classes
    if tuple(own) != tuple(labels):
        raise ExportError(f"{file.name} has other labels than {of}: {_describe_difference(own, labels)}")


def _describe_difference(own: Sequence[str], expected: Sequence[str]) -> str:
    if len(own) != len(expected):
        return f"{counted(len(own), 'label')}, not {len(expected)}"
    place = next(place for place, label in enumerate(own) if label != expected[place])
    return f"number {place}, counted from 0, is {make_printable(own[place])!r}, not {expected[place]!r}"


def require_file(path: Path) -> None:
    """Raise ExportError unless there is a folder or a regular file at `path`: a pipe may never end."""
    if not path.exists():
        moved = _find_moved(path)
        raise ExportError(
            f"there is no file {path}{moved}"
            if moved
            else describe_missing(path, lambda other: recognize_format(other) is not None)
        )
    if not path.is_dir() and not path.is_file():
        raise ExportError(f"{path} is not a regular file")


def _find_moved(path: Path) -> str:
    """Return where the file of a run that was looked for at `path` is, and why, in words; "" where it is nowhere."""
    rejected, accepted = path.parent / REJECTED / path.name, path.parent.parent / path.name
    if rejected.exists():
        return f": {path.name} was not within its budget and is in {rejected}"
    if path.parent.name == REJECTED and accepted.exists():
        return f": {path.name} is within its budget and is in {accepted}"
    return ""


def file_size(path: Path) -> int:
    """Return the bytes on a device: of a file, of all files of a folder, of the array that C source holds."""
    return find_format(path).size(path)


def read_content(path: Path) -> bytes:
    """Return what is counted there, the files of a folder one after another: files of the same content are the same."""
    return b"".join(find_format(path).payload(path))


def gzip_size(path: Path) -> int:
    """Return the bytes that a download of the same takes, by gzip's usual level 6."""
    return sum(len(gzip.compress(content, 6)) for content in find_format(path).payload(path))
