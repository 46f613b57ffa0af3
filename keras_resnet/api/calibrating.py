"""What `kresnet calibrate` fits to a run, and what that does, as Python has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from keras_resnet import progress
from keras_resnet.api.keywords import require_known, to_options
from keras_resnet.api.numbers_by_model import NumbersByModel, map_file_names
from keras_resnet.api.session import in_python_words
from keras_resnet.api.signatures import CALIBRATE, names
from keras_resnet.config.given_options import select_given
from keras_resnet.errors import RunError, UsageError
from keras_resnet.export.confidence_settings import OF_CLASSIFIERS, CalibrationSettings
from keras_resnet.reporting import html_tables
from keras_resnet.reporting.fitted import CalibrationSummary, describe_calibration, describe_thresholds
from keras_resnet.reporting.text_table import format_table
from keras_resnet.run import Run as RunFolder
from keras_resnet.run.calibration_documents import CalibrationDocument, ThresholdDocument
from keras_resnet.runtime.confidence import UNCALIBRATED
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.predictions import POSTPROCESSORS

if TYPE_CHECKING:
    from keras_resnet.export.confidence import RenewedFiles

DocumentT = TypeVar("DocumentT", CalibrationDocument, ThresholdDocument)


@dataclass(frozen=True, repr=False)
class FittedReport(NumbersByModel, Generic[DocumentT]):
    """What was fitted to a network and what it does: the conclusion, tables, and a sentence for each detail,
    printed and in a notebook.

    document: what confidence.json holds, and `kresnet calibrate --json` prints. summary: the same in sentences and
    tables. renewed: exported files that have it in their metadata now; grown: by how many bytes each of these; stale:
    those that have to be exported again for that; changed: those that were changed since they were verified, and were
    not written to. file_names: the file of each name of `run.files`.

    It is a mapping of all numbers by model: "Keras model", "int8.tflite", or "int8" as in `run.files`.
    """

    document: DocumentT
    summary: CalibrationSummary
    renewed: Sequence[str] = ()
    grown: Sequence[int] = ()
    stale: Sequence[str] = ()
    changed: Sequence[str] = ()
    file_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def results(self) -> list[str]:
        """What was fitted and what it does, a sentence each; warnings stand beside what they are about."""
        return list(map(in_python_words, self.summary.results))

    @property
    def warnings(self) -> list[str]:
        """What is uncertain or of no use, and what to do, a sentence each."""
        return list(map(in_python_words, self.summary.warnings))

    def __str__(self) -> str:
        conclusion, *details = self.results
        shown: list[str] = [f"{each.title}:\n{format_table(each.columns, each.rows)}" for each in self.summary.tables]
        return "\n".join([f"{self.summary.title}: {conclusion}", *details, *shown, self.summary.how_to_read])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.summary.title}>"

    def _repr_html_(self) -> str:
        tables = "".join(html_tables.table(each.columns, each.rows) for each in self.summary.tables)
        return (
            html_tables.items(self.results) + tables + html_tables.items([self.summary.how_to_read, self.summary.title])
        )


@dataclass(frozen=True, repr=False)
class CalibrationReport(FittedReport[CalibrationDocument]):
    """What was fitted to a classifier of one label per image."""

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax."""
        return self.document["temperature"]

    @property
    def threshold(self) -> float:
        """The score below which an image is unknown."""
        return self.document["rejection"]["threshold"]


@dataclass(frozen=True, repr=False)
class ThresholdReport(FittedReport[ThresholdDocument]):
    """What was fitted to a detector, or to instance segmentation: for each class, the score from which its objects are
    shown."""

    @property
    def thresholds(self) -> dict[str, float]:
        """The threshold, 0–1, of each class."""
        return {each["label"]: each["threshold"] for each in self.document["by_class"]}


def calibrate_run(run: RunFolder, keywords: Mapping[str, object]) -> CalibrationReport | ThresholdReport:
    """Calibrate `run` with the keywords of `Run.calibrate`. Raises as that does."""
    require_known("calibrate", keywords, names(CALIBRATE))
    return calibrate_and_keep(run, select_given(to_options(keywords)))


def calibrate_and_keep(run: RunFolder, given: Mapping[str, Any]) -> CalibrationReport | ThresholdReport:
    """Calibrate `run` with the `given` settings, keep what came out in its folder and in its exported files, and write
    its report again. Raises UsageError for a task to which nothing is fitted, and for settings without effect."""
    from keras_resnet.export.confidence import measure_calibration
    from keras_resnet.export.score_thresholds import measure_thresholds
    from keras_resnet.tasks import TASKS

    settings = CalibrationSettings(**given)
    run.require_finished()
    require_effect(run, given)
    if TASKS[run.spec().task].lists_objects():
        thresholds = measure_thresholds(run, settings, progress.log)
        summary, files = describe_thresholds(thresholds), _keep(run, thresholds)
        return ThresholdReport(thresholds, summary, **files, file_names=map_file_names(run))
    calibration = measure_calibration(run, settings, progress.log)
    described, kept = describe_calibration(calibration), _keep(run, calibration)
    return CalibrationReport(calibration, described, **kept, file_names=map_file_names(run))


def _log_earlier(run: RunFolder) -> None:
    """Say what will be replaced in the run and its files."""
    try:
        earlier = run.calibration()
        has_thresholds = run.score_thresholds() is not None
    except RunError:
        progress.log(f"{run.confidence_file.name}: replaces one that cannot be read")
        return
    if earlier is not None:
        images = counted(earlier["samples"], "validation image", ",")
        fitted = f"temperature {earlier['temperature']:.3g}, fitted to {images}"
        progress.log(f"{run.confidence_file.name}: replaces an earlier calibration ({fitted})")
    elif has_thresholds:
        progress.log(f"{run.confidence_file.name}: replaces earlier score thresholds")


def _keep(run: RunFolder, document: CalibrationDocument | ThresholdDocument) -> RenewedFiles:
    """Write what was fitted into the run and its exported files, and the report again. Returns which files have it."""
    from keras_resnet.export.confidence import renew_files
    from keras_resnet.reporting.page import publish_report

    _log_earlier(run)
    run.write_json(run.confidence_file, document)
    files = renew_files(run, run.confidence(), progress.log)
    publish_report(run)
    return files


def require_effect(run: RunFolder, given: Collection[str]) -> None:
    """Raise UsageError where nothing is fitted to the task of `run`, and for settings `given` that are of classifiers
    where it is none."""
    from keras_resnet.tasks import TASKS

    task = TASKS[run.spec().task]
    if task.has_one_label():
        return
    if not task.lists_objects():
        own = (
            f"; its thresholds were fitted when its training ended, and kresnet report {run.name} shows them"
            if POSTPROCESSORS[task.postprocessing].has_thresholds
            else ""
        )
        raise UsageError(
            "kresnet calibrate is for classifiers of one label per image, detectors and instance segmentation; run"
            f" {run.name} is trained for {task.title}{own}"
        )
    if refused := next((name for name in OF_CLASSIFIERS if name in given), None):
        raise UsageError(
            f"--{refused} is for classifiers of one label per image; run {run.name} is trained for {task.title}"
        )


def describe_renewed(names: Sequence[str], grown: Sequence[int]) -> str:
    """Name files whose metadata were renewed, say by how many bytes they have `grown`, and what stays as it was."""
    most = max(grown, key=abs)
    change = f"{counted(abs(most), 'byte', ',')} {'more' if most > 0 else 'less'}"
    size = (
        f" ({'' if len(set(grown)) == 1 else 'up to '}{change}{' in each' if len(names) > 1 else ''})" if most else ""
    )
    return f"{', '.join(names)}{size}; networks and verdicts are as they were"


def forget_calibration(run: RunFolder) -> list[str]:
    """Remove what was fitted to `run` from its exported files and its folder, and write its report again. Returns what
    was done, a sentence each. Raises UsageError where nothing was fitted."""
    from keras_resnet.export.confidence import renew_files
    from keras_resnet.reporting.page import publish_report

    run.require_finished()
    if not run.confidence_file.is_file():
        raise UsageError(f"run {run.name} has not been calibrated, so there is nothing to forget")
    files = renew_files(run, UNCALIBRATED, progress.log)
    run.confidence_file.unlink()  # last: until then, the command can be given again
    publish_report(run)
    done = [f"removed {run.confidence_file.name}"]
    if files["renewed"]:
        done.append(f"removed from the metadata of {describe_renewed(files['renewed'], files['grown'])}")
    if files["stale"]:
        done.append(f"not removed from {', '.join(files['stale'])}: write again with kresnet export {run.name}")
    done += [f"not removed: {run.describe_changed(name)}" for name in files["changed"]]
    return done
