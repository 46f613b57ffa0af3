"""What a search has come to: all candidates, the Pareto front, and the one that is recommended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_resnet.errors import SearchError
from keras_resnet.network_search.budget import Budget, format_costs
from keras_resnet.network_search.candidates import Architecture
from keras_resnet.network_search.outcome import BROKEN, FINISHED, TRAINED, Outcome, find_front, find_nearest, recommend

FIGURE = "pareto"


@dataclass(frozen=True)
class SearchResult:
    """What a search has come to. folder: with its figure and the JSON of all trials. home: of the runs. left_out: what
    was not trained because it is not within the budget, and why. is_interrupted: whether the same command goes on."""

    folder: Path
    home: Path
    budget: Budget
    where: str
    outcomes: tuple[Outcome, ...] = ()
    left_out: dict[Architecture, str] = field(default_factory=dict)
    is_interrupted: bool = False
    seconds: float = 0.0

    @property
    def trained(self) -> list[Outcome]:
        """The candidates that were trained, to the end or not."""
        return [each for each in self.outcomes if each.state in TRAINED]

    @property
    def front(self) -> list[Outcome]:
        """The Pareto front of accuracy, latency and size, the most accurate first."""
        return find_front(self.outcomes)

    @property
    def recommended(self) -> Outcome | None:
        """The most accurate candidate within the budget whose file passed its verdict."""
        return recommend(self.outcomes, self.budget)

    @property
    def figure_file(self) -> Path:
        """Where the front is drawn, where any file was made."""
        return self.folder / f"{FIGURE}.png"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as a JSON object."""
        best = self.recommended
        return {
            "search": self.folder.name,
            "folder": str(self.folder),
            "budget": str(self.budget),
            "where": self.where,
            "recommended": best and best.run,
            "front": [each.run for each in self.front],
            "is_interrupted": self.is_interrupted,
            "trials": [each.as_dict(self.budget) for each in self.outcomes],
        }

    def require_recommended(self) -> Outcome:
        """Return the recommended candidate. Raises SearchError, naming the nearest, where there is none."""
        if best := self.recommended:
            return best
        raise SearchError(describe_failure(self.outcomes, self.budget))


def describe_failure(outcomes: tuple[Outcome, ...] | list[Outcome], budget: Budget) -> str:
    """Return that no candidate is within the budget, and what the nearest one costs."""
    nearest = find_nearest([each for each in outcomes if each.state == FINISHED], budget)
    if nearest is None:
        broken = next((f": {each.reason}" for each in outcomes if each.state == BROKEN), "")
        return f"no candidate has a file yet, within {budget} or not; more --trials or --hours may bring one{broken}"
    verdict = f", verdict {nearest.verdict}" if nearest.verdict else ""
    costs = format_costs(nearest.costs, budget.names)
    return f"no candidate is within {budget}; the nearest, {nearest.candidate.architecture}: {costs}{verdict}"
