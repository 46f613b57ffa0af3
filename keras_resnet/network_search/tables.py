"""The rows of tables about a search, for terminals and notebooks."""

from __future__ import annotations

from collections.abc import Sequence

from keras_resnet.network_search.budget import QUANTITIES, Costs
from keras_resnet.network_search.dry_run import Estimate
from keras_resnet.network_search.outcome import Outcome
from keras_resnet.network_search.result import SearchResult

COLUMNS = ["run", "network", "accuracy", "latency", "size", "memory", "budget", "verdict", "recipe"]
# Columns that a narrow terminal does without, the last one first.
SPARE = ["memory", "recipe"]


def list_rows(result: SearchResult) -> list[list[str]]:
    """Return a row of `COLUMNS` for each candidate of the Pareto front, the most accurate first; the recommended one is
    marked."""
    best = result.recommended
    return [_row(each, result, is_best=each is best or each == best) for each in result.front]


def _row(outcome: Outcome, result: SearchResult, is_best: bool) -> list[str]:
    violations = result.budget.find_violations(outcome.costs)
    budget = "recommended" if is_best else "within" if not violations else f"outside: {' and '.join(violations)}"
    return [
        outcome.run,
        str(outcome.candidate.architecture),
        f"{outcome.accuracy:.2%}",
        *(_format(outcome.costs, name) for name in ("latency", "size", "memory")),
        budget,
        outcome.verdict,
        str(outcome.candidate.recipe),
    ]


def list_estimates(estimates: Sequence[Estimate]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of what networks are expected to cost."""
    names = [name for name in QUANTITIES if any(name in each.costs for each in estimates)]
    rows = [
        [
            each.architecture.model,
            f"{each.architecture.width:g}",
            each.architecture.size_text,
            str(each.architecture.channels),
            f"{each.counted.trainable:,}",
            *(_format(each.costs, name) for name in names),
            "measured" if each.is_measured else "estimated",
        ]
        for each in estimates
    ]
    return ["network", "width", "image", "channels", "parameters", *names, "costs"], rows


def _format(costs: Costs, name: str) -> str:
    return QUANTITIES[name].format(costs[name]) if name in costs else "–"
