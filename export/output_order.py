"""Notice outputs whose rows are in another order than the images."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from keras_resnet.runtime.predictions import Outputs, name_outputs

# Rows, and numbers of each, that are compared.
MAX_ROWS, MAX_CANDIDATES, MAX_NUMBERS = 64, 4096, 1024
# Outputs of other kernels differ by less than this share of their range.
TOLERANCE = 0.03
# Shares of rows.
MOST, FEW = 0.9, 0.5


def find_swapped_row(given: Outputs, own: Outputs) -> tuple[int, int] | None:
    """Return (a row of `given`, the image that it is of) where most rows equal those of other images in `own`, which
    this machine computed of the same images, and few equal their own; None where they are in order, or wrong."""
    ours, theirs = _flatten(own)[:MAX_ROWS], _flatten(given)[:MAX_CANDIDATES]
    within = TOLERANCE * float(np.ptp(ours, axis=0).max(initial=0.0))
    differences = np.stack([np.abs(theirs - row).max(axis=1) for row in ours])
    in_place = float((np.diagonal(differences) <= within).mean())
    if in_place >= FEW or within == 0:
        return None
    images, rows = linear_sum_assignment(differences)
    close = differences[images, rows] <= within
    if close.mean() < MOST:
        return None
    image, row = next((i, r) for i, r, is_close in zip(images, rows, close, strict=True) if is_close and i != r)
    return int(row), int(image)


def _flatten(outputs: Outputs) -> np.ndarray:
    """Return some numbers of each row (N, numbers)."""
    named = name_outputs(outputs)
    rows = np.concatenate([named[name].reshape(len(named[name]), -1) for name in sorted(named)], axis=1)
    return np.asarray(rows[:, :: -(-rows.shape[1] // MAX_NUMBERS)])
