"""Show what `kresnet calibrate` fitted to a classifier or a detector: in sentences and tables, and in a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras_resnet.errors import RunError
from keras_resnet.progress import Log
from keras_resnet.progress import log as log_message
from keras_resnet.reporting import confidence, score_thresholds
from keras_resnet.reporting.charts import Chart
from keras_resnet.run import Run
from keras_resnet.run.calibration_documents import CalibrationDocument, ThresholdDocument
from keras_resnet.run.documents import WARNING, without_model, without_models
from keras_resnet.runtime.plurals import counted


@dataclass(frozen=True)
class Table:
    """A table, with its title. spare: columns that a narrow terminal may leave out."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]]
    spare: Sequence[str | Sequence[str]] = ()


@dataclass(frozen=True)
class CalibrationSummary:
    """heading: of the section of a report. title: what was fitted on which images, in a few words. results: what was
    fitted and what it does, a sentence each, warnings beside what they are about. how_to_read: what the columns of
    `tables` are."""

    heading: str
    title: str
    results: list[str]
    tables: list[Table]
    how_to_read: str

    @property
    def warnings(self) -> list[str]:
        """Those of the results that are warnings, without the word."""
        return [words.removeprefix(WARNING) for words in self.results if words.startswith(WARNING)]


@dataclass(frozen=True)
class CalibrationSection:
    """The section of a report, and the document that it shows."""

    document: CalibrationDocument | ThresholdDocument
    summary: CalibrationSummary
    charts: list[Chart]

    @property
    def classifier(self) -> CalibrationDocument | None:
        """The document of a classifier; None of a detector."""
        return None if "score_thresholds" in self.document else self.document


def describe_calibration(document: CalibrationDocument) -> CalibrationSummary:
    """Describe what was fitted to a classifier."""
    tables = [
        Table(
            "Calibration by model", confidence.COLUMNS, confidence.calibration_rows(document), confidence.SPARE_COLUMNS
        )
    ]
    if kinds := confidence.kind_rows(document):
        tables.append(Table("Unknown images by kind", confidence.KIND_COLUMNS, kinds))
    return CalibrationSummary(
        "Confidence and unknown images",
        confidence.describe_calibration(document),
        confidence.list_results(document),
        tables,
        confidence.how_to_read(document),
    )


def describe_thresholds(document: ThresholdDocument) -> CalibrationSummary:
    """Describe what was fitted to a detector."""
    rows, spare = score_thresholds.class_rows(document), score_thresholds.SPARE_COLUMNS
    tables = [Table("Thresholds by class", score_thresholds.CLASS_COLUMNS, rows, spare)]
    if check := document["check"]:
        title = f"Check: thresholds of one half of the images, F1 of the other {counted(check['images'], 'image')}"
        tables.append(Table(title, score_thresholds.CHECK_COLUMNS, score_thresholds.check_rows(check)))
    tables.append(Table("F1 by model", score_thresholds.MODEL_COLUMNS, score_thresholds.model_rows(document)))
    return CalibrationSummary(
        "Score thresholds",
        score_thresholds.describe_thresholds(document),
        score_thresholds.list_results(document),
        tables,
        score_thresholds.how_to_read(document),
    )


def list_steps(document: CalibrationDocument | ThresholdDocument, name: str) -> list[tuple[str, str]]:
    """Return what to do next with the run called `name`: (what follows `kresnet`, what that does)."""
    if "score_thresholds" in document:
        return score_thresholds.list_steps(name)
    return confidence.list_steps(document, name)


def read_section(run: Run, log: Log = log_message) -> CalibrationSection | None:
    """Read what was fitted; None before it. What cannot be read is left out, and `log` says why."""
    try:
        calibration, thresholds = run.calibration(), run.score_thresholds()
    except RunError as error:
        log(f"left out of the report: {error}")
        return None
    if calibration is not None:
        calibration = without_models(calibration, run.changed_files())
        summary = describe_calibration(calibration)
        return CalibrationSection(calibration, summary, confidence.confidence_charts(calibration))
    if thresholds is not None:
        thresholds = without_models(thresholds, run.changed_files())
        return CalibrationSection(
            thresholds, describe_thresholds(thresholds), score_thresholds.threshold_charts(thresholds)
        )
    return None


def forget_file(run: Run, file: str) -> None:
    """Remove what was measured of an exported file, which was written again since."""
    try:
        document = run.calibration() or run.score_thresholds()
    except RunError:
        return
    if document and (others := without_model(document, file)):
        run.write_json(run.confidence_file, others)
