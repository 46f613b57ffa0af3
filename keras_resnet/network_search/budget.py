"""Budgets: what a file may cost where it runs, as "latency<=20ms,size<=2MB" says it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keras_resnet.errors import UsageError, did_you_mean

_BYTES = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}


@dataclass(frozen=True)
class Quantity:
    """Something that a budget limits. units: by their names, in those that costs are kept in. allowed: units that a
    message names. digits: of the value in `shown_unit`, for people."""

    name: str
    help: str
    units: Mapping[str, float]
    allowed: tuple[str, ...]
    shown_unit: str
    digits: int

    def format(self, value: float) -> str:
        """Return `value` with its unit."""
        return f"{value / self.units[self.shown_unit]:.{self.digits}f} {self.shown_unit}"


# In the order in which tables show them. Costs are kept in milliseconds, bytes and numbers.
QUANTITIES = {
    each.name: each
    for each in (
        Quantity("latency", "median of one image", {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}, ("ms", "s"), "ms", 3),
        Quantity("size", "of the file", _BYTES, ("kB", "MB"), "kB", 1),
        Quantity("memory", "resident, at its highest", _BYTES, ("kB", "MB"), "MB", 1),
        Quantity("arena", "RAM of TensorFlow Lite Micro", _BYTES, ("kB", "MB"), "kB", 1),
        Quantity("macs", "multiply-adds of one image", {"k": 1e3, "M": 1e6, "G": 1e9}, ("k", "M", "G"), "M", 2),
    )
}
# What a file has wherever it runs.
ANYWHERE = {"size", "macs"}
# By the name of a quantity: what is known of a file.
Costs = Mapping[str, float]
_LIMIT = re.compile(r"\s*(?P<name>[A-Za-z_]+)\s*(?P<sign><=|≤)\s*(?P<number>[^\s]*?)\s*(?P<unit>[A-Za-zµ%]*)\s*")
EXAMPLE = "latency<=20ms,size<=2MB"


@dataclass(frozen=True)
class Limit:
    """The most that a file may have of one quantity, in the unit of its costs."""

    quantity: Quantity
    most: float
    text: str

    def excess(self, costs: Costs) -> float | None:
        """Return by what share of the limit the `costs` are above it, negative below; None where they do not say."""
        value = costs.get(self.quantity.name)
        return None if value is None else value / self.most - 1


@dataclass(frozen=True)
class Budget:
    """Limits, all of which a file has to keep."""

    limits: tuple[Limit, ...]

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Return the budget that `text` describes. Raises UsageError, in one sentence, for anything else."""
        limits = [_parse_limit(part, text) for part in text.split(",")]
        names = [limit.quantity.name for limit in limits]
        if twice := [name for name in names if names.count(name) > 1]:
            raise UsageError(f"--budget limits {twice[0]} twice. Received: {text!r}")
        return cls(tuple(limits))

    def describe(self, where: str) -> str:
        """Return the budget in words, with `where` files are measured unless all that is limited is the same
        everywhere."""
        is_anywhere = set(self.names) <= ANYWHERE
        return str(self) if is_anywhere else f"{self} on {where}"

    @property
    def names(self) -> tuple[str, ...]:
        """The quantities that are limited."""
        return tuple(limit.quantity.name for limit in self.limits)

    def __str__(self) -> str:
        return ",".join(limit.text for limit in self.limits)

    def find_violations(self, costs: Costs) -> list[str]:
        """Return what of `costs` is above its limit, in words: ["latency 25.100 ms"]; what is not known is not."""
        above = (limit for limit in self.limits if (limit.excess(costs) or 0) > 0)
        return [f"{each.quantity.name} {each.quantity.format(costs[each.quantity.name])}" for each in above]

    def excess(self, costs: Costs) -> float:
        """Return by what share the limit that is kept least is exceeded; negative where all are kept."""
        return max((each for limit in self.limits if (each := limit.excess(costs)) is not None), default=-1.0)


def format_costs(costs: Costs, names: Iterable[str] = QUANTITIES) -> str:
    """Return the costs called `names` in words, as far as they are known: "latency 3.100 ms, size 80.2 kB"."""
    return ", ".join(f"{name} {QUANTITIES[name].format(costs[name])}" for name in names if name in costs)


def _parse_limit(part: str, text: str) -> Limit:
    """Return the limit that `part` of the budget `text` describes. Raises UsageError."""
    match = _LIMIT.fullmatch(part)
    if match is None:
        raise UsageError(
            f"--budget must be limits such as '{EXAMPLE}': names, <= and numbers with units, with commas between."
            f" Received: {text!r}"
        )
    name = match["name"]
    if name not in QUANTITIES:
        near = did_you_mean(name, QUANTITIES)
        raise UsageError(f"--budget limits {', '.join(QUANTITIES)}. Received: {name!r}{near and '.'}{near}")
    quantity = QUANTITIES[name]
    return Limit(quantity, _parse_amount(quantity, match["number"], match["unit"]), part.strip())


def _parse_amount(quantity: Quantity, number: str, unit: str) -> float:
    """Return a number with its unit in the unit of costs. Raises UsageError."""
    name, example = quantity.name, f"{quantity.name}<=20{quantity.allowed[0]}"
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        received = f"{number}{unit}"
        raise UsageError(
            f"--budget: {name} takes a number above 0 with a unit, as in {example}. Received: {received!r}"
        )
    if unit not in quantity.units:
        units = ", ".join(quantity.units)
        raise UsageError(f"--budget: {name} needs a unit, one of {units}, as in {example}. Received: '{number}{unit}'")
    return value * quantity.units[unit]
