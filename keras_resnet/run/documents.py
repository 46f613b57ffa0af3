"""Declare the JSON documents of a run folder. They are checked where they are read: files may be damaged, or edited by
hand.

Documents stay the dictionaries that they are in JSON, with types; what a file holds beyond them is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired, TypeVar, cast

from pydantic import AfterValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from keras_resnet.runtime.plurals import counted

DocumentT = TypeVar("DocumentT", bound=Mapping[str, Any])
# The name of the first of a document's "models"; the others have those of their files.
KERAS_MODEL = "Keras model"
# "1" is no number, and 1 is no text; what is not declared is kept.
kept = with_config(ConfigDict(extra="allow", strict=True))
Count = Annotated[int, Field(ge=0, lt=2**63)]
Number = Annotated[float, Field(allow_inf_nan=False)]
# No control characters: all of it is printed.
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]
Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/=]*$")]
# The ends of a 95% interval.
Interval = Annotated[list[Number], Field(min_length=2, max_length=2)]
# A value at each of 101 recalls or confidences, from 0 to 1.
Curve = Annotated[list[Number], Field(min_length=101, max_length=101)]
# What a row of log.jsonl has whatever the task; beside it the metrics of the task.
LOG_COLUMNS = ("epoch", "step", "loss", "val_loss", "learning_rate", "images_per_second")
# Rows of robustness.json beside those of the corruptions.
CLEAN, ALL = "clean", "all"
# What warnings begin with among the messages of a run.
WARNING = "warning: "


def find_model(models: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return that of a document's "models" which has the `name`. Raises KeyError, naming those there are."""
    for each in models:
        if each["name"] == name:
            return each
    raise KeyError(f"{name!r} is none of {', '.join(each['name'] for each in models)}")


def without_model(document: DocumentT, name: str) -> DocumentT | None:
    """Return the document without that of its "models" which has the `name`; None where it has no such model."""
    others = without_models(document, [name])
    return None if len(others["models"]) == len(document["models"]) else others


def without_models(document: DocumentT, names: Sequence[str]) -> DocumentT:
    """Return the document without those of its "models" that have the `names`."""
    return cast(DocumentT, {**document, "models": [each for each in document["models"] if each["name"] not in names]})


@kept
class Fingerprint(TypedDict):
    """What identifies the data of one split: see `data_fingerprint.fingerprint_split`."""

    images: Count
    ground_truth: Line
    labels: NotRequired[dict[str, Count]]
    pixels: NotRequired[Line]
    files: NotRequired[Line]


@kept
class DataChange(TypedDict):
    """One resumption, after so many steps, with data that had changed: in which way."""

    time: Line
    step: Count
    description: Line


@kept
class RunDocument(TypedDict):
    """spec.json. request: what was asked for, see `run.command`; data: of each split; messages: what was printed
    before the first step, which is what was chosen automatically, with the reasons; changes: those in spite of which
    `--data-changed` went on."""

    format: int
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d[\d:.+]*$")]
    versions: dict[Line, Line]
    spec: dict[str, Any]
    request: NotRequired[dict[str, Any]]
    data: NotRequired[dict[Line, Fingerprint]]
    messages: NotRequired[list[Line]]
    changes: NotRequired[list[DataChange]]


def list_warnings(document: RunDocument) -> list[str]:
    """Return what was warned of before the first step of a run, such as validation images that were trained on."""
    return [line.removeprefix(WARNING) for line in document.get("messages", []) if line.startswith(WARNING)]


class RunRecords(TypedDict, total=False):
    """What spec.json of a new run holds beside the spec; see `RunDocument`."""

    request: Mapping[str, Any]
    data: Mapping[str, Fingerprint]
    messages: list[str]


@kept
class MetricsDocument(TypedDict):
    """metrics.json. value: 0–1. macro_recall: of a classifier, the mean of its classes' recalls. thresholds: of each
    label in their order, of a task that predicts several. intervals: 95% intervals of metrics, by name."""

    split: Line
    metric: Line
    value: Number
    samples: Count
    thresholds: NotRequired[list[Annotated[Number, Field(ge=0, le=1)]]]
    macro_recall: NotRequired[Number]
    intervals: NotRequired[dict[str, Interval]]


@kept
class SplitDigest(TypedDict):
    """The number of images of one split, and the SHA-256 "of" what."""

    images: Count
    of: Line
    sha256: Line


@kept
class SplitDigests(TypedDict):
    """The digests by split."""

    train: SplitDigest
    validation: SplitDigest


@kept
class PartCounts(TypedDict):
    """The size of one part of the network."""

    part: Line
    layers: Count
    parameters: Count
    multiply_adds: Count


@kept
class CalibrationBin(TypedDict):
    """Predictions of about the same confidence: their mean, and their accuracy."""

    confidence: Number
    accuracy: Number
    images: Count


@kept
class Calibration(TypedDict):
    """The expected calibration error, and what it is computed from."""

    error: Number
    bins: Annotated[list[CalibrationBin], Field(min_length=1)]


@kept
class ConfusedPair(TypedDict):
    """How often one label is predicted for another."""

    label: str
    prediction: str
    images: Count


@kept
class Sample(TypedDict):
    """An image of the report with its predictions, and another with its ground truth, WebP files as base64; what is
    predicted in it, and the name of its file. logits, labeled: of a classifier's mistake, in the order of the labels,
    and the label of the ground truth; the caption is without a temperature."""

    caption: str
    logits: NotRequired[list[Number]]
    labeled: NotRequired[str]
    file: str
    image: Base64
    ground_truth: NotRequired[Base64]


@kept
class HeatMapImage(TypedDict):
    """An image of the report with its heat map, WebP files as base64, the label whose score is explained, and the name
    of its file. logits, labeled: see `Sample`; what is predicted right has no "labeled"."""

    caption: str
    logits: NotRequired[list[Number]]
    labeled: NotRequired[str]
    file: str
    label: str
    image: Base64
    overlay: Base64


@kept
class HeatMapGroup(TypedDict):
    """Heat maps that are shown together, and the method by which they were made."""

    title: Line
    method: Line
    maps: Annotated[list[HeatMapImage], Field(min_length=1)]


def _require_numbers_beside_label(row: dict[str, Any]) -> dict[str, Any]:
    for key, value in row.items():
        if isinstance(value, str) != (key == "label") or (value is None and key in ("images", "objects")):
            raise ValueError(f"{key!r} must be {'text' if key == 'label' else 'a number'}")
    return row


# The metrics of one class: its "label", and numbers, some of which may not be known.
ClassRow = Annotated[dict[str, str | int | Number | None], AfterValidator(_require_numbers_beside_label)]


@kept
class BaselineRow(TypedDict):
    """How a model compares with a baseline: see `baselines.BaselineComparison`."""

    baseline: Line
    trivial: bool
    metric: Line
    value: Number
    model_value: Number
    lead: Number
    lead_interval: Interval
    images: Count
    standing: Line


@kept
class Analysis(TypedDict):
    """analysis.json."""

    data: SplitDigests
    baselines: NotRequired[list[BaselineRow]]
    parts: list[PartCounts]
    by_class: Annotated[list[ClassRow], Field(min_length=1)]
    calibration: NotRequired[Calibration]
    confusion: NotRequired[list[list[Count]]]
    confused: NotRequired[list[ConfusedPair]]
    curves: NotRequired[dict[str, Curve]]
    f1_curves: NotRequired[dict[str, Curve]]
    threshold: NotRequired[Number]
    metrics: NotRequired[dict[str, Number]]
    intervals: NotRequired[dict[str, Interval]]
    heat_maps: NotRequired[list[HeatMapGroup]]
    samples: list[Sample]


@kept
class LayerSensitivity(TypedDict):
    """What rounding one layer to 8 bits changes."""

    layer: str
    agreement: Number
    error: Number


@kept
class Diagnosis(TypedDict):
    """diagnosis.json."""

    images: Count
    agreement_of_all: Number
    layers: Annotated[list[LayerSensitivity], Field(min_length=1)]


@kept
class RobustnessDifference(TypedDict):
    """A file's metric minus the Keras model's on the same images, 0–1, with its 95% interval."""

    difference: Number
    interval: Interval


@kept
class ModelRobustness(TypedDict):
    """How a model does on corrupted images. name: of the Keras model, or of the file among the exports. clean: its
    metric, 0–1, on the images as they are; values: on those with each corruption, by severity, in order.

    differences: of a file from the Keras model on the "clean" images, of each corruption on average over severities,
    and on average over "all"; none of the Keras model. change: the difference over all minus the clean one.
    """

    name: Line
    clean: Number
    values: dict[Line, Annotated[list[Number], Field(min_length=1)]]
    differences: dict[Line, RobustnessDifference]
    change: RobustnessDifference | None


@kept
class RobustnessDocument(TypedDict):
    """robustness.json. constants: the dataset whose constants the corruptions have. image_size: height and width.
    left_out: corruptions that were not measured, and why. models: the Keras model first."""

    metric: Line
    samples: Count
    seed: Count
    severities: Annotated[list[Annotated[int, Field(ge=1, le=5)]], Field(min_length=1)]
    constants: Line
    image_size: Annotated[list[Count], Field(min_length=2, max_length=2)]
    left_out: dict[Line, Line]
    models: Annotated[list[ModelRobustness], Field(min_length=1)]


def describe_inconsistency(document: RobustnessDocument) -> str:
    """Say what of robustness.json does not fit together; "" where all does."""
    count, (reference, *files) = len(document["severities"]), document["models"]
    names = reference["values"].keys()
    for model in document["models"]:
        if not names or model["values"].keys() != names or {*map(len, model["values"].values())} != {count}:
            return f"{model['name']} has not {counted(count, 'value')} of each corruption"
    for file in files:
        if file["change"] is None or not {CLEAN, ALL, *names} <= file["differences"].keys():
            return f"{file['name']} has not all differences from {reference['name']}"
    return ""


@kept
class BestEpoch(TypedDict):
    """The epoch with the lowest validation loss."""

    epoch: Count
    loss: Number


@with_config(ConfigDict(extra="forbid"))
class NoEpoch(TypedDict):
    """No epoch yet."""


@kept
class CheckpointDocument(TypedDict):
    """The JSON of a checkpoint: see `training.checkpoint`."""

    step: Count
    sums: list[Number]
    best: Annotated[BestEpoch | NoEpoch, Field(union_mode="left_to_right")]
    sha256: Line
