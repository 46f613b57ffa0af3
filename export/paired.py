"""Compare two models by their evaluations on the same images: paired intervals, and McNemar's exact test."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from keras_resnet.metrics.confidence_interval import mcnemar_p_value
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import format_interval
from keras_resnet.metrics.result import Evaluation
from keras_resnet.reporting import html_tables
from keras_resnet.reporting.compare import DescribedPair
from keras_resnet.runtime.plurals import counted
from keras_resnet.tasks import Task

# McNemar's test calls two models different below this, as intervals of 95% do.
LEVEL = 0.05


@dataclass(frozen=True)
class MetricDifference:
    """One metric, 0–1, of two models: the second's value minus the first's, with its 95% interval."""

    first: float
    second: float
    difference: float
    interval: tuple[float, float]


@dataclass(frozen=True, repr=False)
class PairedComparison:
    """Two models on the same validation images.

    first, second: their names. metric: the main one. samples: how many images. differences: of each metric by name,
    the main one first. agreement: the share of images, or of objects, on which both predict the same. only_first,
    only_second: how many images only one of them gets right, and p_value: of McNemar's exact test; None where
    predictions are neither right nor wrong, as of detectors.
    """

    first: str
    second: str
    metric: str
    samples: int
    differences: dict[str, MetricDifference] = field(repr=False)
    agreement: float
    only_first: int | None
    only_second: int | None
    p_value: float | None

    @property
    def difference(self) -> float:
        """The second model's main metric minus the first's, as a fraction: 0.01 is one point."""
        return self.differences[self.metric].difference

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of `difference`."""
        return self.differences[self.metric].interval

    @property
    def is_different(self) -> bool:
        """Whether a difference is shown: the interval is on one side of 0, and McNemar's test, where there is one, is
        significant at 5%."""
        low, high = self.interval
        return (low > 0 or high < 0) and (self.p_value is None or self.p_value < LEVEL)

    @property
    def conclusion(self) -> str:
        """What the comparison shows, in a sentence."""
        low, high = (100 * end for end in self.interval)
        points, label = 100 * self.difference, metric_label(self.metric)
        if self.is_different:
            better, worse = (self.second, self.first) if points > 0 else (self.first, self.second)
            ends = (low, high) if points > 0 else (-high, -low)
            return (
                f"{better} is better than {worse} by {counted(abs(points), 'point', '.2f')} of {label}"
                f" (95% interval {ends[0]:.2f} to {ends[1]:.2f})"
            )
        shown = f"no difference shown between {self.first} and {self.second}:"
        if not points:
            return f"{shown} both have the same {label} (95% interval of the difference {low:.2f} to {high:.2f})"
        higher = "higher" if points > 0 else "lower"
        return (
            f"{shown} {self.second} is {counted(abs(points), 'point', '.2f')} {higher} in {label} (95% interval"
            f" {low:.2f} to {high:.2f}){self._describe_doubt()}"
        )

    def _describe_doubt(self) -> str:
        """Say why no difference is shown although the interval is on one side of 0; "" where it is not."""
        low, high = self.interval
        if self.p_value is None or low <= 0 <= high:
            return ""
        return f", but McNemar's exact test does not confirm it (p = {self.p_value:.2g})"

    @property
    def remark(self) -> str:
        """What is known beside the differences, in a sentence."""
        words = f"{self.agreement:.2%} of the predictions are the same"
        if self.p_value is None:
            return words
        return (
            f"{words}; only {self.first} is right on {counted(self.only_first or 0, 'image', ',')}, only {self.second}"
            f" on {self.only_second:,}: McNemar's exact test gives p = {self.p_value:.2g}"
        )

    @property
    def title(self) -> str:
        """What the table of differences shows."""
        return f"{self.second} against {self.first}, on the same {counted(self.samples, 'validation image', ',')}"

    @property
    def columns(self) -> list[str]:
        """The columns of `rows`."""
        return ["metric", self.first, self.second, "difference, points", "95% CI"]

    @property
    def rows(self) -> list[list[str]]:
        """A row for each metric, in words."""
        return [
            [
                metric_label(name),
                f"{each.first:.2%}",
                f"{each.second:.2%}",
                f"{100 * each.difference:+.2f}",
                format_interval(each.interval),
            ]
            for name, each in self.differences.items()
        ]

    def describe(self) -> DescribedPair:
        """Return what a page shows: the conclusion is a sentence, which may begin with a model's name as it is."""
        is_name = self.conclusion.startswith((self.first, self.second))
        conclusion = self.conclusion if is_name else f"{self.conclusion[0].upper()}{self.conclusion[1:]}"
        return DescribedPair(self.title, self.columns, self.rows, f"{self.remark}.", f"{conclusion}.")

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object: all fields, and the `conclusion`."""
        return {**asdict(self), "conclusion": self.conclusion}

    def __str__(self) -> str:
        return f"{self.conclusion}\n{self.remark}"

    def __repr__(self) -> str:
        return f"<PairedComparison {self.conclusion}>"

    def _repr_html_(self) -> str:
        return html_tables.table(self.columns, self.rows) + html_tables.items([self.conclusion, self.remark])


def compare_evaluations(task: Task, first: tuple[str, Evaluation], second: tuple[str, Evaluation]) -> PairedComparison:
    """Compare two (name, evaluation) of a `task`, on the same samples in the same order."""
    (first_name, before), (second_name, after) = first, second
    correct = None
    if before.metrics.correct is not None and after.metrics.correct is not None:
        correct = before.metrics.correct, after.metrics.correct
    return PairedComparison(
        first=first_name,
        second=second_name,
        metric=before.metric,
        samples=before.samples,
        differences={name: _compare_metric(task, name, before, after) for name in _list_metrics(before)},
        agreement=float(task.agreement(before.predictions, after.predictions)),
        only_first=int((correct[0] & ~correct[1]).sum()) if correct else None,
        only_second=int((~correct[0] & correct[1]).sum()) if correct else None,
        p_value=mcnemar_p_value(*correct) if correct else None,
    )


def _list_metrics(evaluation: Evaluation) -> list[str]:
    """List the metrics that a verdict shows with intervals: those that decide, and further ones that have them."""
    metrics = evaluation.metrics
    return [*metrics.values, *(name for name in metrics.details if name in metrics.intervals)]


def _compare_metric(task: Task, name: str, before: Evaluation, after: Evaluation) -> MetricDifference:
    first, second = ({**each.metrics.values, **each.metrics.details}[name] for each in (before, after))
    low, high = task.drop_confidence_interval(name, before, after)
    return MetricDifference(first, second, second - first, (-high, -low))
