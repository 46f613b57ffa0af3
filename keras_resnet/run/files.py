"""What the files of a run folder hold, each checked where it is read: they may be damaged, or edited by hand.

Documents stay the dictionaries that they are in JSON, with types; what a file holds beyond them is kept.
"""

from __future__ import annotations

import json
import math
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from keras_resnet.atomic_write import reason
from keras_resnet.errors import RunError
from keras_resnet.runtime.plurals import counted

T = TypeVar("T")
# "1" is no number, and 1 is no text.
_kept = with_config(ConfigDict(extra="allow", strict=True))
Count = Annotated[int, Field(ge=0, lt=2**63)]
Number = Annotated[float, Field(allow_inf_nan=False)]
# No control characters: all of it is printed.
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]
# The name of a file among the exports, not a path out of them.
FileName = Annotated[str, Field(pattern=r"^(rejected/)?[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*$")]
SHOWN = 60
# What a row of log.jsonl has whatever the task; beside it what the task follows.
ROW = ("epoch", "step", "loss", "val_loss", "learning_rate", "images_per_second")
# Of model.keras: what is in it; bytes of one weight; bytes that are few, and how many times their own size files may
# claim to be.
CONFIG, WEIGHTS, KERNEL_BYTES, MOST_SMALL, MOST_RATIO = "config.json", "model.weights.h5", 4, 2**26, 20


@_kept
class Fingerprint(TypedDict):
    """See `data.fingerprint`."""

    images: Count
    truth: Line
    labels: NotRequired[dict[str, Count]]
    pixels: NotRequired[Line]
    files: NotRequired[Line]


@_kept
class Change(TypedDict):
    """That a training went on, after so many steps, although its data had changed: in which way."""

    when: Line
    step: Count
    what: Line


@_kept
class Document(TypedDict):
    """spec.json. data: of each split; changes: those that `--data-changed` went on in spite of."""

    format: int
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d[\d:.+]*$")]
    versions: dict[Line, Line]
    spec: dict[str, Any]
    data: NotRequired[dict[Line, Fingerprint]]
    changes: NotRequired[list[Change]]


@_kept
class Metrics(TypedDict):
    """metrics.json. value: 0–1."""

    split: Line
    metric: Line
    value: Number
    samples: Count


@_kept
class Digest(TypedDict):
    """Of one split: how many images, and the SHA-256 "of" what."""

    images: Count
    of: Line
    sha256: Line


@_kept
class Digests(TypedDict):
    """By split."""

    train: Digest
    validation: Digest


@_kept
class Part(TypedDict):
    """One part of the network."""

    part: Line
    layers: Count
    parameters: Count
    multiply_adds: Count


@_kept
class Bin(TypedDict):
    """Answers that are about as sure as each other."""

    sure: Number
    right: Number
    images: Count


@_kept
class Calibration(TypedDict):
    """Whether answers are as sure as they are right."""

    error: Number
    bins: Annotated[list[Bin], Field(min_length=1)]


@_kept
class Confused(TypedDict):
    """How often one label is taken for another."""

    label: str
    answer: str
    images: Count


@_kept
class Picture(TypedDict):
    """An image of the report, as base64."""

    words: str
    png: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/=]*$")]


def _all_but_label_numbers(row: dict[str, Any]) -> dict[str, Any]:
    for key, value in row.items():
        if isinstance(value, str) != (key == "label") or (value is None and key in ("images", "objects")):
            raise ValueError(f"{key!r} must be {'text' if key == 'label' else 'a number'}")
    return row


# What is counted of one class: its "label", and numbers, some of which may not be known.
ClassRow = Annotated[dict[str, str | int | Number | None], AfterValidator(_all_but_label_numbers)]


@_kept
class StandingRow(TypedDict):
    """How a model stands to a baseline: see `baselines.Standing`."""

    baseline: Line
    trivial: bool
    metric: Line
    value: Number
    model_value: Number
    lead: Number
    lead_interval: Annotated[list[Number], Field(min_length=2, max_length=2)]
    images: Count
    standing: Line


@_kept
class Findings(TypedDict):
    """findings.json."""

    data: Digests
    baselines: NotRequired[list[StandingRow]]
    parts: list[Part]
    by_class: Annotated[list[ClassRow], Field(min_length=1)]
    calibration: NotRequired[Calibration]
    confusion: NotRequired[list[list[Count]]]
    confused: NotRequired[list[Confused]]
    curves: NotRequired[dict[str, Annotated[list[Number], Field(min_length=101, max_length=101)]]]
    pictures: list[Picture]


@_kept
class Latency(TypedDict):
    """Milliseconds for one image: the median."""

    threads: Count
    p50: Annotated[Number, Field(gt=0)]


@_kept
class Cost(TypedDict):
    """Time and memory of a file."""

    latencies: Annotated[list[Latency], Field(min_length=1)]
    peak_mib: Number


@_kept
class OldVerdict(TypedDict):
    """A row of verdicts.json by an earlier version, which measured less."""

    file: FileName
    verdict: Line


@_kept
class VerdictRow(TypedDict):
    """A row of verdicts.json: see `export.verify.Verdict`."""

    file: FileName
    scheme: Line
    bytes: Annotated[Count, Field(gt=0)]
    gzip_bytes: Count
    metric: Line
    value: Number
    samples: Count
    drop: Number
    drop_metric: NotRequired[Line]
    drop_interval: Annotated[list[Number], Field(min_length=2, max_length=2)] | None
    images_to_settle: NotRequired[Count | None]
    baselines: NotRequired[list[StandingRow]]
    data_changed: NotRequired[Line]
    agreement: Number
    worst_class: str
    worst_class_drop: Number
    latency_ms: Annotated[Number, Field(gt=0)]
    cost: Cost
    machine: Line
    max_drop: Number
    verdict: Line


@_kept
class LayerDamage(TypedDict):
    """What rounding one layer changes."""

    layer: str
    agreement: Number
    error: Number


@_kept
class Diagnosis(TypedDict):
    """diagnosis.json."""

    images: Count
    agreement_of_all: Number
    layers: Annotated[list[LayerDamage], Field(min_length=1)]


@_kept
class Best(TypedDict):
    """The epoch with the lowest validation loss."""

    epoch: Count
    loss: Number


@with_config(ConfigDict(extra="forbid"))
class Nothing(TypedDict):
    """No epoch yet."""


@_kept
class Saved(TypedDict):
    """The JSON of a checkpoint: see `engine.checkpoint`."""

    step: Count
    sums: list[Number]
    best: Annotated[Best | Nothing, Field(union_mode="left_to_right")]
    sha256: Line


def read_bytes(file: Path) -> bytes:
    """The content of an ordinary file: a pipe would be waited for. Raises OSError."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(f"{file.name} is not an ordinary file")
    return file.read_bytes()


def read_text(file: Path) -> str:
    """The same as UTF-8. Raises OSError or ValueError."""
    return read_bytes(file).decode()


def parsed(kind: type[T], content: bytes) -> T:
    """JSON as a `kind` of this module. Raises ValueError that says in one sentence where it is none."""
    if not content.strip():
        raise ValueError("it is empty")
    try:
        return TypeAdapter(kind).validate_json(content, strict=True)
    except ValidationError as error:
        raise ValueError(sentence(error)) from error


def sentence(error: ValidationError) -> str:
    """The first fault that pydantic found: where, what, and what was received."""
    first = error.errors(include_url=False)[0]
    where = "".join(f"{part}: " if n == len(first["loc"]) else f"{part}." for n, part in enumerate(first["loc"], 1))
    return f"{where}{first['msg'].replace('Input', 'it')}. Received: {shortened(first['input'])}"


def shortened(value: object) -> str:
    """What was received, in one line that is not too long."""
    shown = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    text = repr(shown) if not isinstance(shown, (list, dict)) or len(shown) < SHOWN else type(shown).__name__
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def rows_of(content: bytes, wanted: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of log.jsonl, and why others cannot be read. All rows have `wanted` and what else the first whole one
    has, as numbers; epochs and steps are whole."""
    rows: list[dict[str, Any]] = []
    troubles = []
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), 1):
        try:
            row: dict[str, Any] = parsed(dict[str, float], line)
            lacks = [key for key in dict.fromkeys((*wanted, *(rows[0] if rows else ()))) if key not in row]
            if lacks:
                raise ValueError(f"it lacks {lacks[0]!r}")
            whole = {key: int(row[key]) for key in ("epoch", "step")}
            if any(value != row[key] or value < 1 for key, value in whole.items()):
                raise ValueError("epoch and step must be whole numbers from 1 on")
            rows.append({**row, **whole})
        except (ValueError, OverflowError) as error:
            troubles.append(f"line {number}: {error}")
    return rows, troubles


def verdicts_of(content: bytes) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of verdicts.json, and why others cannot be read. Raises ValueError if it is no list."""
    rows, troubles = [], []
    for number, row in enumerate(parsed(list[Any], content), 1):
        kind = VerdictRow if isinstance(row, dict) and "scheme" in row else OldVerdict
        try:
            rows.append(dict(TypeAdapter[Any](kind).validate_python(row, strict=True)))
        except ValidationError as error:
            troubles.append(f"row {number}: {sentence(error)}")
    return rows, troubles


def require_model(file: Path, image_size: int) -> None:
    """Raises RunError unless `file` is a whole Keras archive of a network for images of `image_size` pixels, with as
    many weights as that has. Reads no weights, and needs no TensorFlow."""
    try:
        if not zipfile.is_zipfile(file):
            raise ValueError(_no_archive(file))
        with zipfile.ZipFile(file) as archive:
            sizes = {each.filename: each.file_size for each in archive.infolist()}
            if missing := [name for name in (CONFIG, WEIGHTS) if name not in sizes]:
                raise ValueError(f"it holds no {missing[0]}")
            if sum(sizes.values()) > MOST_SMALL + MOST_RATIO * file.stat().st_size or sizes[CONFIG] > MOST_SMALL:
                raise ValueError(f"it claims to hold {counted(sum(sizes.values()), 'byte', ',')}")
            layers = _layers_of(json.loads(archive.read(CONFIG)))
        if (values := sum(map(_kernel_values, layers))) * KERNEL_BYTES > sizes[WEIGHTS]:
            raise ValueError(f"its layers want {counted(values, 'weight', ',')}, more than it holds")
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError) as error:
        raise RunError(f"{file} is damaged: {reason(error)}") from error
    takes = [shape[1:] for each in layers if isinstance(shape := each.get("batch_shape"), list)]
    if takes and takes != [[image_size, image_size, 3]]:
        raise RunError(
            f"{file} is of another network: it takes images of {' and '.join(map(str, takes))}, the run's of"
            f" {[image_size, image_size, 3]}"
        )


def _no_archive(file: Path) -> str:
    """What a file is instead, by how it begins."""
    from keras_resnet.runtime.preprocess import HEAD, kind_of  # imports NumPy, which --help does without

    with file.open("rb") as stream:
        kind = kind_of(stream.read(HEAD))
    if kind in ("", "a ZIP archive"):
        return "it is truncated, or no .keras archive"
    return f"it is {kind}, not a .keras archive"


def _layers_of(model: Any) -> list[dict[str, Any]]:
    """The "config" of each layer of a Keras model, with its "input_shape" where that is told."""
    found = model.get("config") if isinstance(model, dict) else None
    layers = found.get("layers") if isinstance(found, dict) else None
    if not isinstance(layers, list):
        raise ValueError(f"its {CONFIG} describes no layers")
    return [
        {**config, **{key: value for key, value in (layer.get("build_config") or {}).items() if key == "input_shape"}}
        for layer in layers
        if isinstance(layer, dict) and isinstance(config := layer.get("config"), dict)
    ]


def _kernel_values(layer: dict[str, Any]) -> int:
    """How many weights the kernel of a convolution or a dense layer has; 0 of other layers."""
    filters, shape = layer.get("filters", layer.get("units")), layer.get("input_shape")
    sides, groups = layer.get("kernel_size", [1]), layer.get("groups", 1)
    if not isinstance(shape, list) or not isinstance(sides, list) or not shape:
        return 0
    numbers = (filters, shape[-1], groups, *sides)
    if not all(isinstance(each, int) and each > 0 for each in numbers):
        return 0
    return int(math.prod((filters, shape[-1], *sides)) // groups)
