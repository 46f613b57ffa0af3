"""From a finished run to files with verdicts: convert, label, prove, and only then put in place."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_resnet.data import pipeline
from keras_resnet.data.sources import Data, open_data
from keras_resnet.errors import RunError
from keras_resnet.evaluate import evaluate, keras_predictor, load_model
from keras_resnet.export.calibrate import Calibration, calibration_of
from keras_resnet.export.metadata import Card, write_card
from keras_resnet.export.tflite import SCHEMES, Scheme, convert
from keras_resnet.export.verify import PASSED, Verdict, verify
from keras_resnet.run import Run, versions
from keras_resnet.tasks import task_of

EVALUATION_BATCH = 64


def export_tflite(run: Run, *, max_drop: float, say: Callable[[str], None]) -> list[Verdict]:
    """Write the run's .tflite files, one for each scheme, and return their verdicts.

    A file within `max_drop` (a share, 0.01 is one point) becomes `exports/<scheme>.tflite`; one that
    lost more goes to `exports/rejected/`. verdicts.json is written in either case.
    """
    run.require_finished()
    data = open_data(run.spec().data, say)
    if data.classes != run.classes():
        raise RunError(f"the data no longer has the labels that run {run.name} was trained on")
    images, labels = _arrays(data, run)
    task = task_of(run.spec(), data.classes)
    say(f"evaluating the Keras model on {len(labels)} validation images")
    reference = evaluate(keras_predictor(load_model(run)), _batches(images, labels), task)
    calibration = calibration_of(data)
    say(f"calibration: {len(calibration.images)} training images, as many of each class, plus black and white")

    def judge(file: Path, scheme: Scheme) -> Verdict:
        say(f"verifying {scheme.file_name} on {len(labels)} validation images")
        return verify(
            file,
            scheme,
            reference,
            images,
            labels,
            task,
            max_drop=max_drop,
            calibration_sha256=calibration.digest,
        )

    verdicts = []
    for scheme in SCHEMES.values():
        verdicts.append(_export_one(run, scheme, data, calibration, judge, say))
        run.write_json(run.verdicts_file, [verdict.as_dict() for verdict in verdicts])
    return verdicts


def _arrays(data: Data, run: Run) -> tuple[np.ndarray, np.ndarray]:
    batches = list(pipeline.evaluation(data.splits["validation"], data.image_size, EVALUATION_BATCH))
    return tuple(np.concatenate([np.asarray(batch[i]) for batch in batches]) for i in (0, 1))  # type: ignore[return-value]


def _batches(images: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    starts = range(0, len(labels), EVALUATION_BATCH)
    return [(images[i : i + EVALUATION_BATCH], labels[i : i + EVALUATION_BATCH]) for i in starts]


def _export_one(
    run: Run,
    scheme: Scheme,
    data: Data,
    calibration: Calibration,
    judge: Callable[[Path, Scheme], Verdict],
    say: Callable[[str], None],
) -> Verdict:
    """Convert to a hidden name, prove that file, then move it to where its verdict puts it."""
    good, bad = run.exports / scheme.file_name, run.rejected / scheme.file_name
    staged = run.exports / f".{os.getpid()}-{scheme.file_name}"
    say(f"converting to {scheme.name}")
    try:
        convert(run, scheme, calibration, staged)
        write_card(staged, _card(run, data, calibration, scheme))
        verdict = judge(staged, scheme)
        place, former = (good, bad) if verdict.verdict == PASSED else (bad, good)
        place.parent.mkdir(exist_ok=True)
        os.replace(staged, place)
        former.unlink(missing_ok=True)
    finally:
        staged.unlink(missing_ok=True)
    return replace(verdict, file=str(place.relative_to(run.exports)))


def _card(run: Run, data: Data, calibration: Calibration, scheme: Scheme) -> Card:
    provenance = {
        "run": run.name,
        "scheme": scheme.name,
        "data": data.name,
        "versions": versions(),
        "calibration_sha256": calibration.digest if scheme.integer else None,
    }
    return Card(data.classes, data.resize, data.image_size, provenance)
