"""Which layer loses an 8-bit file its accuracy: each rounded alone, end to end, on real images."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.compression.quantization.sensitivity import LayerSensitivity, QuantizationSimulator
from keras_resnet.data.load import DatasetSplits
from keras_resnet.data.pipeline import evaluation_batches, sample_balanced_rows
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export.calibration import Calibration, calibration_of
from keras_resnet.export.pipeline import data_of, is_learned
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.temporary_files import remove_leftovers
from keras_resnet.tasks import get_task

SEED = 0
SHOWN = 30


def diagnose(run: Run, samples: int, log: Log) -> list[LayerSensitivity]:
    """Every layer of `run`, the worst first, judged by `samples` validation images; kept as diagnosis.json and .png
    among the run's exports.

    The network is simulated: rounded as a file would be, with the ranges of the calibration images. Raises UsageError
    for a run that was trained with 8 bits, which has its own ranges.
    """
    if is_learned(run):
        raise UsageError(f"run {run.name} was trained with 8 bits; diagnose the run that it was compressed from")
    remove_leftovers(run.exports)
    data = data_of(run, log)
    return diagnose_model(run, load_model(run), data, calibration_of(data), samples, log)


def diagnose_model(
    run: Run, model: Any, data: DatasetSplits, calibration: Calibration, samples: int, log: Log
) -> list[LayerSensitivity]:
    """The same for a `model` that computes what that of `run` does."""
    split, classes, task = data.splits["validation"], len(data.classes), get_task(run.spec(), data.classes)
    rows = sample_balanced_rows(split, per_class=max(1, round(samples / classes)), classes=classes, seed=SEED)
    images, truth = next(iter(evaluation_batches(split.subset(rows), data.image_size, len(rows)).as_numpy_iterator()))

    def agreement(ours: Any, theirs: Any) -> float:
        return float(task.agreement(task.postprocess(ours, truth), task.postprocess(theirs, truth)))

    simulation = QuantizationSimulator(model, calibration.images, agreement)
    log(
        f"rounding each of {counted(len(simulation.operations), 'layer')} alone, on"
        f" {counted(len(images), 'validation image')}"
    )
    found = simulation.measure_layers(images)
    document = {
        "images": len(images),
        "agreement_of_all": simulation.agreement_without(images),
        "layers": [asdict(damage) for damage in found],
    }
    run.write_json(run.diagnosis_file, document)
    run.write_with(run.exports / "diagnosis.png", lambda path: _draw(found, path))
    return found


def _draw(found: list[LayerSensitivity], path: Path) -> None:
    """The worst layers as bars of what rounding each alone changed, as a PNG."""
    from matplotlib.figure import Figure

    shown = found[:SHOWN]
    figure = Figure(figsize=(9, 1.2 + 0.24 * len(shown)), layout="constrained")
    answers, outputs = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(shown))
    answers.barh(places, [100 * (1 - damage.agreement) for damage in shown], color="C3")
    outputs.barh(places, [100 * damage.error for damage in shown], color="C0")
    answers.set_yticks(places, [damage.layer for damage in shown], parse_math=False)
    answers.invert_yaxis()
    answers.set_xlabel("answers changed (%)")
    outputs.set_xlabel("outputs changed (% of their deviation)")
    for axes in (answers, outputs):
        axes.grid(axis="x", alpha=0.3)
    figure.suptitle("each layer alone in 8 bits")
    figure.savefig(path, dpi=120, format="png")
