"""Hold out images with several labels each so that each label keeps its share."""

from __future__ import annotations

import numpy as np

from keras_resnet.data.dataset import SPLIT_SEED, describe_too_few
from keras_resnet.errors import DataError


def split_label_sets(sets: np.ndarray, fraction: float, seed: int = SPLIT_SEED) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of uint8 (count, classes) `sets` to train on and to validate with: about `fraction` of each label,
    the same each time for the same `seed` (iterative stratification, Sechidis et al. 2011), and a label of two images
    in both. Raises DataError for fewer than 2 images."""
    if len(sets) < 2:
        raise DataError(describe_too_few("the dataset", len(sets), "readable image"))
    order = np.random.default_rng(seed).permutation(len(sets))
    shares = np.array([1 - fraction, fraction])
    wanted, room = shares[:, None] * sets.sum(axis=0), shares * len(sets)
    chosen = np.full(len(sets), -1)
    while (chosen < 0).any():
        free = order[chosen[order] < 0]
        left = sets[free].sum(axis=0)
        # The rarest label first, while there is a choice; images without one last.
        label = int(np.where(left > 0, left, len(sets) + 1).argmin())
        rows = free[sets[free, label] > 0] if left[label] else free
        for row in rows:
            need = wanted[:, label] if left[label] else room
            part = int(np.lexsort((room, need))[-1])
            chosen[row] = part
            wanted[part] -= sets[row]
            room[part] -= 1
    for lacking in np.flatnonzero(sets[chosen == 1].sum(axis=0) == 0):
        _give_one(sets, chosen, sets[:, lacking] > 0)
    if not chosen.any():
        chosen[order[-1]] = 1
    return np.flatnonzero(chosen == 0), np.flatnonzero(chosen == 1)


def _give_one(sets: np.ndarray, chosen: np.ndarray, wanted: np.ndarray) -> None:
    """Move one of the `wanted` images, bool (count,), to the part 1, if part 0 keeps another of each of its labels."""
    kept = sets[chosen == 0].sum(axis=0)
    spare = wanted & (chosen == 0) & ~((sets > 0) & (kept < 2)).any(axis=1)
    if spare.any():
        chosen[int(spare.argmax())] = 1
