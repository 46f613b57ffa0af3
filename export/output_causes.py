"""Notice outputs that are not what a file gives, but what often becomes of it: probabilities, or raw integers."""

from __future__ import annotations

import numpy as np

from keras_resnet.export.bundle_manifest import Tensor

# Probabilities of a row add up to 1 within this, also where they were stored as float16 or in 8 bits.
SUM_TOLERANCE = 0.02
# Outputs of other kernels, after a sigmoid, are on average within this.
SIGMOID_TOLERANCE = 0.1
# What numbers of 8 bits can be, signed or not.
RAW_MIN, RAW_MAX = -128, 255


def find_usual_cause(given: np.ndarray, own: np.ndarray, tensor: Tensor) -> str:
    """Return what the outputs `given` (N, …) are, and what to do, where they are not what this machine gives of the
    first images, `own` (n, …), but what is often made of it; "" where they are neither. tensor: the file's output."""
    if _are_shares(given) and not _are_shares(own):
        return (
            f"probabilities, since each row adds up to 1, where the file gives {tensor['name']}: a softmax was applied"
            " that is not in the file; save its outputs as they are"
        )
    if _are_sigmoids(given, own):
        return (
            f"probabilities, numbers from 0 to 1, where the file gives {tensor['name']}: a sigmoid was applied that is"
            " not in the file; save its outputs as they are"
        )
    if _are_raw(given) and not _are_raw(own):
        low, high = int(given.min()), int(given.max())
        return f"whole numbers from {low} to {high}, as before dequantization: {describe_way(tensor)}"
    return ""


def describe_way(tensor: Tensor) -> str:
    """Return what to do with raw outputs, whole numbers."""
    if tensor["scale"] is None:
        return "dequantize them with the scale and the zero point of the file that gave them"
    return (
        f"save them as {tensor['dtype']}, or dequantize them, scale × (raw − zero point) with the scale"
        f" {tensor['scale']:.6g} and the zero point {tensor['zero_point']}"
    )


def _are_shares(rows: np.ndarray) -> bool:
    """Return whether each row is numbers from 0 to 1 that add up to 1."""
    if rows.ndim != 2 or rows.shape[1] < 2 or not _are_between_0_and_1(rows):
        return False
    return bool((np.abs(rows.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE).all())


def _are_sigmoids(given: np.ndarray, own: np.ndarray) -> bool:
    """Return whether `given` are about the sigmoids of `own`, which are not themselves from 0 to 1."""
    if not _are_between_0_and_1(given) or _are_between_0_and_1(own) or np.ptp(given) == 0:
        return False
    expected = 1 / (1 + np.exp(-np.clip(own.astype(np.float64), -60, 60)))
    return float(np.abs(given[: len(own)] - expected).mean()) <= SIGMOID_TOLERANCE


def _are_between_0_and_1(numbers: np.ndarray) -> bool:
    return bool(numbers.min() >= 0 and numbers.max() <= 1 + SUM_TOLERANCE)


def _are_raw(numbers: np.ndarray) -> bool:
    """Return whether all numbers are whole and within 8 bits, and not only 0 and 1."""
    is_whole = np.array_equal(numbers, np.round(numbers))
    return bool(is_whole and numbers.min() >= RAW_MIN and 1 < numbers.max() <= RAW_MAX)
