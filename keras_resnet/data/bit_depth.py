"""Which values are black and white in images of more than 8 bits: a decision for a whole dataset, never for one image,
which would make a dark one as bright as the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.data.sources.parallel_decode import decode_in_parallel
from keras_resnet.progress import Log
from keras_resnet.runtime.image import read_deep_values
from keras_resnet.runtime.plurals import counted, verb

# Files that are looked at before all are.
SAMPLED_FILES = 200
# What cameras and scanners deliver, in files of 16 or 32 bits.
SENSOR_BITS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class ValueRange:
    """The smallest and the largest finite value of an image, and whether its values are whole by their type."""

    low: float
    high: float
    whole: bool


def find_levels(files: Sequence[Path], log: Log) -> tuple[float, ...]:
    """Return the values that are black and white in those of `files` of more than 8 bits, and log them with
    the reason.

    () where a sample has none such. Files that cannot be read are left to whoever reads them all.
    """
    some = files[:: max(1, -(-len(files) // SAMPLED_FILES))]
    if not _read_ranges(some, "looking for images of more than 8 bits"):
        return ()
    found = _read_ranges(files, "reading images of more than 8 bits")
    low, high = min(each.low for each in found), max(each.high for each in found)
    levels = _choose_black(low), _choose_white(high, all(each.whole for each in found))
    log(
        f"levels: {levels[0]:g} is black and {levels[1]:g} white ({counted(len(found), 'training image')} of more"
        f" than 8 bits {verb(len(found), 'holds', 'hold')}"
        f" {low:g} to {high:g}; --set data.levels=[0,65535] would take others)"
    )
    return levels


def _choose_black(low: float) -> float:
    return min(0.0, low)


def _choose_white(high: float, whole: bool) -> float:
    """Return the largest value of the fewest bits that hold `high`; 1 for fractions."""
    if high <= 1 and not whole:
        return 1.0
    return next((float(2**bits - 1) for bits in SENSOR_BITS if high <= 2**bits - 1), high)


def _read_ranges(files: Sequence[Path], doing: str) -> list[ValueRange]:
    """Of those that can be read and have more than 8 bits."""
    return [each for each in decode_in_parallel(files, _read_range, doing).values if each]


def _read_range(file: Path) -> ValueRange | None:
    """Return the range of an image; None of one of 8 bits. Raises DataError for one that cannot be read."""
    lows: list[float] = []
    highs: list[float] = []
    whole = True
    for values in read_deep_values(file):
        whole = values.dtype.kind != "f"
        known = values if whole else values[np.isfinite(values)]
        lows += [float(known.min())] if known.size else []
        highs += [float(known.max())] if known.size else []
    return ValueRange(min(lows), max(highs), whole) if lows else None
