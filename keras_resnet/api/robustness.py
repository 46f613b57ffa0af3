"""How a run's model and files do on corrupted images, as Python has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_resnet import progress
from keras_resnet.api.keywords import require_known, to_list, to_options
from keras_resnet.api.numbers_by_model import NumbersByModel, map_file_names
from keras_resnet.api.signatures import ROBUSTNESS, names
from keras_resnet.config.given_options import select_given
from keras_resnet.config.settings import iterate_settings
from keras_resnet.export.robustness_settings import RobustnessSettings
from keras_resnet.reporting import html_tables
from keras_resnet.reporting.robustness import (
    HOW_TO_READ,
    describe_robustness,
    keep_robustness,
    list_conclusions,
    mean_value,
    robustness_columns,
    robustness_rows,
)
from keras_resnet.run import Run as RunFolder
from keras_resnet.run.documents import ALL, RobustnessDocument

_LISTS = {each.key for each in iterate_settings(RobustnessSettings) if each.is_list}


@dataclass(frozen=True, repr=False)
class RobustnessReport(NumbersByModel):
    """How a run's model and files do on corrupted images: printed, a sentence for each; in a notebook, a table.

    document: what robustness.json holds, and `kresnet robustness --json` prints. file_names: the file of each name of
    `run.files`.

    It is a mapping of all numbers by model: "Keras model", "int8.tflite", or "int8" as in `run.files`.
    """

    document: RobustnessDocument
    file_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def conclusions(self) -> list[str]:
        """What it shows, a sentence for each model."""
        return list_conclusions(self.document)

    def mean(self, name: str, corruption: str = ALL) -> float:
        """Return the metric, 0–1, of a model on images with a corruption, on average over severities: "all" is over all
        corruptions, "clean" is on the images as they are."""
        document: Any = self[name]
        return mean_value(document, corruption)

    def __str__(self) -> str:
        return "\n".join([describe_robustness(self.document), *self.conclusions])

    def __repr__(self) -> str:
        return f"<RobustnessReport {describe_robustness(self.document)}>"

    def _repr_html_(self) -> str:
        table = html_tables.table(robustness_columns(self.document), robustness_rows(self.document))
        return table + html_tables.items([*self.conclusions, describe_robustness(self.document), HOW_TO_READ])


def measure_run(run: RunFolder, keywords: Mapping[str, object]) -> RobustnessReport:
    """Measure `run` with the keywords of `Run.robustness`. Raises as that does."""
    require_known("robustness", keywords, names(ROBUSTNESS))
    given = select_given(to_options(keywords))
    given = {name: to_list(value) if name in _LISTS else value for name, value in given.items()}
    return RobustnessReport(measure_and_keep(run, RobustnessSettings(**given)), map_file_names(run))


def measure_and_keep(run: RunFolder, settings: RobustnessSettings) -> RobustnessDocument:
    """Measure `run`, keep what came out in its folder and write its report again."""
    from keras_resnet.export.robustness import measure_robustness
    from keras_resnet.reporting.page import publish_report

    document = measure_robustness(run, settings, progress.log)
    if (earlier := run.robustness(progress.log)) is not None:
        progress.log(f"robustness.json: replaces an earlier measurement ({describe_robustness(earlier)})")
    keep_robustness(run, document)
    publish_report(run)
    return document


def measure_file(file: Path, settings: RobustnessSettings, home: Path, of_run: str | None = None) -> RobustnessDocument:
    """Measure an exported file beside the Keras model of its run, and keep nothing. home: where runs live; of_run: the
    run's name, where the file does not tell."""
    from keras_resnet.export.evaluate import RunLookup
    from keras_resnet.export.robustness import measure_robustness

    lookup = RunLookup(home, of_run)
    return measure_robustness(lookup.find(file, lookup.load(file)), settings, progress.log, [file])
