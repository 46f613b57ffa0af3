"""Estimates of what networks cost, from what can be counted of them and a few measurements: for --dry-run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.models.flops import INT8_CHANNEL_BYTES, Cost
from keras_resnet.network_search.candidates import Architecture

# What each quantity grows with: time with work and layers; the size of a file, beyond its weights, with layers.
FEATURES: dict[str, tuple[str, ...]] = {
    "latency": ("multiply_adds", "kernels"),
    "size": ("kernels",),
    "memory": ("kernel_values", "largest_layer"),
    "arena": ("largest_layer", "kernels"),
    "macs": ("multiply_adds",),
}
# Networks that are measured for the estimates.
PROBES = 3


@dataclass(frozen=True)
class Estimator:
    """Weights, none below 0, of a constant and of each of `FEATURES`, by quantity: least squares of relative errors.

    weight_bytes: that a weight takes in the file.
    """

    weights: Mapping[str, np.ndarray]
    weight_bytes: int = 1

    @classmethod
    def fit(cls, measured: Sequence[tuple[Cost, Mapping[str, float]]], weight_bytes: int = 1) -> Estimator:
        """Fit to networks with what was counted and measured of each."""
        from scipy.optimize import nnls

        weights = {}
        for name in FEATURES:
            known = [
                (_features(name, cost), costs[name], _count(name, cost, weight_bytes))
                for cost, costs in measured
                if costs.get(name)
            ]
            if known:
                rows, values, counted = (np.array(part) for part in zip(*known, strict=True))
                scales = rows.max(axis=0)
                solution, _ = nnls(rows / scales / values[:, None], 1 - counted / values)
                weights[name] = solution / scales
        return cls(weights, weight_bytes)

    def estimate(self, cost: Cost) -> dict[str, float]:
        """Return the estimated costs of a network."""
        estimated = {
            name: _count(name, cost, self.weight_bytes) + float(_features(name, cost) @ weights)
            for name, weights in self.weights.items()
        }
        return estimated | {"macs": float(cost.multiply_adds)}


def choose_probes(counted: Mapping[Architecture, Cost], count: int = PROBES) -> list[Architecture]:
    """Return `count` of the networks, or fewer: the smallest, the largest and some between, evenly by the logarithm of
    their multiply-adds."""
    architectures = list(counted)
    logs = np.log([max(1, counted[each].multiply_adds) for each in architectures])
    wanted = np.linspace(logs.min(), logs.max(), count)
    return list(dict.fromkeys(architectures[int(np.abs(logs - each).argmin())] for each in wanted))


def _count(name: str, cost: Cost, weight_bytes: int) -> float:
    """Return the part of a quantity that needs no estimate: of a file's size its weights and what channels have."""
    per_channel = INT8_CHANNEL_BYTES if weight_bytes == 1 else weight_bytes  # a bias alone
    return float(weight_bytes * cost.kernel_values + per_channel * cost.channels) if name == "size" else 0.0


def _features(name: str, cost: Cost) -> np.ndarray:
    return np.array([1.0, *(float(getattr(cost, feature)) for feature in FEATURES[name])])
