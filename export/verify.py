"""Verification: a written file is run on the validation images and gets a verdict beside the Keras model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.compression.plan import origin_of
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import ExportError
from keras_resnet.evaluation.analysis import changes_since
from keras_resnet.evaluation.baselines import Standing, standings_of
from keras_resnet.evaluation.evaluate import Evaluation, batches_of, evaluate, keras_predictor, load_model
from keras_resnet.export.benchmark import Cost
from keras_resnet.export.devices.base import Device
from keras_resnet.export.devices.local_cpu import LocalCPU
from keras_resnet.export.formats import find_format, recognize_format
from keras_resnet.export.load import file_size, gzip_size
from keras_resnet.metrics import confidence_interval, outcome
from keras_resnet.run import Run
from keras_resnet.runtime.predictions import Outputs
from keras_resnet.tasks import get_task

# A drop and its 95% interval, as shares.
Drop = tuple[float, tuple[float, float]]
# Different images that are timed.
TIMING_IMAGES = 20
SEED = 0


@dataclass(frozen=True)
class Budget:
    """max_drop: what a file may lose, as a share (0.01 is one point). require_proof: whether a file fails whose drop is
    not proven to be within that."""

    max_drop: float = 0.01
    require_proof: bool = False


@dataclass(frozen=True)
class MetricDrop:
    """The drop of one metric and its 95% interval, as shares."""

    drop: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Verdict:
    """What is known of one written file.

    scheme: of its quantization, with what departs from that scheme's defaults; else the format's name.
    bytes: on the device; gzip_bytes: as a download.
    value: the metric, 0–1, of so many samples; model_value: the float model's, of the same. details: other numbers
    beside it. drop: the float model's value of `drop_metric` minus the file's, with its 95% interval; that metric is
    the one that decides, and drops has each by name. agreement: share of images (or of objects) on which both predict
    the same; own_agreement: the same with the run's own model, where that is a compressed one.
    worst_class, worst_class_drop: the label whose accuracy fell most, and by how much.
    largest_difference, mean_difference: of outputs, absolute. operators, dtypes: how many of each, in a TFLite file.
    cost: time and memory. machine: where the file was run. baselines: how the float model stands to what needs no
    network. data_changed: what is other than when the model was trained, "" for nothing.
    max_drop, require_proof: see `Budget`. verdict: "PASSED" if the upper ends of the intervals are within max_drop;
    "NOT PROVEN" if only the drops themselves are, or "FAILED" under require_proof; "FAILED" if one is not.
    images_to_settle: of a file that is not proven, how many validation images would do, if predictions differ as often
    on them; None if none would.
    """

    file: str
    scheme: str
    bytes: int
    gzip_bytes: int
    metric: str
    value: float
    model_value: float
    details: dict[str, float]
    samples: int
    drop_metric: str
    drop: float
    drop_interval: tuple[float, float]
    drops: dict[str, MetricDrop]
    agreement: float
    own_agreement: float
    worst_class: str
    worst_class_drop: float
    largest_difference: float | None
    mean_difference: float | None
    operators: dict[str, int] | None
    dtypes: dict[str, int] | None
    cost: Cost
    machine: str
    baselines: tuple[Standing, ...]
    data_changed: str
    max_drop: float
    require_proof: bool
    images_to_settle: int | None
    calibration_sha256: str | None
    verdict: str

    def as_dict(self) -> dict[str, object]:
        """Return the verdict as a row of verdicts.json: all fields, and latency_ms."""
        return {**asdict(self), "latency_ms": self.latency_ms}

    def __str__(self) -> str:
        """In a line, drops in points; and a line for whatever has to be known beside it."""
        row = self.as_dict()
        summary = (
            f"{self.words}: {self.file}, {self.bytes / 1e6:.2f} MB, {self.metric} {self.value:.2%} of {self.samples}"
            f" images, drop {outcome.drop_in_words(row)} of at most {100 * self.max_drop:g},"
            f" agreement {self.agreement:.2%}, {self.latency_ms:.2f} ms"
        )
        return "\n".join([summary, *outcome.remarks_on(row), *outcome.shared_remarks_on(row)])

    @property
    def words(self) -> str:
        """The outcome for people: "PASSED", "PASSED, not proven", …"""
        return outcome.words_of(self.as_dict())

    @property
    def is_within(self) -> bool:
        """Whether the file is taken to be within its budget, proven or not."""
        return self.verdict in outcome.WITHIN

    @property
    def all_integer(self) -> bool:
        """Whether it is a TFLite file within its budget that holds no floating-point tensor."""
        floats = [name for name in self.dtypes or {"FLOAT": 1} if "FLOAT" in name]
        return is_tflite_file(self.file) and self.is_within and not floats

    @property
    def latency_ms(self) -> float:
        """The median of one image with all threads, in milliseconds."""
        return self.cost.latencies[-1].p50


def is_tflite_file(name: str) -> bool:
    """Return whether `name` is that of a .tflite file."""
    found = recognize_format(Path(name))
    return found is not None and found.name == "tflite"


@dataclass(frozen=True)
class Reference:
    """What every file of a model is compared with.

    batches: makes pairs of uint8 images (B, H, W, 3) and their ground truth, the same each time it is called.
    evaluation: of the model, or of the one that it was compressed from. own_evaluation: of the model itself.
    baselines: how `evaluation` stands to what needs no network. data_changed: see `Verdict`.
    """

    task: Any
    batches: Callable[[], Iterable[tuple[Any, Any]]]
    timing_images: np.ndarray
    evaluation: Evaluation
    own_evaluation: Evaluation
    baselines: tuple[Standing, ...]
    data_changed: str = ""

    @classmethod
    def from_run(cls, run: Run, data: DatasetSplits, samples: int | None = None) -> Reference:
        """Evaluate a run's models on all validation images, or on `samples` of them, drawn by a fixed seed."""
        changed = changes_since(run, data)
        validation = data.splits["validation"]
        if samples is not None and samples < validation.count:
            rows = np.sort(np.random.default_rng(SEED).permutation(validation.count)[:samples])
            data = replace(data, splits={**data.splits, "validation": validation.some(rows)})
        task, origin = get_task(run.spec(), data.classes), origin_of(run)
        model = load_model(run)
        if origin == run:
            return replace(cls.from_model(task, data, model), data_changed=changed)
        own = evaluate(keras_predictor(model), batches_of(data), task)
        reference = cls.from_model(task, data, load_model(origin))
        return replace(reference, own_evaluation=own, data_changed=changed)

    @classmethod
    def from_model(cls, task: Any, data: DatasetSplits, model: Any) -> Reference:
        """Evaluate a Keras `model` on all validation images."""
        batches = partial(batches_of, data)
        evaluation = evaluate(keras_predictor(model), batches(), task)
        timing_images = np.asarray(next(iter(batches()))[0])[:TIMING_IMAGES]
        baselines = standings_of(task, data, evaluation)
        return cls(task, batches, timing_images, evaluation, evaluation, baselines)


@dataclass(frozen=True)
class Comparison:
    """A file's evaluation beside that of its model. reference: the model's. after: the file's."""

    reference: Reference
    after: Evaluation

    @property
    def before(self) -> Evaluation:
        """The model's evaluation."""
        return self.reference.evaluation

    @cached_property
    def drops(self) -> dict[str, Drop]:
        """What each metric lost, with its 95% interval."""
        file_values = self.after.judgement.values
        return {
            metric: (value - file_values[metric], self.reference.task.drop_interval(metric, self.before, self.after))
            for metric, value in self.before.judgement.values.items()
        }

    def agreement(self, evaluation: Evaluation) -> float:
        """Return the share of predictions that are the same in the file's and in another `evaluation`."""
        return float(self.reference.task.agreement(self.after.answers, evaluation.answers))

    def worst_class(self) -> tuple[float, str]:
        """Return the largest drop of a class, and its label."""
        file_values = self.after.judgement.by_class
        return max((value - file_values[name], name) for name, value in self.before.judgement.by_class.items())

    def output_differences(self) -> np.ndarray | None:
        """Return absolute differences of all numbers; None where the file has other outputs than the model."""
        before, after = self.before.outputs, self.after.outputs
        if isinstance(before, dict) and set(before) != set(after):
            return None
        return np.asarray(np.abs(_flatten(after) - _flatten(before)))

    def images_to_settle(self, max_drop: float) -> int | None:
        """Return how many images would bring the upper ends of all intervals within `max_drop`; None where none
        would."""
        before, after = self.before.judgement.correct, self.after.judgement.correct
        if before is not None and after is not None:
            return confidence_interval.enough_for_shares(before, after, max_drop)
        needed = [
            confidence_interval.enough_for_scores(drop, high, self.before.samples, max_drop)
            for drop, (_, high) in self.drops.values()
        ]
        known = [each for each in needed if each is not None]
        return max(known) if len(known) == len(needed) else None


def verify(
    file: Path, reference: Reference, budget: Budget, *, is_integer: bool = False, device: Device | None = None
) -> Verdict:
    """Run `file` on `device`, by default this CPU, and compare it with `reference`.

    Raises ExportError if it cannot be run, has other labels, holds operators that are no builtins, or floats though it
    `is_integer`.
    """
    device = device or LocalCPU()
    model = device.load(file)
    if model.card.classes != reference.task.classes:
        raise ExportError(f"{file.name} has {len(model.card.classes)} labels that are not those of the run")
    scheme = str(model.card.provenance["scheme"])
    contents = find_format(file).check(model, scheme, is_integer=is_integer)
    after = evaluate(model, reference.batches(), reference.task, f"verifying {scheme}")
    comparison = Comparison(reference, after)
    drops, max_drop = comparison.drops, budget.max_drop
    metric = outcome.deciding(drops, max_drop)
    decided = outcome.decided(drops, max_drop, budget.require_proof)
    differences = comparison.output_differences()
    worst_class_drop, worst_class = comparison.worst_class()
    return Verdict(
        file=file.name,
        scheme=scheme,
        bytes=file_size(file),
        gzip_bytes=gzip_size(file),
        metric=after.metric,
        value=after.value,
        model_value=reference.evaluation.value,
        details={**after.judgement.values, **after.judgement.details},
        samples=after.samples,
        drop_metric=metric,
        drop=drops[metric][0],
        drop_interval=drops[metric][1],
        drops={name: MetricDrop(*drop) for name, drop in drops.items()},
        agreement=comparison.agreement(reference.evaluation),
        own_agreement=comparison.agreement(reference.own_evaluation),
        worst_class=worst_class,
        worst_class_drop=worst_class_drop,
        largest_difference=None if differences is None else float(differences.max()),
        mean_difference=None if differences is None else float(differences.mean()),
        operators=contents.operators if contents else None,
        dtypes=contents.dtypes if contents else None,
        cost=device.measure(file, reference.timing_images),
        machine=device.describe(),
        baselines=reference.baselines,
        data_changed=reference.data_changed,
        max_drop=max_drop,
        require_proof=budget.require_proof,
        images_to_settle=None if decided == outcome.PASSED else comparison.images_to_settle(max_drop),
        calibration_sha256=model.card.provenance.get("calibration_sha256"),
        verdict=decided,
    )


def _flatten(outputs: Outputs) -> np.ndarray:
    """Return all numbers of one or several outputs, in the order of their names."""
    parts = [outputs[name] for name in sorted(outputs)] if isinstance(outputs, dict) else [outputs]
    return np.concatenate([np.ravel(part) for part in parts])
