"""Make the section of a report on what `kresnet calibrate` fitted, to a classifier or to a detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_resnet.errors import RunError
from keras_resnet.progress import log
from keras_resnet.reporting.charts import Chart
from keras_resnet.reporting.confidence import confidence_charts, describe_confidence
from keras_resnet.reporting.score_thresholds import describe_section, threshold_charts
from keras_resnet.run import Run


@dataclass(frozen=True)
class FittedSection:
    """title: of the section. context: what the template shows beside the charts."""

    title: str
    context: dict[str, Any]
    charts: list[Chart]


def read_section(run: Run) -> FittedSection | None:
    """Read what was fitted; None before it. What cannot be read is left out, and the log says why."""
    try:
        calibration, thresholds = run.calibration(), run.score_thresholds()
    except RunError as error:
        log(f"left out of the report: {error}")
        return None
    if calibration is not None:
        context = describe_confidence(calibration)
        return FittedSection("Confidence and unknown images", context, confidence_charts(calibration))
    if thresholds is not None:
        return FittedSection("Score thresholds", describe_section(thresholds), threshold_charts(thresholds))
    return None
