"""Find two models or more, of runs or in exported files, and evaluate them on the same validation images: `kresnet
compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.analysis import describe_data_changes
from keras_resnet.evaluation.evaluate import evaluate, evaluation_batches, keras_predictor, load_model, load_task
from keras_resnet.export.evaluate import RunLookup
from keras_resnet.export.load import file_size, is_exported_file, load_file, read_content
from keras_resnet.export.paired import PairedComparison, compare_evaluations
from keras_resnet.export.pipeline import load_run_data
from keras_resnet.export.tta import Predict
from keras_resnet.export.verify import draw_samples
from keras_resnet.metrics.result import Evaluation
from keras_resnet.progress import Log
from keras_resnet.reporting.compare import describe_difference
from keras_resnet.reporting.compared_models import describe_file, describe_run
from keras_resnet.reporting.recommend import DescribedVerdict, describe_verdicts
from keras_resnet.run import Run
from keras_resnet.run.data_fingerprint import fingerprint_split


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
        """Where it is: two models of one place are the same."""
        return (self.file or self.run.folder).resolve()

    def load(self) -> Predict:
        """Load it as a callable on uint8 images. Raises ExportError or RunError if it cannot be read."""
        return load_file(self.file) if self.file else keras_predictor(load_model(self.run))

    def describe_row(
        self, evaluation: Evaluation | None, others: Sequence[ComparedModel] = ()
    ) -> dict[str, str | None]:
        """Return its row beside `others`, in words: a run's has no exported file where one has a row of its own.
        evaluation: on the validation images, where it was made."""
        if self.file is None:
            folders = [each.run.folder.resolve() for each in others if each.file]
            return describe_run(self.run, self.name, evaluation, self.run.folder.resolve() not in folders)
        size = file_size(self.file)
        return describe_file(self.run, self.name, self.file, size, evaluation, _find_verdict(self.run, self.file))


def _find_verdict(run: Run, file: Path) -> DescribedVerdict | None:
    """Return the verdict of `run` on an exported file, or on one of the same content; None where there is none."""
    size = file_size(file)
    for row in describe_verdicts(run):
        own = run.exports / row["file"]
        if row["bytes"] == size and own.exists() and (own.resolve() == file.resolve() or _have_same_content(own, file)):
            return row
    return None


def _have_same_content(one: Path, other: Path) -> bool:
    return is_exported_file(str(one)) and read_content(one) == read_content(other)


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
    models = name_briefly(models)
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


def name_briefly(models: Sequence[ComparedModel]) -> list[ComparedModel]:
    """Return `models` with short names, where these tell them apart: that of a run for one that was named by its
    folder, and run/file for one of its exported files."""
    brief = [replace(each, name=_name_briefly(each)) for each in models]
    is_clear = len({each.name for each in brief}) == len({each.place for each in models})
    return brief if is_clear else list(models)


def _name_briefly(model: ComparedModel) -> str:
    if model.file is None:
        return model.run.name
    is_own = Run.containing(model.file) == model.run
    return f"{model.run.name}/{model.file.name}" if is_own else model.name


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
