"""The verdict: the written file itself is run on the validation data and judged against the Keras model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.compress import origin_of
from keras_resnet.data import pipeline
from keras_resnet.data.sources import Data
from keras_resnet.environment import machine
from keras_resnet.errors import ExportError
from keras_resnet.evaluate import BATCH, Evaluation, evaluate, keras_predictor, load_model
from keras_resnet.export.contents import Contents, assert_contents, contents_of
from keras_resnet.export.files import Model, gzip_size_of, open_file, size_of
from keras_resnet.export.measure import Cost, measure
from keras_resnet.export.runtime import TFLiteModel
from keras_resnet.run import Run
from keras_resnet.tasks import task_of

PASSED, FAILED = "PASSED", "FAILED"
ROUNDING = 1e-9
# Different images that are timed.
TIMED = 20
SEED = 0


@dataclass(frozen=True)
class Verdict:
    """What is known of one written file.

    bytes: on the device; gzip_bytes: as a download.
    value: the metric, 0–1; details: other numbers beside it. drop: the float model's value minus the file's (the
    largest, where the task has several), with its 95% interval. agreement: share of images (or of objects) on which
    both give the same answer; own_agreement: the same with the run's own model, where that is a compressed one.
    worst_class, worst_class_drop: the label whose share of right answers fell most, and by how much.
    largest_difference, mean_difference: of outputs, absolute. operators, dtypes: how many of each, in a TFLite file.
    cost: time and memory. max_drop: the budget, as a share (0.01 is one point). verdict: "PASSED" or "FAILED".
    """

    file: str
    form: str
    bytes: int
    gzip_bytes: int
    metric: str
    value: float
    details: dict[str, float]
    samples: int
    drop: float
    drop_interval: tuple[float, float]
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
    max_drop: float
    calibration_sha256: str | None
    verdict: str

    def as_dict(self) -> dict[str, object]:
        """As a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        """In a line, drops in points."""
        low, high = self.drop_interval
        return (
            f"{self.verdict}: {self.file}, {self.bytes / 1e6:.2f} MB, {self.metric} {self.value:.2%} of {self.samples}"
            f" images, drop {100 * self.drop:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}] of at most"
            f" {100 * self.max_drop:g}, agreement {self.agreement:.2%}, {self.latency_ms:.2f} ms"
        )

    @property
    def all_integer(self) -> bool:
        """Whether it is a TFLite file within its budget that holds no floating-point tensor."""
        floats = [name for name in self.dtypes or {"FLOAT": 1} if "FLOAT" in name]
        return self.file.endswith(".tflite") and self.verdict == PASSED and not floats

    @property
    def latency_ms(self) -> float:
        """The median with all threads."""
        return self.cost.latencies[-1].p50


@dataclass(frozen=True)
class Reference:
    """What every file of a model is judged by.

    batches: makes pairs of uint8 images (B, H, W, 3) and what is true of them, the same each time it is called.
    answered: what the model answered, or the one that it was compressed from. own: what the model itself answered.
    """

    task: Any
    batches: Callable[[], Iterable[tuple[Any, Any]]]
    timed: np.ndarray
    answered: Evaluation
    own: Evaluation

    @classmethod
    def of(cls, run: Run, data: Data, samples: int | None = None) -> Reference:
        """Evaluate the models on all validation images, or on `samples` of them, drawn by a fixed seed."""
        judged = data.splits["validation"]
        if samples is not None and samples < judged.count:
            judged = judged.some(np.sort(np.random.default_rng(SEED).permutation(judged.count)[:samples]))
        task = task_of(run.spec(), data.classes)
        own = cls.by(task, replace(data, splits={**data.splits, "validation": judged}), load_model(run))
        origin = origin_of(run)
        if origin == run:
            return own
        return replace(own, answered=evaluate(keras_predictor(load_model(origin)), own.batches(), task))

    @classmethod
    def by(cls, task: Any, data: Data, model: Any) -> Reference:
        """Evaluate a Keras `model` on all validation images."""

        def batches() -> Iterable[tuple[Any, Any]]:
            return pipeline.evaluation(data.splits["validation"], data.image_size, BATCH)  # type: ignore[no-any-return]

        answered = evaluate(keras_predictor(model), batches(), task)
        return cls(task, batches, np.asarray(next(iter(batches()))[0])[:TIMED], answered, answered)


def verify(file: Path, reference: Reference, *, max_drop: float, integer: bool = False) -> Verdict:
    """Run `file` and judge it against `reference`, within the budget `max_drop`.

    Raises ExportError if it cannot be run, has other labels, holds operators that are no builtins, or floats though it
    should be `integer`.
    """
    model, task, before = open_file(file), reference.task, reference.answered
    if model.card.classes != task.classes:
        raise ExportError(f"{file.name} has {len(model.card.classes)} labels that are not those of the run")
    contents = _contents(model)
    if contents:
        assert_contents(contents, str(model.card.provenance["form"]), integer=integer)
    after = evaluate(model, reference.batches(), task, f"verifying {model.card.provenance['form']}")
    was, found = before.judgement, after.judgement
    drop, name = max((value - found.values[name], name) for name, value in was.values.items())
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
        details={**found.values, **found.details},
        samples=after.samples,
        drop=drop,
        drop_interval=task.drop_interval(name, before, after),
        agreement=task.agreement(after.answers, before.answers),
        own_agreement=task.agreement(after.answers, reference.own.answers),
        worst_class=worst,
        worst_class_drop=worst_drop,
        largest_difference=None if difference is None else float(difference.max()),
        mean_difference=None if difference is None else float(difference.mean()),
        operators=contents.operators if contents else None,
        dtypes=contents.dtypes if contents else None,
        cost=measure(file, reference.timed, _threads()),
        machine=machine(),
        max_drop=max_drop,
        calibration_sha256=provenance.get("calibration_sha256"),
        # 0.30 - 0.29 > 0.01 in floating point.
        verdict=FAILED if drop - max_drop > ROUNDING else PASSED,
    )


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
