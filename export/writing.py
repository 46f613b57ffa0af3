"""One file while it is written, verified and put in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from keras_resnet.errors import KresnetError
from keras_resnet.export.request import ExportFile
from keras_resnet.export.verdict import Budget, Verdict
from keras_resnet.export.verify import Reference, verify
from keras_resnet.runtime.temporary_files import hidden_name


class Writer(Protocol):
    """Something that writes one file, within a budget."""

    @property
    def budget(self) -> Budget:
        """What the file may lose."""

    @property
    def file(self) -> ExportFile:
        """The file: its name, format and options."""

    def writing(self, target: Path) -> AbstractContextManager[Callable[[], None]]:
        """Write the file to `target` during the block, which gets a function that waits until it is written."""


class Writing:
    """One file while it is written by a hidden name beside its `target`: a context manager, at the end of which that
    is gone. `wait` never fails; what kept the file from being written, `require_written` raises."""

    def __init__(self, writer: Writer, target: Path) -> None:
        self.writer, self.file = writer, hidden_name(target)
        self._error: KresnetError | None = None
        with ExitStack() as stack:
            stack.callback(remove_path, self.file)
            try:
                self._wait = stack.enter_context(writer.writing(self.file))
            except KresnetError as error:
                self._error = error
            self._stack = stack.pop_all()

    def wait(self) -> None:
        """Wait until the file is written, or cannot be."""
        if self._error is None:
            try:
                self._wait()
            except KresnetError as error:
                self._error = error

    def require_written(self) -> None:
        """Wait until the file is written. Raises what kept it from being: an ExportError or DataError."""
        self.wait()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the writing, and remove what has been written and was not placed; again, it does nothing."""
        self._stack.close()


@dataclass(frozen=True)
class Placement:
    """Where a file goes: to `accepted`, or to `rejected` if it failed."""

    accepted: Path
    rejected: Path


def write_and_verify(writer: Writer, placement: Placement, reference: Reference) -> Verdict:
    """Let `writer` make a file by a hidden name, and `verify_and_place` it."""
    with Writing(writer, placement.accepted) as writing:
        writing.require_written()
        return verify_and_place(writing, placement, reference)


def verify_and_place(writing: Writing, placement: Placement, reference: Reference) -> Verdict:
    """Verify what has been written, and put it where `placement` says; what stood at either place is gone. The
    verdict's `file` is where it stands."""
    writer, good, bad = writing.writer, placement.accepted, placement.rejected
    verdict = verify(writing.file, reference, writer.budget, is_integer=writer.file.is_integer)
    target, former = (good, bad) if verdict.passed else (bad, good)
    target.parent.mkdir(exist_ok=True)
    replace_path(target, writing.file)
    remove_path(former)
    return replace(verdict, file=str(target))


def replace_path(target: Path, by: Path) -> None:
    """Put the file or folder `by` where `target` is or was."""
    remove_path(target)
    os.replace(by, target)


def remove_path(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing where there is none."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
