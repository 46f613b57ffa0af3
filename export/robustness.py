"""Measure how a run's model and its exported files do on corrupted images: whether 8 bits break sooner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.config.image_size import format_size, height_and_width
from keras_resnet.corruptions.base import LARGE, LARGE_SET, Corruption, name_constants
from keras_resnet.corruptions.registry import choose_corruptions
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import UsageError, did_you_mean
from keras_resnet.evaluation.analysis import describe_data_changes
from keras_resnet.evaluation.evaluate import evaluate_each, evaluation_batches, keras_predictor, load_model, load_task
from keras_resnet.export.evaluate import list_passed_files
from keras_resnet.export.load import load_file, require_labels
from keras_resnet.export.pipeline import load_run_data
from keras_resnet.export.robustness_settings import NO_FILES, RobustnessSettings
from keras_resnet.export.tta import Predict
from keras_resnet.export.verify import draw_samples
from keras_resnet.metrics.confidence_interval import paired_mean_ci
from keras_resnet.metrics.result import Evaluation
from keras_resnet.progress import Log, show_progress
from keras_resnet.run import Run
from keras_resnet.run.documents import (
    ALL,
    CLEAN,
    KERAS_MODEL,
    ModelRobustness,
    RobustnessDifference,
    RobustnessDocument,
)
from keras_resnet.runtime.plurals import counted, join_words
from keras_resnet.tasks import Task

# By corruption, the evaluations of one model by severity.
Evaluations = dict[str, list[Evaluation]]
# Bytes of images that are kept instead of being read for each corruption again.
KEPT_BYTES = 2**30


def measure_robustness(
    run: Run, settings: RobustnessSettings, log: Log, files: Sequence[Path] | None = None
) -> RobustnessDocument:
    """Evaluate the Keras model of `run` and exported files of it on the same corrupted validation images.

    files: those files; None for the ones that `settings` name. Raises UsageError for corruptions or files that there
    are not, RunError, DataError or ExportError where something cannot be read.
    """
    run.require_finished()
    found = choose_files(run, settings.files) if files is None else list(files)
    test = RobustnessTest.prepare(run, settings, log)
    if not found and not settings.files:
        log(f"run {run.name} has no exported file that passed; only its Keras model is evaluated")
    return test.measure(found)


def choose_files(run: Run, names: Sequence[str]) -> list[Path]:
    """Return the exported files of `run` that passed, or those of them that are called `names`: by the file's name, or
    that without its suffix. Raises UsageError for a name that is none."""
    passed = {file.name: file for file in list_passed_files(run)}
    if NO_FILES in names:
        return []
    chosen: dict[str, Path] = {}
    for name in names:
        named = [each for each in passed if name in (each, Path(each).stem)]
        if not named:
            there = join_words([*passed]) or "none"
            near = did_you_mean(name, passed)
            raise UsageError(
                f"--files must name exported files of run {run.name} that passed ({there}). Received: {name!r}"
                f"{near and '.'}{near}"
            )
        chosen |= {each: passed[each] for each in named}
    return list((chosen if names else passed).values())


@dataclass(frozen=True)
class RobustnessTest:
    """The images, and what is done to them. left_out: corruptions that are not, and why."""

    run: Run
    task: Task
    data: DatasetSplits
    corruptions: list[Corruption]
    left_out: dict[str, str]
    settings: RobustnessSettings

    @classmethod
    def prepare(cls, run: Run, settings: RobustnessSettings, log: Log) -> RobustnessTest:
        """Open the data and choose the corruptions; log what is left out, and why, and which constants they have."""
        task = load_task(run, run.classes())
        corruptions, left_out = choose_corruptions(settings.corruptions, task.finds_objects())
        for name, reason in left_out.items():
            log(f"left out: {name}: {reason}")
        data = load_run_data(run, log)
        if changed := describe_data_changes(run, data):
            log(changed)
        data = draw_samples(data, settings.samples)
        test = cls(run, task, data, corruptions, left_out, settings)
        severities = counted(len(test.severities), "severity", plural="severities")
        images, size = counted(test.samples, "validation image", ","), format_size(data.image_size)
        log(
            f"corruptions: {len(corruptions)} in {severities}, of {images}, with the constants of {test.constants}"
            f" (images of {size} pixels; from {LARGE} on, those of {LARGE_SET})"
        )
        return test

    @property
    def severities(self) -> tuple[int, ...]:
        """The severities, in order."""
        return self.settings.chosen_severities

    @property
    def samples(self) -> int:
        """How many images there are."""
        return self.data.splits["validation"].count

    @property
    def constants(self) -> str:
        """The dataset whose constants the corruptions have."""
        return name_constants(*height_and_width(self.data.image_size))

    @cached_property
    def _kept(self) -> list[tuple[np.ndarray, Any]] | None:
        """The batches, where they are small enough to be kept."""
        height, width = height_and_width(self.data.image_size)
        if self.samples * height * width * self.data.channels > KEPT_BYTES:
            return None
        return list(evaluation_batches(self.data).as_numpy_iterator())

    def batches(self) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield the images, uint8 (B, H, W, C), with their ground truth."""
        yield from self._kept if self._kept is not None else evaluation_batches(self.data).as_numpy_iterator()

    def corrupted_batches(self, corruption: Corruption, severity: int) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield the same with a corruption."""
        first = 0
        for images, truth in self.batches():
            sizes = _find_sizes(truth, images.shape[1]) if isinstance(truth, dict) else None
            yield corruption.corrupt_batch(images, severity, self.settings.seed, first, sizes), truth
            first += len(images)

    def measure(self, files: Sequence[Path]) -> RobustnessDocument:
        """Evaluate the Keras model and `files` on all corrupted images."""
        models: dict[str, Predict] = {KERAS_MODEL: keras_predictor(load_model(self.run))}
        models |= {file.name: self._load(file) for file in files}
        clean = evaluate_each(models, self.batches(), self.task)
        corrupted: dict[str, Evaluations] = {name: {} for name in models}
        with show_progress(len(self.corruptions) * len(self.severities), "steps", "corrupting") as advance:
            for corruption in self.corruptions:
                for severity in self.severities:
                    found = evaluate_each(models, self.corrupted_batches(corruption, severity), self.task)
                    for name, evaluation in found.items():
                        corrupted[name].setdefault(corruption.name, []).append(_without_what_is_large(evaluation))
                    advance(1, f"{corruption.name}, severity {severity}")
        return self._describe(clean, corrupted)

    def _load(self, file: Path) -> Predict:
        model = load_file(file)
        require_labels(file, model, self.run.classes(), f"run {self.run.name}")
        return model

    def _describe(self, clean: Mapping[str, Evaluation], corrupted: Mapping[str, Evaluations]) -> RobustnessDocument:
        compare = _Differences(self.task, clean[KERAS_MODEL], corrupted[KERAS_MODEL])
        models = [
            ModelRobustness(
                name=name,
                clean=clean[name].value,
                values={key: [each.value for each in row] for key, row in corrupted[name].items()},
                differences={} if name == KERAS_MODEL else compare.of(clean[name], corrupted[name]),
                change=None if name == KERAS_MODEL else compare.change(clean[name], corrupted[name]),
            )
            for name in clean
        ]
        return RobustnessDocument(
            metric=clean[KERAS_MODEL].metric,
            samples=self.samples,
            seed=self.settings.seed,
            severities=list(self.severities),
            constants=self.constants,
            image_size=list(height_and_width(self.data.image_size)),
            left_out=self.left_out,
            models=models,
        )


def _without_what_is_large(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation without what its differences from others do not need: there are hundreds of them."""
    is_by_image = evaluation.metrics.correct is not None
    return replace(evaluation, outputs=None, predictions=[] if is_by_image else evaluation.predictions)


def _find_sizes(truth: Mapping[str, np.ndarray], side: int) -> list[tuple[int, int]]:
    """Return the (height, width) that each image of a detector takes of its square (see `preprocess.letterbox`)."""
    scales = side / truth["sizes"].max(axis=1)
    return [
        (max(1, round(float(height * scale))), max(1, round(float(width * scale))))
        for (width, height), scale in zip(truth["sizes"], scales, strict=True)
    ]


@dataclass(frozen=True)
class _Differences:
    """How files differ from the Keras model, whose evaluations are `clean` and `corrupted`."""

    task: Task
    clean: Evaluation
    corrupted: Evaluations

    def of(self, clean: Evaluation, corrupted: Evaluations) -> dict[str, RobustnessDifference]:
        """Return a file's differences: on clean images, of each corruption, and over all."""
        found = {CLEAN: self._mean([(self.clean, clean)])}
        for name, row in corrupted.items():
            found[name] = self._mean(list(zip(self.corrupted[name], row, strict=True)))
        return found | {ALL: self._mean(self._pairs(corrupted))}

    def change(self, clean: Evaluation, corrupted: Evaluations) -> RobustnessDifference:
        """Return a file's difference over all corruptions minus that on clean images, with its 95% interval. Where
        predictions are neither right nor wrong, the interval is as wide as the two differences' together."""
        pairs = self._pairs(corrupted)
        if self._are_right_or_wrong:
            return _summarize(_mean_differences(pairs) - _mean_differences([(self.clean, clean)]))
        over_all, at_first = self._mean(pairs), self._mean([(self.clean, clean)])
        (low, high), (first_low, first_high) = over_all["interval"], at_first["interval"]
        return RobustnessDifference(
            difference=over_all["difference"] - at_first["difference"], interval=[low - first_high, high - first_low]
        )

    def _pairs(self, corrupted: Evaluations) -> list[tuple[Evaluation, Evaluation]]:
        return [pair for name in corrupted for pair in zip(self.corrupted[name], corrupted[name], strict=True)]

    @property
    def _are_right_or_wrong(self) -> bool:
        return self.clean.metrics.correct is not None

    def _mean(self, pairs: Sequence[tuple[Evaluation, Evaluation]]) -> RobustnessDifference:
        """Return the mean difference of pairs (the Keras model's evaluation, the file's) on versions of the images.

        Where predictions are right or wrong, the interval is over images, each with its mean difference. Else it is
        the mean of the pairs' intervals, as wide as if their chance were the same: it cannot be wider.
        """
        if self._are_right_or_wrong:
            return _summarize(_mean_differences(pairs))
        ends = [self.task.drop_confidence_interval(before.metric, before, after) for before, after in pairs]
        low, high = np.mean(ends, axis=0)
        return RobustnessDifference(
            difference=float(np.mean([after.value - before.value for before, after in pairs])),
            interval=[float(-high), float(-low)],
        )


def _mean_differences(pairs: Sequence[tuple[Evaluation, Evaluation]]) -> np.ndarray:
    """Return for each image, (N,), the share of its versions that only the second model of `pairs` gets right, minus
    that of those that only the first does."""
    won = [after.metrics.is_correct.astype(float) - before.metrics.is_correct for before, after in pairs]
    return np.asarray(np.mean(won, axis=0))


def _summarize(differences: np.ndarray) -> RobustnessDifference:
    return RobustnessDifference(
        difference=float(differences.mean()), interval=[float(end) for end in paired_mean_ci(differences)]
    )
