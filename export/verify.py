"""The verdict: the written file itself is run on the validation data and judged against the Keras model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.compression.plan import find_uncompressed_run
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import ExportError
from keras_resnet.evaluation.analysis import describe_data_changes
from keras_resnet.evaluation.baselines import BaselineComparison, compare_with_baselines
from keras_resnet.evaluation.evaluate import evaluate, evaluation_batches, keras_predictor, load_model
from keras_resnet.export.benchmark import Cost, measure
from keras_resnet.export.flatbuffer import Contents, assert_contents, contents_of
from keras_resnet.export.load import Model, gzip_size_of, open_file, size_of
from keras_resnet.metrics import confidence_interval, outcome
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.result import Evaluation
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted, verb
from keras_resnet.runtime.tflite_model import TFLiteModel
from keras_resnet.tasks import Task, get_task
from keras_resnet.training.environment import describe_machine

# A drop and its 95% interval, as shares.
Drop = tuple[float, tuple[float, float]]
# Different images that are timed.
TIMED = 20
SEED = 0


@dataclass(frozen=True)
class Verdict:
    """What is known of one written file.

    bytes: on the device; gzip_bytes: as a download.
    value: the metric, 0–1, of so many samples; model_value: the float model's, of the same. details: other numbers
    beside it. drop: the float model's value of `drop_metric` minus the file's, with its 95% interval; that metric is
    the one that decides, and drops has each: {"drop", "interval"} by name. agreement: share of images (or of objects)
    on which both give the same answer; own_agreement: the same with the run's own model, where that is a compressed
    one.
    worst_class, worst_class_drop: the label whose share of right answers fell most, and by how much.
    largest_difference, mean_difference: of outputs, absolute. operators, dtypes: how many of each, in a TFLite file.
    cost: time and memory. baselines: how the float model stands to what needs no network. data_changed: what is other
    than when the model was trained, "" for nothing.
    max_drop: the budget, as a share (0.01 is one point). verdict: "PASSED" if the upper ends of the intervals are
    within it; "NOT PROVEN" if only the drops themselves are, or "FAILED" under require_proof; "FAILED" if one is not.
    images_to_settle: of a file that is not proven, how many validation images would do, if answers differ as often on
    them; None if none would.
    """

    file: str
    form: str
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
    drops: dict[str, dict[str, Any]]
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
    baselines: tuple[BaselineComparison, ...]
    data_changed: str
    max_drop: float
    require_proof: bool
    images_to_settle: int | None
    calibration_sha256: str | None
    verdict: str

    def as_dict(self) -> dict[str, object]:
        """As a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        """In a line, drops in points; and a line for whatever has to be known beside it."""
        row = self.as_dict()
        told = (
            f"{self.words}: {self.file}, {self.bytes / 1e6:.2f} MB, {metric_label(self.metric)} {self.value:.2%} of"
            f" {counted(self.samples, 'image')}, drop {outcome.format_drop(row)} of at most {100 * self.max_drop:g},"
            f" agreement {self.agreement:.2%}, {self.latency_ms:.2f} ms"
        )
        return "\n".join([told, *outcome.list_remarks(row), *outcome.list_shared_remarks(row)])

    @property
    def words(self) -> str:
        """The outcome for people: "PASSED", "PASSED, not proven", …"""
        return outcome.describe_outcome(self.as_dict())

    @property
    def is_within(self) -> bool:
        """Whether the file is taken to be within its budget, proven or not."""
        return self.verdict in outcome.ACCEPTED

    @property
    def all_integer(self) -> bool:
        """Whether it is a TFLite file within its budget that holds no floating-point tensor."""
        floats = [name for name in self.dtypes or {"FLOAT": 1} if "FLOAT" in name]
        return self.file.endswith(".tflite") and self.is_within and not floats

    @property
    def latency_ms(self) -> float:
        """The median with all threads."""
        return self.cost.latencies[-1].p50


@dataclass(frozen=True)
class Reference:
    """What every file of a model is judged by.

    batches: makes pairs of uint8 images (B, H, W, 3) and what is true of them, the same each time it is called.
    answered: what the model answered, or the one that it was compressed from. own: what the model itself answered.
    baselines: how `answered` stands to what needs no network. data_changed: see `Verdict`.
    """

    task: Task
    batches: Callable[[], Iterable[tuple[Any, Any]]]
    timed: np.ndarray
    answered: Evaluation
    own: Evaluation
    baselines: tuple[BaselineComparison, ...]
    data_changed: str = ""

    @classmethod
    def of(cls, run: Run, data: DatasetSplits, samples: int | None = None) -> Reference:
        """Evaluate the models on all validation images, or on `samples` of them, drawn by a fixed seed."""
        changed = describe_data_changes(run, data)
        judged = data.splits["validation"]
        if samples is not None and samples < judged.count:
            judged = judged.subset(np.sort(np.random.default_rng(SEED).permutation(judged.count)[:samples]))
            data = replace(data, splits={**data.splits, "validation": judged})
        task, origin = get_task(run.spec(), data.classes), find_uncompressed_run(run)
        model = load_model(run)
        if origin == run:
            return replace(cls.by(task, data, model), data_changed=changed)
        own = evaluate(keras_predictor(model), evaluation_batches(data), task)
        return replace(cls.by(task, data, load_model(origin)), own=own, data_changed=changed)

    @classmethod
    def by(cls, task: Task, data: DatasetSplits, model: Any) -> Reference:
        """Evaluate a Keras `model` on all validation images."""

        def batches() -> Iterable[tuple[Any, Any]]:
            return evaluation_batches(data)  # type: ignore[no-any-return]

        answered = evaluate(keras_predictor(model), batches(), task)
        timed = np.asarray(next(iter(batches()))[0])[:TIMED]
        return cls(task, batches, timed, answered, answered, compare_with_baselines(task, data, answered))


def verify(
    file: Path, reference: Reference, *, max_drop: float, integer: bool = False, require_proof: bool = False
) -> Verdict:
    """Run `file` and judge it against `reference`, within the budget `max_drop`; with `require_proof` it fails where
    its drop is not proven to be within that.

    Raises ExportError if it cannot be run, has other labels, holds operators that are no builtins, or floats though it
    should be `integer`.
    """
    model, task, before = open_file(file), reference.task, reference.answered
    if model.card.classes != task.classes:
        raise ExportError(
            f"{file.name} has {counted(len(model.card.classes), 'label')} that {verb(len(model.card.classes))} not"
            f" those of the run"
        )
    contents = _contents(model)
    if contents:
        assert_contents(contents, str(model.card.provenance["form"]), integer=integer)
    after = evaluate(model, reference.batches(), task, f"verifying {model.card.provenance['form']}")
    was, found = before.metrics, after.metrics
    drops = {
        metric: (value - found.values[metric], task.drop_confidence_interval(metric, before, after))
        for metric, value in was.values.items()
    }
    name, decided = (
        outcome.choose_deciding_metric(drops, max_drop),
        outcome.decide_outcome(drops, max_drop, require_proof),
    )
    difference = _difference(before.outputs, after.outputs)
    worst_drop, worst = max((value - found.by_class[name], name) for name, value in was.by_class.items())
    provenance = model.card.provenance
    return Verdict(
        file=file.name,
        form=str(provenance["form"]),
        bytes=size_of(file),
        gzip_bytes=gzip_size_of(file),
        metric=after.metric,
        value=after.value,
        model_value=before.value,
        details={**found.values, **found.details},
        samples=after.samples,
        drop_metric=name,
        drop=drops[name][0],
        drop_interval=drops[name][1],
        drops={each: {"drop": drop, "interval": interval} for each, (drop, interval) in drops.items()},
        agreement=task.agreement(after.predictions, before.predictions),
        own_agreement=task.agreement(after.predictions, reference.own.predictions),
        worst_class=worst,
        worst_class_drop=worst_drop,
        largest_difference=None if difference is None else float(difference.max()),
        mean_difference=None if difference is None else float(difference.mean()),
        operators=contents.operators if contents else None,
        dtypes=contents.dtypes if contents else None,
        cost=measure(file, reference.timed, _threads()),
        machine=describe_machine(),
        baselines=reference.baselines,
        data_changed=reference.data_changed,
        max_drop=max_drop,
        require_proof=require_proof,
        images_to_settle=None if decided == outcome.PASSED else _enough(before, after, drops, max_drop),
        calibration_sha256=provenance.get("calibration_sha256"),
        verdict=decided,
    )


def _enough(before: Evaluation, after: Evaluation, drops: dict[str, Drop], max_drop: float) -> int | None:
    """How many images would bring the upper ends of all intervals within `max_drop`; None where none would."""
    was, found = before.metrics.correct, after.metrics.correct
    if was is not None and found is not None:
        return confidence_interval.samples_to_prove_proportion(was, found, max_drop)
    wanted = [
        confidence_interval.samples_to_prove_score(drop, high, before.samples, max_drop)
        for drop, (_, high) in drops.values()
    ]
    known = [each for each in wanted if each is not None]
    return max(known) if len(known) == len(wanted) else None


def _difference(before: Any, after: Any) -> np.ndarray | None:
    """Absolute differences of all numbers; None where a file makes something else of them."""
    if isinstance(before, dict) and set(before) != set(after):
        return None
    return np.asarray(np.abs(_flat(after) - _flat(before)))


def _flat(outputs: Any) -> np.ndarray:
    """All numbers of one or several outputs, in the order of their names."""
    parts = [outputs[name] for name in sorted(outputs)] if isinstance(outputs, dict) else [outputs]
    return np.concatenate([np.ravel(part) for part in parts])


def _contents(model: Model) -> Contents | None:
    return contents_of(model.content) if isinstance(model, TFLiteModel) else None


def _threads() -> list[int]:
    """1, 2, 4 … and all of this machine."""
    most = os.cpu_count() or 1
    return [*(2**power for power in range(most.bit_length()) if 2**power < most), most]
