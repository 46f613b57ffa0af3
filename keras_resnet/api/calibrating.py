"""How sure a run's classifier is and when it answers "unknown", as Python has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_resnet import progress
from keras_resnet.api.keywords import require_known, to_options
from keras_resnet.api.signatures import CALIBRATE, names
from keras_resnet.config.given_options import select_given
from keras_resnet.export.confidence_settings import CalibrationSettings
from keras_resnet.reporting import html_tables
from keras_resnet.reporting.confidence import COLUMNS, calibration_rows, describe_calibration, list_results
from keras_resnet.run import Run as RunFolder
from keras_resnet.run.calibration_documents import CalibrationDocument
from keras_resnet.run.documents import find_model


@dataclass(frozen=True, repr=False)
class CalibrationReport:
    """What was fitted to a classifier and what it does: printed, a sentence for each; in a notebook, a table.

    document: what confidence.json holds, and `kresnet calibrate --json` prints. renewed: exported files that have it in
    their metadata now; stale: those that have to be exported again for that.
    """

    document: CalibrationDocument
    renewed: Sequence[str] = ()
    stale: Sequence[str] = ()

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax."""
        return self.document["temperature"]

    @property
    def threshold(self) -> float:
        """The score below which an image is unknown."""
        return self.document["rejection"]["threshold"]

    @property
    def models(self) -> Sequence[str]:
        """The names of the models: "Keras model", then those of the files."""
        return [each["name"] for each in self.document["models"]]

    @property
    def results(self) -> list[str]:
        """What was fitted and what it does, a sentence each."""
        return list_results(self.document)

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        """Return all numbers of a model. Raises KeyError, naming those there are."""
        return find_model(self.document["models"], name)

    def __str__(self) -> str:
        return "\n".join([describe_calibration(self.document), *self.results])

    def __repr__(self) -> str:
        return f"<CalibrationReport {describe_calibration(self.document)}>"

    def _repr_html_(self) -> str:
        table = html_tables.table(list(COLUMNS), calibration_rows(self.document))
        return table + html_tables.items([*self.results, describe_calibration(self.document)])


def calibrate_run(run: RunFolder, keywords: Mapping[str, object]) -> CalibrationReport:
    """Calibrate `run` with the keywords of `Run.calibrate`. Raises as that does."""
    require_known("calibrate", keywords, names(CALIBRATE))
    return calibrate_and_keep(run, CalibrationSettings(**select_given(to_options(keywords))))


def calibrate_and_keep(run: RunFolder, settings: CalibrationSettings) -> CalibrationReport:
    """Calibrate `run`, keep what came out in its folder and in its exported files, and write its report again."""
    from keras_resnet.export.confidence import measure_calibration, renew_files
    from keras_resnet.reporting.page import publish_report

    document = measure_calibration(run, settings, progress.log)
    run.write_json(run.confidence_file, document)
    files = renew_files(run, progress.log)
    publish_report(run)
    return CalibrationReport(document, files["renewed"], files["stale"])
