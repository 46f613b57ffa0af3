"""Files that this machine cannot run: written, kept apart from those with a verdict, and never said to have passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from keras_resnet.export.formats.base import Format
from keras_resnet.export.load import file_size, gzip_size
from keras_resnet.metrics.outcome import UNVERIFIED, describe_unverified
from keras_resnet.run import Run
from keras_resnet.run.verdict_documents import UnverifiedRow


@dataclass(frozen=True)
class UnverifiedFile:
    """A file without a verdict. scheme: see `Verdict`. bytes: on the device; gzip_bytes: as a download. only_on: the
    system that runs it. command: what verifies it there."""

    file: str
    scheme: str
    bytes: int
    gzip_bytes: int
    only_on: str
    command: str

    @classmethod
    def describe(cls, run: Run, name: str, scheme: str, file_format: Format) -> UnverifiedFile:
        """Return what is known of the file `name` among the exports of `run`."""
        path = run.exports / name
        command = f"kresnet verify {path}"
        return cls(name, scheme, file_size(path), gzip_size(path), file_format.only_on, command)

    @classmethod
    def from_row(cls, row: UnverifiedRow) -> UnverifiedFile:
        """Return what a row of unverified.json describes."""
        return cls(**{name: value for name, value in row.items() if name != "verdict"})  # type: ignore[arg-type]

    def __str__(self) -> str:
        return describe_unverified(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return it as a row of unverified.json."""
        return {**asdict(self), "verdict": UNVERIFIED}


def keep_unverified(run: Run, added: Sequence[UnverifiedFile] = (), verified: Sequence[str] = ()) -> None:
    """Write unverified.json with the files `added`, and without those called `verified`, which have a verdict now."""
    gone = {*verified, *(each.file for each in added)}
    kept = [dict(row) for row in run.unverified() if row["file"] not in gone]
    rows = [*kept, *(each.as_dict() for each in added)]
    if rows:
        run.write_json(run.unverified_file, rows)
    else:
        run.unverified_file.unlink(missing_ok=True)
