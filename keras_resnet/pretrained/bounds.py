"""How much memory a file of weights may take: what it claims is held against its size before anything is read."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from keras_resnet.errors import WeightsError

# Weights shrink little where they are packed; pruned ones, most of them zeros, up to about so many times.
PACKED = 20
# A file that claims no more than this is not refused, however small it is.
UNASKED = 64 * 2**20
# With the states of an optimizer, averages and parts that a network does not have, a file holds up to so many times it.
SURPLUS = 16


@dataclass
class Allowance:
    """Bytes that may be read from one file: left of the `most` that `whose` may take. size: the file's own; needed:
    those of the network that it is for, if known."""

    size: int
    needed: int | None
    whose: str
    most: int
    left: int

    @classmethod
    def of(cls, path: Path, needed: int | None = None) -> Allowance:
        """What the file `path` may claim: as much as it can hold, and not far more than is `needed`."""
        size = path.stat().st_size
        most, whose = max(PACKED * size, UNASKED), f"weights in a file of {readable(size)}"
        if needed is not None and max(SURPLUS * needed, UNASKED) < most:
            most, whose = max(SURPLUS * needed, UNASKED), f"weights for a network of {readable(needed)}"
        return cls(size, needed, whose, most, most)

    def take(self, claimed: int, what: str) -> None:
        """Account for `what`, of `claimed` bytes. Raises WeightsError where that is more than is left."""
        if claimed > self.left:
            before = f" after {readable(self.most - self.left)}" if self.left < self.most else ""
            raise WeightsError(
                f"{what[:100]} claims {readable(claimed)}{before}, and {self.whose} may take {readable(self.most)}"
            )
        self.left -= claimed

    def require_entry(self, entry: zipfile.ZipInfo) -> None:
        """Raises WeightsError for an entry of a zip archive that is packed otherwise than weights are, or larger than
        what is left."""
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WeightsError(f"{entry.filename[:100]} is packed in a way that weights are not")
        if entry.compress_type == zipfile.ZIP_STORED and entry.file_size > self.size:
            raise WeightsError(
                f"{entry.filename[:100]} claims {readable(entry.file_size)} in a file of {readable(self.size)}"
            )
        replace(self).take(entry.file_size, entry.filename)


def readable(size: float) -> str:
    """Bytes as people write them: "8.4 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
