"""What became of the candidates of a search, and which of them are worth having."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from keras_resnet.network_search.budget import Budget, format_costs
from keras_resnet.network_search.candidates import Candidate
from keras_resnet.runtime.plurals import counted

# States of a candidate: trained to the end, ended early for better ones, without a file, still in training, and not
# trained because it is not within the budget.
FINISHED, PRUNED, BROKEN, UNFINISHED, REJECTED = "finished", "ended early", "broke down", "unfinished", "rejected"
TRAINED = (FINISHED, PRUNED, BROKEN)


@dataclass(frozen=True)
class Outcome:
    """What became of one candidate.

    accuracy: of the written file on the validation images, 0–1; costs: of it, where it ran; verdict: on it, in words;
    passed: whether it kept within what a file may lose. All of a finished candidate alone. reason: why it was rejected
    or broke down. epochs: that it was trained for. seconds: that it took.
    """

    number: int
    candidate: Candidate
    state: str
    run: str = ""
    accuracy: float | None = None
    model_accuracy: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""
    passed: bool = False
    reason: str = ""
    epochs: int = 0
    seconds: float = 0.0

    def is_within(self, budget: Budget) -> bool:
        """Return whether its file was made, passed its verdict and is within `budget` as measured."""
        return self.state == FINISHED and self.passed and not budget.find_violations(self.costs)

    def as_dict(self, budget: Budget) -> dict[str, Any]:
        """Return it as a JSON object."""
        document = asdict(self)
        return {**document, "candidate": self.candidate.options(), "within_budget": self.is_within(budget)}

    def __str__(self) -> str:
        if self.state != FINISHED:
            why = f": {self.reason}" if self.reason else f" after {counted(self.epochs, 'epoch')}"
            return f"{self.candidate.architecture} {self.state}{why}"
        return f"{self.candidate.architecture}: {self.accuracy:.2%}, {format_costs(self.costs)}, {self.verdict}"


def find_front(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the finished candidates than which no other is as good in accuracy, latency and size and better in one of
    them (the Pareto front), the most accurate first."""
    finished = [each for each in outcomes if each.state == FINISHED]
    front = [each for each in finished if not any(_dominates(other, each) for other in finished)]
    # Of those that are alike the first one stands for all.
    distinct = {_values(each): each for each in reversed(front)}
    return sorted(distinct.values(), key=_values)


def _values(outcome: Outcome) -> tuple[float, float, float]:
    """Return what is to be small."""
    costs = outcome.costs
    return (-(outcome.accuracy or 0.0), costs.get("latency", 0.0), costs.get("size", 0.0))


def _dominates(one: Outcome, other: Outcome) -> bool:
    pairs = list(zip(_values(one), _values(other), strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def recommend(outcomes: Sequence[Outcome], budget: Budget) -> Outcome | None:
    """Return the most accurate candidate within `budget` whose file passed its verdict, of equal ones the fastest; None
    where there is none."""
    within = [each for each in outcomes if each.is_within(budget)]
    return min(within, key=_values, default=None)


def find_nearest(outcomes: Sequence[Outcome], budget: Budget) -> Outcome | None:
    """Return the candidate of known costs that is nearest to `budget`."""
    known = [each for each in outcomes if any(name in each.costs for name in budget.names)]
    return min(known, key=lambda each: budget.excess(each.costs), default=None)
