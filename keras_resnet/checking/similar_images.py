"""Find pairs of similar images among many, without comparing each with each where that can be avoided."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

# Bits of 64 by which the perceptual hashes of near duplicates differ at most. These see shapes alone.
MAX_BITS = 8
# Correlations that their thumbnails have at least: in gray, without which other images of one background would be among
# them; and in color, without which simple shapes of any color would be. Brightening changes colors where it clips them.
MIN_GRAY, MIN_COLOR = 0.97, 0.95
# Shares of red, green and blue in gray (ITU-R BT.601).
GRAY = np.array([0.299, 0.587, 0.114], np.float32)
# Pairs of thumbnails, and of candidates, that are compared at once, so that memory does not grow with the images.
PAIRS, MOST_CANDIDATES = 16384, 1_000_000
# A hash is cut into blocks of so many bits. If two differ by MAX_BITS, one of their blocks differs by a third at most.
BLOCKS = (22, 21, 21)
BLOCK_BITS = MAX_BITS // len(BLOCKS)
Pairs = tuple[np.ndarray, np.ndarray]


def find_similar_pairs(hashes: np.ndarray, thumbnails: np.ndarray) -> Pairs:
    """Return the rows of each pair of images, the lower one first, whose `hashes`, uint64 (N,), differ by MAX_BITS at
    most and whose `thumbnails`, uint8 (N, S, S, 3), are alike."""
    found = [np.zeros((2, 0), np.intp)]
    for first, second in list_similar_hashes(hashes):
        alike = _are_alike(thumbnails, first, second)
        found.append(np.stack([first[alike], second[alike]]))
    first, second = np.concatenate(found, axis=1)
    return first, second


def list_similar_hashes(hashes: np.ndarray) -> Iterator[Pairs]:
    """Yield the rows of all pairs of `hashes`, uint64 (N,), that differ by MAX_BITS at most, the lower row first: each
    pair once.

    Multi-index hashing (Norouzi et al. 2012, "Fast search in Hamming space with multi-index hashing"): images are
    looked up by each block of their hash, and by what it becomes by changing a few bits. That takes time in proportion
    to N as long as there are fewer images than values of a block, which are two million; of more, it grows faster.
    """
    shift = 0
    before: list[np.uint64] = []
    for bits in BLOCKS:
        block = np.uint64(((1 << bits) - 1) << shift)
        keys = ((hashes & block) >> np.uint64(shift)).astype(np.int64)
        for first, second in _look_up(keys, bits):
            differing = hashes[first] ^ hashes[second]
            is_new = np.bitwise_count(differing) <= MAX_BITS
            for earlier in before:
                is_new &= np.bitwise_count(differing & earlier) > BLOCK_BITS
            yield first[is_new], second[is_new]
        shift += bits
        before.append(block)


def _look_up(keys: np.ndarray, bits: int) -> Iterator[Pairs]:
    """Yield the rows of pairs of `keys`, int64 (N,) of so many `bits`, that differ by BLOCK_BITS at most, the lower row
    first."""
    order = np.argsort(keys, kind="stable")
    # In their order, so that neighbors are looked up in neighboring places.
    keys = keys[order]
    counts = np.bincount(keys, minlength=1 << bits).astype(np.int32)
    starts = np.cumsum(counts) - counts
    for changed in range(BLOCK_BITS + 1):
        for places in combinations(range(bits), changed):
            others = keys ^ sum(1 << place for place in places)
            rows = np.flatnonzero(counts[others])
            sizes, begins = counts[others[rows]], starts[others[rows]]
            # As many of them at once as have MOST_CANDIDATES in all, or one alone that has more.
            sums = np.cumsum(sizes)
            cuts = np.searchsorted(sums, np.arange(MOST_CANDIDATES, sums[-1] if len(sums) else 0, MOST_CANDIDATES))
            for part in np.split(np.arange(len(rows)), cuts):
                first = order[np.repeat(rows[part], sizes[part])]
                second = order[_count_up(begins[part], sizes[part])]
                is_first = first < second
                yield first[is_first], second[is_first]


def _count_up(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return `counts` numbers from each of `starts` on, one after another."""
    before = np.cumsum(counts) - counts
    return np.asarray(np.arange(counts.sum()) + np.repeat(starts - before, counts))


def _are_alike(thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return for each pair of rows, int (P,) each, whether these `thumbnails`, uint8 (N, S, S, 3), are alike, bool
    (P,)."""
    alike = np.empty(len(first), bool)
    for start in range(0, len(first), PAIRS):
        part = slice(start, start + PAIRS)
        one, other = (thumbnails[rows[part]].astype(np.float32) for rows in (first, second))
        alike[part] = (_correlate(one @ GRAY, other @ GRAY) >= MIN_GRAY) & (_correlate(one, other) >= MIN_COLOR)
    return alike


def _correlate(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of all values of each pair of images, (P, …) each, as (P,)."""
    one, other = (each.reshape(len(each), -1) for each in (first, second))
    one, other = (each - each.mean(axis=1, keepdims=True) for each in (one, other))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / np.maximum(lengths, 1e-6))
