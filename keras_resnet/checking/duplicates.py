"""Find images that are there several times: pixel for pixel, or nearly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from keras_resnet.checking.facts import ImageFacts
from keras_resnet.checking.findings import Finding
from keras_resnet.checking.quality import is_blank
from keras_resnet.checking.similar_images import find_similar_pairs


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
    first, second = find_similar_pairs(hashes, np.stack([each.thumbnail for each in facts]))
    links = coo_array((np.ones(len(first)), (first, second)), shape=(len(facts), len(facts)))
    _, group_of = connected_components(links, directed=False)
    groups = defaultdict(list)
    for place, group in enumerate(group_of.tolist()):
        groups[group].append(place)
    return [group for group in groups.values() if len(group) > 1]
