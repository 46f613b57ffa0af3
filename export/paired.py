"""Compare two models, of runs or in exported files, on the same validation images: `kresnet compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.analysis import describe_data_changes
from keras_resnet.evaluation.evaluate import evaluate, evaluation_batches, keras_predictor, load_model, load_task
from keras_resnet.export.evaluate import Predict, RunLookup
from keras_resnet.export.load import file_size, is_exported_file, load_file
from keras_resnet.export.pipeline import load_run_data
from keras_resnet.export.verify import draw_samples
from keras_resnet.metrics.confidence_interval import mcnemar_p_value
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import format_interval, format_value
from keras_resnet.metrics.result import Evaluation
from keras_resnet.progress import Log
from keras_resnet.reporting import html_tables
from keras_resnet.reporting.compare import describe_difference
from keras_resnet.run import Run
from keras_resnet.run.data_fingerprint import fingerprint_split
from keras_resnet.runtime.plurals import counted
from keras_resnet.tasks import Task

# McNemar's test calls two models different below this, as intervals of 95% do.
LEVEL = 0.05
COLUMNS = ["metric", "first", "second", "difference, points", "95%"]


@dataclass(frozen=True)
class ComparedModel:
    """A model to compare: the Keras model of `run`, or an exported `file` of it. name: as it was asked for."""

    name: str
    run: Run
    file: Path | None = None

    @classmethod
    def find(cls, target: str, lookup: RunLookup) -> ComparedModel:
        """Find the run or the exported file that `target` names. Raises RunError, ExportError or UsageError."""
        if is_exported_file(target):
            file = Path(target)
            found = cls(target, lookup.find(file, lookup.load(file)), file)
        else:
            found = cls(target, Run.find(lookup.home, target))
        found.run.require_finished()
        return found

    @property
    def place(self) -> Path:
        """Where it stands, by which it is told from others."""
        return (self.file or self.run.folder).resolve()

    def load(self) -> Predict:
        """Load it as a callable on uint8 images. Raises ExportError or RunError if it cannot be read."""
        return load_file(self.file) if self.file else keras_predictor(load_model(self.run))

    def describe_row(self, evaluation: Evaluation | None) -> dict[str, str | None]:
        """Return the row of an exported file beside others, in words, as `reporting.compare.comparison_rows` has those
        of runs. evaluation: on the validation images, where it was made."""
        assert self.file is not None
        return {
            "run": self.name,
            "exported from": self.run.name,
            "network": self.run.network_summary,
            "size": f"{file_size(self.file) / 1e6:.2f} MB",
            "metric": metric_label(evaluation.metric) if evaluation else None,
            "value": _format_value(evaluation) if evaluation else None,
        }


def _format_value(evaluation: Evaluation) -> str:
    interval = evaluation.metrics.intervals.get(evaluation.metric)
    return f"{format_value(evaluation.value, interval)} of {counted(evaluation.samples, 'image', ',')}"


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
        shown = f"no difference shown between {self.first} and {self.second}: {self.second} has"
        if not points:
            return f"{shown} the same {label} (95% interval of the difference {low:.2f} to {high:.2f})"
        more = "more" if points > 0 else "less"
        return (
            f"{shown} {counted(abs(points), 'point', '.2f')} {more} of {label} (95% interval {low:.2f} to"
            f" {high:.2f}){self._describe_doubt()}"
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
    def rows(self) -> list[list[str]]:
        """A row for each metric, in words, under `COLUMNS`."""
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

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object: all fields, and the `conclusion`."""
        return {**asdict(self), "conclusion": self.conclusion}

    def __str__(self) -> str:
        return f"{self.conclusion}\n{self.remark}"

    def __repr__(self) -> str:
        return f"<PairedComparison {self.conclusion}>"

    def _repr_html_(self) -> str:
        columns = [COLUMNS[0], self.first, self.second, *COLUMNS[3:]]
        return html_tables.table(columns, self.rows) + html_tables.items([self.conclusion, self.remark])


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


@dataclass(frozen=True)
class ModelComparison:
    """Models on the same images. pairs: the first one with each of the others. evaluations: by the place of each."""

    pairs: list[PairedComparison]
    evaluations: dict[Path, Evaluation] = field(default_factory=dict)


def compare_models(models: Sequence[ComparedModel], log: Log, samples: int | None = None) -> ModelComparison:
    """Evaluate `models` on the validation images as they are now and compare the first one with each of the others.

    samples: how many images, drawn by a fixed seed; None for all. Raises UsageError where they are the same or have
    different validation images, labels or tasks, RunError or DataError where models or data cannot be read.
    """
    require_comparable(models)
    models = _name_briefly(models)
    data = _load_same_data(models, log)
    evaluations: dict[Path, Evaluation] = {}
    for model in models:
        if model.place not in evaluations:
            splits = data[model.run.folder.resolve()]
            batches, task = evaluation_batches(draw_samples(splits, samples)), load_task(model.run, splits.classes)
            evaluations[model.place] = evaluate(model.load(), batches, task, f"evaluating {model.name}")
    first, *others = models
    task = load_task(first.run, data[first.run.folder.resolve()].classes)
    pairs = [
        compare_evaluations(task, *((each.name, evaluations[each.place]) for each in (first, other)))
        for other in others
        if other.place != first.place
    ]
    return ModelComparison(pairs, evaluations)


def _name_briefly(models: Sequence[ComparedModel]) -> list[ComparedModel]:
    """Return `models`, of which runs that were named by their folders are called by their names, unless two have the
    same."""
    brief = [each if each.file else replace(each, name=each.run.name) for each in models]
    is_clear = len({each.name for each in brief}) == len({each.place for each in models})
    return brief if is_clear else list(models)


def require_comparable(models: Sequence[ComparedModel]) -> None:
    """Raise UsageError unless `models` are different ones, of one task, with one set of labels, whose runs had the same
    validation images."""
    first = models[0]
    if all(each.place == first.place for each in models):
        raise UsageError(f"{first.name} is named twice: there is nothing to compare")
    runs = {each.run.folder.resolve(): each.run for each in models}
    if difference := describe_difference(list(runs.values())):
        raise UsageError(difference)
    for other in runs.values():
        if other.spec().task != first.run.spec().task or other.classes() != first.run.classes():
            raise UsageError(f"not comparable: {other.name} has other labels or another task than {first.run.name}")


def _load_same_data(models: Sequence[ComparedModel], log: Log) -> dict[Path, DatasetSplits]:
    """Load the data of the models' runs, by the runs' folders. Raises UsageError where the validation images are now
    different ones."""
    data: dict[Path, DatasetSplits] = {}
    for run in {each.run.folder.resolve(): each.run for each in models}.values():
        data[run.folder.resolve()] = load_run_data(run, _log_nothing)
        if changed := describe_data_changes(run, data[run.folder.resolve()]):
            log(changed)
    first, *others = (
        (fingerprint_split(each.splits["validation"], each.classes), each.input_shape) for each in data.values()
    )
    for other in others:
        # Files tell images apart whatever their size; pixels do where they were brought to the same.
        same_size = first[1] == other[1]
        compared = ["images", "ground_truth", "files", *["pixels"] * same_size]
        if any(name in first[0] and name in other[0] and first[0][name] != other[0][name] for name in compared):  # type: ignore[literal-required]
            raise UsageError("not comparable: the runs have different validation images now")
    return data


def _log_nothing(message: str) -> None:
    """Log nothing: what a run chose of its data was logged when it was trained."""
