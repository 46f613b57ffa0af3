"""From logits to names, on any device. Imports nothing but NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def likeliest(logits: np.ndarray, labels: Sequence[str], top: int) -> list[list[dict[str, Any]]]:
    """Per sample, the `top` likeliest labels, best first: logits (N, classes) →
    [[{"label": str, "probability": float}, …], …]."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares = exponents / exponents.sum(axis=-1, keepdims=True)
    order = np.argsort(-logits, axis=-1, kind="stable")[:, :top]
    return [
        [{"label": labels[c], "probability": float(share[c])} for c in best]
        for share, best in zip(shares, order, strict=True)
    ]
