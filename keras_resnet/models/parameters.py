"""Count the parameters of a network that is built, as `flops` counts them from its definition."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Protocol

# Weights of layers that no gradient changes: the moving statistics of batch norms, and the ranges of 8-bit rounding.
STATISTICS = ("moving_mean", "moving_variance", "low", "high")


class Weight(Protocol):
    """What is counted of a weight: Keras' and tf_keras' variables have it."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> Iterable[int]: ...


def count_parameters(weights: Iterable[Weight]) -> int:
    """Return how many parameters `weights` have that training can change, as papers count them: those of frozen layers
    too, and no moving statistics. A name may be that of tf_keras, "stem_bn/gamma:0"."""
    return sum(prod(each.shape) for each in weights if _own_name(each) not in STATISTICS)


def _own_name(weight: Weight) -> str:
    return weight.name.rpartition("/")[2].partition(":")[0]
