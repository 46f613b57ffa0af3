"""Find images that are there several times: pixel for pixel, or nearly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from keras_resnet.checking.facts import ImageFacts
from keras_resnet.checking.findings import Finding
from keras_resnet.checking.quality import is_blank

# Bits of 64 by which the perceptual hashes of near duplicates differ at most; and the correlation of their thumbnails,
# without which other images of one background would be among them.
MAX_BITS, MIN_CORRELATION = 8, 0.97
# Hashes that are compared at once.
CHUNK = 1024


def find_duplicates(facts: Sequence[ImageFacts]) -> Iterator[Finding]:
    """Yield a finding for each group of equal images, and for each group of similar ones."""
    exact = defaultdict(list)
    for row, each in enumerate(facts):
        exact[each.digest].append(row)
    for group in exact.values():
        if len(group) > 1:
            yield _describe(facts, group, "exact")
    # Of equal images one stands for all; blank ones are similar to each other, whatever they were.
    single = [group[0] for group in exact.values() if not is_blank(facts[group[0]])]
    for similar in _group_similar([facts[row] for row in single]):
        yield _describe(facts, [row for place in similar for row in exact[facts[single[place]].digest]], "near")


def _describe(facts: Sequence[ImageFacts], group: list[int], how: str) -> Finding:
    images = tuple(facts[row].image for row in group)
    across = "_across_splits" if len({each.split for each in images}) > 1 else ""
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
        alike = (thumbnails[first] * thumbnails[second]).sum(1) >= MIN_CORRELATION
        pairs.append(np.stack([first[alike], second[alike]]))
    first, second = np.concatenate(pairs, axis=1)
    links = coo_array((np.ones(len(first)), (first, second)), shape=(len(facts), len(facts)))
    _, group_of = connected_components(links, directed=False)
    groups = defaultdict(list)
    for place, group in enumerate(group_of.tolist()):
        groups[group].append(place)
    return [group for group in groups.values() if len(group) > 1]
