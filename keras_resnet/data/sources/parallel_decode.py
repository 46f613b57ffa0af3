"""Decode many images in parallel: the loop that every source reads its images with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

from keras_resnet.errors import DataError
from keras_resnet.progress import show_progress

# Items that are handed to the threads at once: each waiting one takes a kilobyte.
MOST_WAITING = 4096

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass
class Decoded(Generic[Value]):
    """The items that could be decoded: their `rows`, in order, and `values`; of each of the others its error."""

    rows: list[int] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    errors: list[DataError] = field(default_factory=list)


def decode_in_parallel(items: Sequence[Item], decode: Callable[[Item], Value], activity: str) -> Decoded[Value]:
    """Call `decode` on each of `items` in a pool of threads, with a progress bar that is called `activity`.

    A DataError that `decode` raises is collected; any other error ends the reading.
    """

    def attempt(item: Item) -> Value | DataError:
        try:
            return decode(item)
        except DataError as error:
            return error

    decoded: Decoded[Value] = Decoded()
    with ThreadPoolExecutor(os.cpu_count()) as pool, show_progress(len(items), "images", activity) as advance:
        starts = range(0, len(items), MOST_WAITING)
        outcomes = chain.from_iterable(pool.map(attempt, items[start : start + MOST_WAITING]) for start in starts)
        for row, outcome in enumerate(outcomes):
            advance(1, activity)
            if isinstance(outcome, DataError):
                decoded.errors.append(outcome)
            else:
                decoded.rows.append(row)
                decoded.values.append(outcome)
    return decoded
