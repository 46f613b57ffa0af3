"""The verdict: the written file itself is run on the validation data and judged against the Keras model."""

from __future__ import annotations

import math
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from keras_resnet.evaluate import Evaluation, evaluate
from keras_resnet.export.contents import assert_contents
from keras_resnet.export.runtime import TFLiteModel
from keras_resnet.export.tflite import Scheme
from keras_resnet.tasks.classify import Classification

PASSED, FAILED = "PASSED", "FAILED"
Z_95 = 1.959963985


@dataclass(frozen=True)
class Verdict:
    """What is known of one written file.

    value: the metric, 0–1. drop: the Keras model's value minus the file's, with its 95% interval.
    agreement: share of images on which both give the same answer. latency_ms: median of one image.
    max_drop: the budget, as a share (0.01 is one point). verdict: "PASSED" or "FAILED".
    """

    file: str
    scheme: str
    bytes: int
    metric: str
    value: float
    samples: int
    drop: float
    drop_interval: tuple[float, float]
    agreement: float
    latency_ms: float
    threads: int
    machine: str
    max_drop: float
    calibration_sha256: str | None
    verdict: str

    def as_dict(self) -> dict[str, object]:
        """As a JSON object."""
        return asdict(self)


def verify(
    file: Path,
    scheme: Scheme,
    reference: Evaluation,
    images: np.ndarray,
    labels: np.ndarray,
    task: Classification,
    *,
    max_drop: float,
    calibration_sha256: str | None,
) -> Verdict:
    """Run `file` on validation `images` (N, H, W, 3) uint8 and judge it against `reference`, the Keras
    model's evaluation on the same images. Raises ExportError if the file holds what its scheme forbids."""
    assert_contents(file, integer=scheme.integer)
    model = TFLiteModel(file)
    result = evaluate(model, [(images, labels)], task)
    drop = reference.value - result.value
    return Verdict(
        file=file.name,
        scheme=scheme.name,
        bytes=file.stat().st_size,
        metric=result.metric,
        value=result.value,
        samples=result.samples,
        drop=drop,
        drop_interval=drop_interval(reference.correct, result.correct),
        agreement=float((reference.answers == result.answers).mean()),
        latency_ms=model.latency_ms(images),
        threads=model.threads,
        machine=machine(),
        max_drop=max_drop,
        calibration_sha256=calibration_sha256 if scheme.integer else None,
        # Counted in images, because 0.30 - 0.29 > 0.01 in floating point.
        verdict=FAILED if round(drop * result.samples) > max_drop * result.samples else PASSED,
    )


def drop_interval(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """The 95% interval of the drop in the share of right answers, for two bool (N,) on the same samples.

    Agresti & Min 2005 ("Simple improved confidence intervals for comparing matched proportions"):
    a Wald interval with half a sample added to each cell. Unlike a bootstrap it does not shrink to
    nothing when both models err on the same images.
    """
    lost = float(np.sum(before & ~after)) + 0.5
    won = float(np.sum(~before & after)) + 0.5
    n = len(before) + 2
    difference = (lost - won) / n
    margin = Z_95 * math.sqrt((lost + won) - (lost - won) ** 2 / n) / n
    return max(-1.0, difference - margin), min(1.0, difference + margin)


def machine() -> str:
    """The processor that latencies were measured on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model} ({platform.machine()})"
