"""Sensitivity of layers: which one loses an 8-bit file its accuracy, each rounded alone, end to end, on real images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.compression.quantization.sensitivity import LayerSensitivity, QuantizationSimulator
from keras_resnet.data.load import DatasetSplits
from keras_resnet.data.pipeline import evaluation_batches, sample_balanced_rows
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.evaluate import load_model, load_task
from keras_resnet.export.calibration import Calibration, build_calibration
from keras_resnet.export.pipeline import load_run_data
from keras_resnet.export.request import is_qat
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.predictions import Outputs
from keras_resnet.runtime.temporary_files import remove_leftovers
from keras_resnet.tasks import Task

if TYPE_CHECKING:
    import keras

# Labels (N,), or arrays (N, …) by name.
GroundTruth = np.ndarray | dict[str, np.ndarray]
SEED = 0
PLOTTED_LAYERS = 30


def diagnose(run: Run, samples: int, log: Log) -> list[LayerSensitivity]:
    """Measure every layer of `run` on `samples` validation images; return them, the worst first, and keep them as
    diagnosis.json and .png among the run's exports.

    The network is simulated: rounded as a file would be, with the ranges of the calibration images. Raises UsageError
    for a run that was trained with 8 bits, which has its own ranges.
    """
    if is_qat(run):
        raise UsageError(f"run {run.name} was trained with 8 bits; diagnose the run that it was compressed from")
    remove_leftovers(run.exports)
    data = load_run_data(run, log)
    return SensitivityAnalysis(run, data, build_calibration(data), log).measure(load_model(run), samples)


@dataclass(frozen=True)
class SensitivityAnalysis:
    """The analysis of a run's network, or of one that computes the same, with its data and calibration."""

    run: Run
    data: DatasetSplits
    calibration: Calibration
    log: Log

    def measure(self, model: keras.Model, samples: int) -> list[LayerSensitivity]:
        """Measure and keep every layer of `model`, see `diagnose`."""
        images, truth = self._sample(samples)
        agreement = Agreement(load_task(self.run, self.data.classes), truth)
        simulation = QuantizationSimulator(model, self.calibration.images, agreement)
        layers, shown = counted(len(simulation.operations), "layer"), counted(len(images), "validation image")
        self.log(f"rounding each of {layers} alone, on {shown}")
        sensitivities = simulation.measure_layers(images)
        document = {
            "images": len(images),
            "agreement_of_all": simulation.agreement_without(images),
            "layers": [asdict(each) for each in sensitivities],
        }
        self.run.write_json(self.run.diagnosis_file, document)
        plot = partial(plot_sensitivities, sensitivities)
        self.run.write_with(self.run.exports / "diagnosis.png", plot)
        return sensitivities

    def _sample(self, samples: int) -> tuple[np.ndarray, GroundTruth]:
        """Return validation images, uint8 (N, H, W, C), as many of each class, and their ground truth."""
        split, classes = self.data.splits["validation"], len(self.data.classes)
        rows = sample_balanced_rows(split, per_class=max(1, round(samples / classes)), classes=classes, seed=SEED)
        batches = evaluation_batches(split.subset(rows), self.data.image_size, len(rows))
        images, truth = next(iter(batches.as_numpy_iterator()))
        return images, truth


@dataclass(frozen=True)
class Agreement:
    """The fraction of predictions that two outputs for the same images have in common."""

    task: Task
    truth: GroundTruth

    def __call__(self, ours: Outputs, theirs: Outputs) -> float:
        """Compare float32 outputs (N, …), or dicts of them."""
        task = self.task
        return float(task.agreement(task.postprocess(ours, self.truth), task.postprocess(theirs, self.truth)))


def plot_sensitivities(sensitivities: list[LayerSensitivity], path: Path) -> None:
    """Plot the worst layers as bars of what rounding each alone changed, as a PNG."""
    from matplotlib.figure import Figure

    plotted = sensitivities[:PLOTTED_LAYERS]
    figure = Figure(figsize=(9, 1.2 + 0.24 * len(plotted)), layout="constrained")
    predictions, outputs = figure.subplots(1, 2, sharey=True)
    positions = np.arange(len(plotted))
    predictions.barh(positions, [100 * (1 - each.agreement) for each in plotted], color="C3")
    outputs.barh(positions, [100 * each.error for each in plotted], color="C0")
    predictions.set_yticks(positions, [each.layer for each in plotted], parse_math=False)
    predictions.invert_yaxis()
    predictions.set_xlabel("predictions changed (%)")
    outputs.set_xlabel("outputs changed (% of their standard deviation)")
    for axes in (predictions, outputs):
        axes.grid(axis="x", alpha=0.3)
    figure.suptitle("each layer alone in 8 bits")
    figure.savefig(path, dpi=120, format="png")
