"""Verification: a written file is run on the validation images and gets a verdict beside the Keras model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.compression.plan import find_uncompressed_run
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import RunError
from keras_resnet.evaluation.analysis import describe_data_changes
from keras_resnet.evaluation.baselines import BaselineComparison, compare_with_baselines
from keras_resnet.evaluation.evaluate import evaluate, evaluation_batches, keras_predictor, load_model, load_task
from keras_resnet.export.benchmark import NO_COST, Cost, count_threads, measure_cost
from keras_resnet.export.convert import CONVERTER
from keras_resnet.export.flatbuffer import Contents
from keras_resnet.export.formats import find_format
from keras_resnet.export.load import file_size, gzip_size, load_file, require_file, require_labels
from keras_resnet.export.micro_needs import MicroNeeds, measure_needs
from keras_resnet.export.verdict import Budget, MetricDrop, Verdict
from keras_resnet.machine.processor import describe_processor
from keras_resnet.metrics import confidence_interval, outcome
from keras_resnet.metrics.result import Evaluation
from keras_resnet.run import Run
from keras_resnet.run.reading import get_adapter
from keras_resnet.run.verified_files import hash_file
from keras_resnet.runtime.predictions import Outputs, name_outputs
from keras_resnet.runtime.tflite_model import TFLiteModel
from keras_resnet.tasks import Task

if TYPE_CHECKING:
    import keras

# A drop and its 95% interval, as fractions.
Drop = tuple[float, tuple[float, float]]
# Different images that are timed.
TIMING_IMAGES = 16
SEED = 0


@dataclass(frozen=True)
class Reference:
    """What every file of a model is compared with.

    batches: makes pairs of uint8 images (B, H, W, C) and their ground truth, the same each time it is called.
    evaluation: of the model, or of the one that it was compressed from. own_evaluation: of the model itself.
    baselines: how `evaluation` stands to what needs no network. available: validation images, of which samples may have
    been drawn. data_changed: see `Verdict`.
    """

    task: Task
    batches: Callable[[], Iterable[tuple[Any, Any]]]
    timing_images: np.ndarray
    evaluation: Evaluation
    own_evaluation: Evaluation
    baselines: tuple[BaselineComparison, ...]
    available: int
    data_changed: str = ""

    @classmethod
    def from_run(
        cls, run: Run, data: DatasetSplits, samples: int | None = None, model: keras.Model | None = None
    ) -> Reference:
        """Evaluate a run's models on all validation images, or on `samples` of them, drawn by a fixed seed. model: the
        run's own, where it is loaded."""
        changed, available = describe_data_changes(run, data), data.splits["validation"].count
        data = draw_samples(data, samples)
        task, origin = load_task(run, data.classes), find_uncompressed_run(run)
        own = evaluate(keras_predictor(model or load_model(run)), evaluation_batches(data), task)
        if origin == run:
            before, baselines = own, None if changed or own.samples < available else _recall_baselines(run, own)
        else:
            before, baselines = _evaluate_run(origin, data), None
        reference = cls._compare(task, data, before, baselines)
        return replace(reference, own_evaluation=own, available=available, data_changed=changed)

    @classmethod
    def from_model(cls, task: Task, data: DatasetSplits, model: Any) -> Reference:
        """Evaluate a Keras `model` on all validation images."""
        return cls._compare(task, data, evaluate(keras_predictor(model), evaluation_batches(data), task))

    @classmethod
    def _compare(
        cls,
        task: Task,
        data: DatasetSplits,
        evaluation: Evaluation,
        baselines: tuple[BaselineComparison, ...] | None = None,
    ) -> Reference:
        """Return the reference of a model by its `evaluation`. baselines: where they are known."""
        if baselines is None:
            baselines = compare_with_baselines(task, data, evaluation)
        timing_images, available = spread_images(data, TIMING_IMAGES), data.splits["validation"].count
        batches = partial(evaluation_batches, data)
        return cls(task, batches, timing_images, evaluation, evaluation, baselines, available)


def _evaluate_run(run: Run, data: DatasetSplits) -> Evaluation:
    return evaluate(keras_predictor(load_model(run)), evaluation_batches(data), load_task(run, data.classes))


def _recall_baselines(run: Run, evaluation: Evaluation) -> tuple[BaselineComparison, ...] | None:
    """Return how the model of `run` compares with baselines by its analysis, if that is of the same images, whose
    `evaluation` gives the same metrics; else None: trees have to be trained again."""
    try:
        analysis = run.analysis()
    except RunError:
        return None
    metrics = {**evaluation.metrics.values, **evaluation.metrics.details}
    rows = analysis.get("baselines")
    if not rows or not run.document().get("data") or analysis.get("metrics") != metrics:
        return None
    return get_adapter(tuple[BaselineComparison, ...]).validate_python(rows)


def draw_samples(data: DatasetSplits, samples: int | None) -> DatasetSplits:
    """Return `data` with `samples` of their validation images, drawn by a fixed seed; with all where it is None."""
    validation = data.splits["validation"]
    if samples is None or samples >= validation.count:
        return data
    rows = np.sort(np.random.default_rng(SEED).permutation(validation.count)[:samples])
    return replace(data, splits={**data.splits, "validation": validation.subset(rows)})


def iterate_images(data: DatasetSplits, samples: int | None) -> Iterator[np.ndarray]:
    """Yield the validation images that files are verified on, in batches, uint8 (B, H, W, C)."""
    return (np.asarray(images) for images, _ in evaluation_batches(draw_samples(data, samples)))


def spread_images(data: DatasetSplits, count: int) -> np.ndarray:
    """Return `count` validation images, or all if fewer, evenly spread: the first ones of a folder are of one class."""
    validation = data.splits["validation"]
    rows = np.linspace(0, validation.count - 1, min(count, validation.count)).astype(int)
    spread = replace(data, splits={**data.splits, "validation": validation.subset(rows)})
    return np.concatenate([np.asarray(images) for images, _ in evaluation_batches(spread)])


@dataclass(frozen=True)
class Comparison:
    """A file's evaluation beside that of its model. reference: the model's. after: the file's."""

    reference: Reference
    after: Evaluation
    budget: Budget

    @property
    def before(self) -> Evaluation:
        """The model's evaluation."""
        return self.reference.evaluation

    @cached_property
    def drops(self) -> dict[str, Drop]:
        """What each metric that decides lost, with its 95% interval."""
        return {metric: self._drop(metric) for metric in self.before.metrics.values}

    @cached_property
    def further_drops(self) -> dict[str, Drop]:
        """What metrics lost that are shown beside those, with their 95% intervals."""
        metrics = self.before.metrics
        return {name: self._drop(name) for name in metrics.details if name in metrics.intervals}

    def _drop(self, metric: str) -> Drop:
        before, after = ({**each.metrics.values, **each.metrics.details} for each in (self.before, self.after))
        interval = self.reference.task.drop_confidence_interval(metric, self.before, self.after)
        return before[metric] - after[metric], interval

    @property
    def deciding_metric(self) -> str:
        """The metric whose drop decides."""
        return outcome.choose_deciding_metric(self.drops, self.budget.max_drop)

    @property
    def verdict(self) -> str:
        """The outcome."""
        return outcome.decide_outcome(self.drops, self.budget.max_drop, self.budget.require_proof)

    def agreement(self, evaluation: Evaluation) -> float:
        """Return the fraction of predictions that are the same in the file's and in another `evaluation`."""
        return float(self.reference.task.agreement(self.after.predictions, evaluation.predictions))

    def relative_difference(self, evaluation: Evaluation) -> float | None:
        """Return how far the file's raw outputs are from those in another `evaluation` of it: the root mean square of
        the differences over that of the other's outputs, of the output where this is largest. None of a file that
        outputs objects, whose order may be another one."""
        other, own = name_outputs(evaluation.outputs), name_outputs(self.after.outputs)
        if set(own) != set(name_outputs(self.before.outputs)):
            return None
        return max(
            float(np.linalg.norm(own[name] - each) / max(np.linalg.norm(each), np.finfo(np.float32).tiny))
            for name, each in other.items()
        )

    def worst_class(self) -> tuple[str, float]:
        """Return the label whose accuracy fell most, and its drop."""
        file_values = self.after.metrics.by_class
        drop, label = max((value - file_values[name], name) for name, value in self.before.metrics.by_class.items())
        return label, drop

    def output_differences(self) -> tuple[float, float] | tuple[None, None]:
        """Return the largest and the mean absolute difference of outputs; None where the file has others."""
        before, after = self.before.outputs, self.after.outputs
        if isinstance(before, dict) and set(before) != set(after):
            return None, None
        differences = np.abs(_flatten(after) - _flatten(before))
        return float(differences.max()), float(differences.mean())

    def images_to_settle(self) -> int | None:
        """Return how many images would bring the upper ends of all intervals within the budget; None where none would,
        or where they are."""
        max_drop = self.budget.max_drop
        if self.verdict == outcome.PASSED:
            return None
        before, after = self.before.metrics.correct, self.after.metrics.correct
        if before is not None and after is not None:
            return confidence_interval.samples_to_prove_proportion(before, after, max_drop)
        needed = [
            confidence_interval.samples_to_prove_score(drop, high, self.before.samples, max_drop)
            for drop, (_, high) in self.drops.values()
        ]
        known = [each for each in needed if each is not None]
        return max(known) if len(known) == len(needed) else None


def verify(file: Path, reference: Reference, budget: Budget, *, is_integer: bool = False) -> Verdict:
    """Run `file` on this CPU and compare it with `reference`.

    Raises ExportError if it cannot be run, has other labels, holds operators that are no builtins, or floats though it
    `is_integer`.
    """
    require_file(file)
    sha256 = hash_file(file)  # first: a file that is replaced meanwhile is not the one of this verdict
    model = load_file(file)
    require_labels(file, model, reference.task.classes, "the model")
    scheme = str(model.card.provenance["scheme"])
    contents = find_format(file).check(model, scheme, is_integer=is_integer)
    with ThreadPoolExecutor(1) as meanwhile:
        micro = None
        if isinstance(model, TFLiteModel):
            micro = meanwhile.submit(measure_needs, model.content, contents, model.batch)
        after = evaluate(model, reference.batches(), reference.task, f"verifying {scheme}")
    simulator = find_format(file).describe_simulator(model)
    CONVERTER.wait_until_idle()  # which converts the next file meanwhile
    cost = NO_COST if simulator else measure_cost(file, reference.timing_images, count_threads())
    machine = f"{simulator}, on {describe_processor()}" if simulator else describe_processor()
    needs = micro.result() if micro else None
    measured = MeasuredFile(file, sha256, model.card.provenance, contents, cost, machine, needs, simulator)
    return measured.decide(Comparison(reference, after, budget))


@dataclass(frozen=True)
class MeasuredFile:
    """A file with all that is known of it besides what it predicts."""

    file: Path
    sha256: str
    provenance: dict[str, Any]
    contents: Contents | None
    cost: Cost
    machine: str
    micro: MicroNeeds | None = None
    simulator: str = ""

    def decide(self, comparison: Comparison) -> Verdict:
        """Return the verdict."""
        reference, after, contents = comparison.reference, comparison.after, self.contents
        metric = comparison.deciding_metric
        drop, drop_interval = comparison.drops[metric]
        worst_class, worst_class_drop = comparison.worst_class()
        largest_difference, mean_difference = comparison.output_differences()
        return Verdict(
            file=self.file.name,
            scheme=str(self.provenance["scheme"]),
            bytes=file_size(self.file),
            gzip_bytes=gzip_size(self.file),
            metric=after.metric,
            value=after.value,
            model_value=reference.evaluation.value,
            details={**after.metrics.values, **after.metrics.details},
            samples=after.samples,
            drop_metric=metric,
            drop=drop,
            drop_interval=drop_interval,
            drops={name: MetricDrop(*each) for name, each in comparison.drops.items()},
            further_drops={name: MetricDrop(*each) for name, each in comparison.further_drops.items()},
            agreement=comparison.agreement(reference.evaluation),
            own_agreement=comparison.agreement(reference.own_evaluation),
            worst_class=worst_class,
            worst_class_drop=worst_class_drop,
            largest_difference=largest_difference,
            mean_difference=mean_difference,
            operators=contents.operators if contents else None,
            dtypes=contents.dtypes if contents else None,
            cost=self.cost,
            machine=self.machine,
            baselines=reference.baselines,
            data_changed=reference.data_changed,
            max_drop=comparison.budget.max_drop,
            require_proof=comparison.budget.require_proof,
            images_to_settle=comparison.images_to_settle(),
            calibration_sha256=self.provenance.get("calibration_sha256"),
            micro=self.micro,
            simulator=self.simulator,
            verdict=comparison.verdict,
            sha256=self.sha256,
        )


def _flatten(outputs: Outputs) -> np.ndarray:
    """Return all numbers of one or several outputs, in the order of their names."""
    parts = [outputs[name] for name in sorted(outputs)] if isinstance(outputs, dict) else [outputs]
    return np.concatenate([np.ravel(part) for part in parts])
