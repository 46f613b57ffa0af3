"""Limit the memory that a file of weights may take: what it claims is held against its size before anything is read."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from keras_resnet.errors import WeightsError
from keras_resnet.runtime.plurals import format_bytes

# Weights shrink little where they are compressed; pruned ones, most of them zeros, up to about so many times.
MAX_COMPRESSION = 20
# A file that claims no more than this is not refused, however small it is.
MIN_BUDGET_BYTES = 64 * 2**20
# With optimizer states, averages and parts that a network does not have, a file holds up to so many times its weights.
MAX_SURPLUS = 16


@dataclass
class MemoryBudget:
    """Bytes that may be read from one file. file_size: its own; model_size: those of the network that it is for, if
    known; total: what may be read in all, for the reason `subject`; left: what may still be read."""

    file_size: int
    model_size: int | None
    subject: str
    total: int
    left: int

    @classmethod
    def for_file(cls, path: Path, model_size: int | None = None) -> MemoryBudget:
        """Return the budget of the file `path`: as much as it can hold, and not far more than its model needs."""
        size = path.stat().st_size
        total, subject = max(MAX_COMPRESSION * size, MIN_BUDGET_BYTES), f"weights in a file of {format_bytes(size)}"
        if model_size is not None and max(MAX_SURPLUS * model_size, MIN_BUDGET_BYTES) < total:
            total = max(MAX_SURPLUS * model_size, MIN_BUDGET_BYTES)
            subject = f"weights for a network of {format_bytes(model_size)}"
        return cls(size, model_size, subject, total, total)

    def take(self, claimed: int, name: str) -> None:
        """Account for what is called `name`, of `claimed` bytes. Raises WeightsError if that is more than is left."""
        if claimed > self.left:
            before = f" after {format_bytes(self.total - self.left)}" if self.left < self.total else ""
            raise WeightsError(
                f"{name[:100]} claims {format_bytes(claimed)}{before}, and {self.subject} may take"
                f" {format_bytes(self.total)}"
            )
        self.left -= claimed

    def require_entry(self, entry: zipfile.ZipInfo) -> None:
        """Raise WeightsError for an entry of a zip archive that is compressed as weights never are, or larger than what
        is left."""
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WeightsError(f"{entry.filename[:100]} is packed in a way that weights are not")
        if entry.compress_type == zipfile.ZIP_STORED and entry.file_size > self.file_size:
            raise WeightsError(
                f"{entry.filename[:100]} claims {format_bytes(entry.file_size)} in a file of"
                f" {format_bytes(self.file_size)}"
            )
        replace(self).take(entry.file_size, entry.filename)
