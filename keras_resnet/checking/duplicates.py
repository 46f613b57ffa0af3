"""Find images that are there several times: pixel for pixel, or nearly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from keras_resnet.checking.facts import ImageFacts
from keras_resnet.checking.findings import Finding
from keras_resnet.checking.quality import is_blank

# Bits of 64 by which the perceptual hashes of near duplicates differ at most. These see shapes alone.
MAX_BITS = 8
# Correlations that their thumbnails have at least: in gray, without which other images of one background would be among
# them; and in color, without which simple shapes of any color would be. Brightening changes colors where it clips them.
MIN_GRAY, MIN_COLOR = 0.97, 0.95
# Shares of red, green and blue in gray (ITU-R BT.601).
GRAY = np.array([0.299, 0.587, 0.114], np.float32)
# Hashes that are compared with all others at once, and pairs of thumbnails that are.
CHUNK, PAIRS = 1024, 16384


def find_duplicates(facts: Sequence[ImageFacts], has_own_splits: bool = True) -> Iterator[Finding]:
    """Yield a finding for each group of equal images, and for each group of similar ones. has_own_splits: whether
    training and validation images are apart in the data, and not just held out by kresnet."""
    # Of data without a validation split, its images are among those of the training split.
    split_of = {each.image.split: each.image.split for each in facts}
    if not has_own_splits and "validation" in split_of:
        split_of["validation"] = "train"
    exact = defaultdict(list)
    for row, each in enumerate(facts):
        exact[each.digest].append(row)
    for group in exact.values():
        if len(group) > 1:
            yield _describe(facts, group, "exact", split_of)
    # Of equal images one stands for all; blank ones are similar to each other, whatever they were.
    single = [group[0] for group in exact.values() if not is_blank(facts[group[0]])]
    for similar in _group_similar([facts[row] for row in single]):
        yield _describe(
            facts, [row for place in similar for row in exact[facts[single[place]].digest]], "near", split_of
        )


def _describe(facts: Sequence[ImageFacts], group: list[int], how: str, split_of: Mapping[str, str]) -> Finding:
    images = tuple(facts[row].image for row in group)
    across = "_across_splits" if len({split_of[each.split] for each in images}) > 1 else ""
    if how == "exact" and len({each.label for each in images}) > 1:
        return Finding("conflicting_labels", images, "also across splits" if across else "")
    return Finding(f"{how}_duplicate{across}", images)


def _group_similar(facts: list[ImageFacts]) -> list[list[int]]:
    """Return groups of two or more places in `facts`, linked by images that are similar."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if len(facts) < 2:
        return []
    hashes = np.array([each.hash for each in facts], np.uint64)
    thumbnails = np.stack([each.thumbnail for each in facts])
    pairs = []
    for start in range(0, len(facts), CHUNK):
        differing = np.bitwise_count(hashes[start : start + CHUNK, None] ^ hashes[None])
        first, second = np.nonzero(differing <= MAX_BITS)
        first += start
        upper = first < second
        first, second = first[upper], second[upper]
        alike = _are_alike(thumbnails, first, second)
        pairs.append(np.stack([first[alike], second[alike]]))
    first, second = np.concatenate(pairs, axis=1)
    links = coo_array((np.ones(len(first)), (first, second)), shape=(len(facts), len(facts)))
    _, group_of = connected_components(links, directed=False)
    groups = defaultdict(list)
    for place, group in enumerate(group_of.tolist()):
        groups[group].append(place)
    return [group for group in groups.values() if len(group) > 1]


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
