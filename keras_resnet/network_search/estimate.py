"""Estimates of what networks cost, from what can be counted of them and a few measurements: for --dry-run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.models.flops import Cost
from keras_resnet.network_search.candidates import Architecture

# What each quantity grows with: its file's size with its weights and layers, its time with its work and layers.
FEATURES: dict[str, tuple[str, ...]] = {
    "latency": ("multiply_adds", "kernels", "largest_layer"),
    "size": ("int8_bytes", "kernels"),
    "memory": ("int8_bytes", "largest_layer"),
    "arena": ("largest_layer", "kernels"),
    "macs": ("multiply_adds",),
}
# Networks that are measured for the estimates.
PROBES = 3


@dataclass(frozen=True)
class Estimator:
    """Weights, none below 0, of a constant and of each of `FEATURES`, by quantity: least squares of relative errors."""

    weights: Mapping[str, np.ndarray]

    @classmethod
    def fit(cls, measured: Sequence[tuple[Cost, Mapping[str, float]]]) -> Estimator:
        """Fit to networks with what was counted and measured of each."""
        from scipy.optimize import nnls

        weights = {}
        for name in FEATURES:
            known = [(_features(name, cost), costs[name]) for cost, costs in measured if costs.get(name)]
            if known:
                rows, values = (np.array(part) for part in zip(*known, strict=True))
                scales = rows.max(axis=0)
                solution, _ = nnls(rows / scales / values[:, None], np.ones(len(values)))
                weights[name] = solution / scales
        return cls(weights)

    def estimate(self, cost: Cost) -> dict[str, float]:
        """Return the estimated costs of a network."""
        estimated = {name: float(_features(name, cost) @ weights) for name, weights in self.weights.items()}
        return estimated | {"macs": float(cost.multiply_adds)}


def choose_probes(counted: Mapping[Architecture, Cost], count: int = PROBES) -> list[Architecture]:
    """Return `count` of the networks, or fewer: the smallest, the largest and some between, evenly by the logarithm of
    their multiply-adds."""
    architectures = list(counted)
    logs = np.log([max(1, counted[each].multiply_adds) for each in architectures])
    wanted = np.linspace(logs.min(), logs.max(), count)
    return list(dict.fromkeys(architectures[int(np.abs(logs - each).argmin())] for each in wanted))


def _features(name: str, cost: Cost) -> np.ndarray:
    return np.array([1.0, *(float(getattr(cost, feature)) for feature in FEATURES[name])])
