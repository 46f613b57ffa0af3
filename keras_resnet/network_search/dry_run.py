"""`kresnet search --dry-run`: which networks are expected to be within a budget, without training any."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.data.readability import cache_home
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.machine.processor import describe_processor
from keras_resnet.models.flops import Cost
from keras_resnet.network_search.budget import Budget, format_costs
from keras_resnet.network_search.candidates import Architecture
from keras_resnet.network_search.cost import CostProbe
from keras_resnet.network_search.estimate import Estimator, choose_probes
from keras_resnet.network_search.prepare import prepare
from keras_resnet.network_search.settings import SearchSettings
from keras_resnet.network_search.target import Target
from keras_resnet.progress import Log
from keras_resnet.run.description import package_versions
from keras_resnet.run.folders import runs_home


@dataclass(frozen=True)
class Estimate:
    """What one network is expected to cost. is_measured: by its file, with random weights, rather than estimated."""

    architecture: Architecture
    counted: Cost
    costs: Mapping[str, float]
    is_measured: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            **self.architecture.options(),
            "parameters": self.counted.trainable,
            "costs": dict(self.costs),
            "is_measured": self.is_measured,
        }


@dataclass(frozen=True)
class DryRun:
    """within: what is expected to be within the budget, the networks with the most multiply-adds first. nearest: to the
    budget, of all. total: how many networks there are. measured: the costs of how many the estimates are made of."""

    budget: Budget
    where: str
    within: list[Estimate]
    nearest: Estimate
    total: int
    measured: int

    @property
    def failure(self) -> str:
        """What to say where nothing is expected to be within the budget."""
        costs = format_costs(self.nearest.costs, self.budget.names)
        return (
            f"no network is expected to be within {self.budget.describe(self.where)}; the nearest,"
            f" {self.nearest.architecture}, is estimated at {costs}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        within = [each.as_dict() for each in self.within]
        return {"budget": str(self.budget), "where": self.where, "networks": self.total, "within": within}


def estimate_space(settings: SearchSettings, on: DeviceSettings, log: Log) -> DryRun:
    """Return which networks of the space are expected to be within the budget. Raises as `run_search` does for settings
    and data. Measures a few networks, unless that was done for the same file on the same machine before."""
    settings.require_possible()
    budget = Budget.parse(settings.budget)
    target = Target.create(settings, on, budget)
    target.require_usable(log)
    prepared = prepare(settings, target, runs_home(settings.runs), log)
    probe = CostProbe(
        prepared.counted,
        prepared.spec,
        prepared.classes,
        target,
        budget,
        _cache_file(target, len(prepared.classes), budget),
        log,
    )
    for architecture in choose_probes(prepared.counted):
        if probe.try_to_measure(architecture) is None:
            log(f"{architecture}: {probe.failed[architecture]}")
    known = {each: costs for each, costs in probe.measured.items() if each in prepared.counted}
    estimator = Estimator.fit([(prepared.counted[each], costs) for each, costs in known.items()], target.weight_bytes)
    estimates = [
        Estimate(each, cost, known.get(each) or estimator.estimate(cost), each in known)
        for each, cost in prepared.counted.items()
    ]
    within = [each for each in estimates if not budget.find_violations(each.costs)]
    nearest = min(estimates, key=lambda each: budget.excess(each.costs))
    return DryRun(budget, target.where, within[::-1], nearest, len(estimates), len(known))


def _cache_file(target: Target, classes: int, budget: Budget) -> Path:
    """Return where measurements are kept, of the same machine, file and packages."""
    asked = sorted(name for name in budget.names if name in ("latency", "memory", "arena"))
    key = [target.place_settings, target.file.name, classes, describe_processor(), package_versions(), asked]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return (cache_home() or runs_home()) / "search" / f"costs-{digest}.json"
