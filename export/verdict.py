"""The verdict on one written file, within a budget, as verdicts.json has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from keras_resnet.errors import UsageError
from keras_resnet.evaluation.baselines import BaselineComparison
from keras_resnet.export.benchmark import Cost
from keras_resnet.export.flatbuffer import FLOAT_TYPES
from keras_resnet.export.formats import get_format, recognize_format
from keras_resnet.export.micro_needs import MicroNeeds
from keras_resnet.metrics import outcome
from keras_resnet.metrics.labels import metric_label
from keras_resnet.reporting import html_tables
from keras_resnet.reporting.text_table import format_table
from keras_resnet.runtime.plurals import counted


@dataclass(frozen=True)
class Budget:
    """max_drop: what a file may lose, as a fraction (0.01 is one point). require_proof: whether a file fails whose drop
    is not proven to be within that."""

    max_drop: float = 0.01
    require_proof: bool = False

    @classmethod
    def from_points(cls, max_drop: float, require_proof: bool = False) -> Budget:
        """Return a budget of `max_drop` points. Raises UsageError unless these are 0 to 100."""
        if not 0 <= max_drop <= 100:
            raise UsageError(f"max_drop must be between 0 and 100 points. Received: {max_drop}")
        return cls(max_drop / 100, require_proof)


@dataclass(frozen=True)
class MetricDrop:
    """The drop of one metric and its 95% interval, as fractions."""

    drop: float
    interval: tuple[float, float]


@dataclass(frozen=True, repr=False)
class Verdict:
    """What is known of one written file.

    scheme: of its quantization, with what departs from that scheme's defaults; else the format's name.
    sha256: of the file that was verified, see `verified_files.hash_file`; None in verdicts of earlier versions.
    bytes: on the device; gzip_bytes: as a download.
    value: the metric, 0–1, of so many samples; model_value: the float model's, of the same. details: other numbers
    beside it. drop: the float model's value of `drop_metric` minus the file's, with its 95% interval; that metric is
    the one that decides, and drops has each that may decide by name; further_drops those of metrics that never do.
    agreement: fraction of images (or of objects) on which both predict the same; own_agreement: the same with the
    run's own model, where that is a compressed one.
    worst_class, worst_class_drop: the label whose own metric fell most (see `labels.class_metric_label`), and by
    how much.
    largest_difference, mean_difference: of outputs, absolute. operators, dtypes: how many of each, in a TFLite file.
    cost: time and memory. machine: where the file was run; simulator: what stood for the chip there, which has no cost,
    "" for nothing. baselines: how the float model stands to what needs no
    network. data_changed: what is other than when the model was trained, "" for nothing.
    max_drop, require_proof: see `Budget`. verdict: "PASSED" if the upper ends of the intervals are within max_drop;
    "NOT PROVEN" if only the drops themselves are, or "FAILED" under require_proof; "FAILED" if one is not.
    micro: what microcontrollers need for an 8-bit file, None of others, and where it ran on a device.
    images_to_settle: of a file that is not proven, how many validation images would do, if predictions differ as often
    on them; None if none would.
    """

    file: str
    scheme: str
    bytes: int
    gzip_bytes: int
    metric: str
    value: float
    model_value: float
    details: dict[str, float]
    samples: int
    drop_metric: str
    drop: float
    drop_interval: tuple[float, float]
    drops: dict[str, MetricDrop]
    further_drops: dict[str, MetricDrop]
    agreement: float
    own_agreement: float
    worst_class: str
    worst_class_drop: float
    largest_difference: float | None
    mean_difference: float | None
    operators: dict[str, int] | None
    dtypes: dict[str, int] | None
    cost: Cost
    machine: str
    baselines: tuple[BaselineComparison, ...]
    data_changed: str
    max_drop: float
    require_proof: bool
    images_to_settle: int | None
    calibration_sha256: str | None
    micro: MicroNeeds | None
    simulator: str
    verdict: str
    sha256: str | None = field(default=None, kw_only=True)

    def as_dict(self) -> dict[str, object]:
        """Return the verdict as a row of verdicts.json: all fields, and latency_ms, null where it means nothing."""
        return {**asdict(self), "latency_ms": self.latency_ms}

    def __str__(self) -> str:
        """In a line, drops in points; and a line for whatever has to be known beside it."""
        row = self.as_dict()
        return "\n".join([self.summary, *outcome.list_remarks([row]), *outcome.list_shared_remarks(row)])

    def __repr__(self) -> str:
        return f"<Verdict {self.summary}>"

    @property
    def summary(self) -> str:
        """The line that it begins with."""
        latency = "" if self.latency_ms is None else f", {self.latency_ms:.2f} ms"
        return (
            f"{self.words}: {self.file}, {self.bytes / 1e6:.2f} MB, {metric_label(self.metric)} {self.value:.2%} of"
            f" {counted(self.samples, 'image')}, {outcome.describe_drop(self.as_dict())},"
            f" agreement {self.agreement:.2%}{latency}"
        )

    def _repr_html_(self) -> str:
        return show_verdicts([self])

    @property
    def words(self) -> str:
        """The outcome for people: "PASSED", "PASSED, not proven", …"""
        return outcome.describe_outcome(self.as_dict())

    @property
    def passed(self) -> bool:
        """Whether the file is taken to be within its budget, proven or not."""
        return self.verdict in outcome.ACCEPTED

    @property
    def all_integer(self) -> bool:
        """Whether it is a TFLite file within its budget that holds no floating-point tensor."""
        has_floats = any(name.startswith(FLOAT_TYPES) for name in self.dtypes or ())
        return is_tflite_file(self.file) and self.passed and bool(self.dtypes) and not has_floats

    @property
    def latency_ms(self) -> float | None:
        """The median of one image with all threads, in milliseconds; None where time means nothing."""
        return self.cost.latencies[-1].p50 if self.cost.latencies else None


def list_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a line for each of the `verdicts`, and then, each once, what has to be known beside them."""
    remarks = [line for each in verdicts for line in str(each).splitlines()[1:]]
    return [*(each.summary for each in verdicts), *dict.fromkeys(remarks)]


def is_tflite_file(name: str) -> bool:
    """Return whether `name` is that of a .tflite file."""
    return recognize_format(Path(name)) is get_format("tflite")


def show_verdicts(verdicts: list[Verdict]) -> str:
    """Return verdicts as a notebook shows them: a table with its remarks, HTML."""
    columns, rows, remarks = _list_cells(verdicts)
    cells = [
        [*row, html_tables.outcome(verdict.words, verdict.passed)] for row, verdict in zip(rows, verdicts, strict=True)
    ]
    return html_tables.table([*columns, "verdict"], cells) + html_tables.items(remarks)


def format_verdicts(verdicts: list[Verdict]) -> str:
    """Return verdicts as text: a table, and below it each remark once."""
    columns, rows, remarks = _list_cells(verdicts)
    lines = [[*row, each.words] for row, each in zip(rows, verdicts, strict=True)]
    return "\n".join([format_table([*columns, "verdict"], lines), *remarks])


def _list_cells(verdicts: list[Verdict]) -> tuple[list[str], list[list[str]], list[str]]:
    """Return (columns, a row for each file, remarks); the verdict itself is left out."""
    first, rows = verdicts[0], [verdict.as_dict() for verdict in verdicts]
    has_budgets = outcome.have_budgets(rows)
    cells = [
        [
            verdict.file,
            f"{verdict.bytes / 1e6:.2f} MB",
            f"{verdict.value:.2%}",
            outcome.format_drop(row),
            *[outcome.format_budget(row)] * has_budgets,
            f"{verdict.agreement:.2%}",
            outcome.format_cost(verdict.latency_ms, ".2f", " ms"),
        ]
        for verdict, row in zip(verdicts, rows, strict=True)
    ]
    budget = ["budget, points"] * has_budgets
    columns = ["file", "size", metric_label(first.metric), "drop, points", *budget, "agreement", "latency"]
    tested = [outcome.describe_tested_metrics(rows[0])]
    remarks = [*filter(None, tested), *outcome.list_remarks(rows), *outcome.list_shared_remarks(rows[0])]
    return columns, cells, remarks
