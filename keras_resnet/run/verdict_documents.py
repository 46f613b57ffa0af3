"""Declare the rows of verdicts.json, of files on this machine and on devices; see `documents`."""

from __future__ import annotations

import re
from typing import Annotated, NotRequired

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from keras_resnet.run.documents import BaselineRow, Count, Interval, Line, Number, kept

_PLAIN_NAME = re.compile(r"(rejected/)?[^./\\:\x00-\x1f\x7f][^/\\:\x00-\x1f\x7f]*")


def _require_plain_name(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise PydanticCustomError("plain_name", "it must be the plain name of a file")
    return name


# The name of a file among the exports, not a path out of them, on any system.
FileName = Annotated[str, AfterValidator(_require_plain_name)]


@kept
class Latency(TypedDict):
    """The median time for one image, in milliseconds, and two percentiles of it, which older verdicts have not."""

    threads: Count
    p50: Annotated[Number, Field(gt=0)]
    p90: NotRequired[Number | None]
    p99: NotRequired[Number | None]


@kept
class Cost(TypedDict):
    """The time and memory that a file takes. latencies: none of a simulated file."""

    latencies: list[Latency]
    peak_mib: Number


@kept
class _AnyVerdictRow(TypedDict):
    """What all rows of verdicts.json have; those of earlier versions have no sha256."""

    file: FileName
    scheme: Line
    sha256: NotRequired[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None]
    bytes: Annotated[Count, Field(gt=0)]
    gzip_bytes: Count
    metric: Line
    value: Number
    model_value: Number
    details: NotRequired[dict[str, Number]]
    samples: Count
    drop: Number
    drop_metric: Line
    drop_interval: Interval
    drops: NotRequired[dict[str, dict[str, Number | list[Number]]]]
    further_drops: NotRequired[dict[str, dict[str, Number | list[Number]]]]
    images_to_settle: Count | None
    baselines: list[BaselineRow]
    data_changed: Line
    agreement: Number
    worst_class: str
    worst_class_drop: Number
    machine: Line
    max_drop: Number
    verdict: Line


@kept
class UnverifiedRow(TypedDict):
    """A row of unverified.json: see `export.unverified.UnverifiedFile`."""

    file: FileName
    scheme: Line
    bytes: Annotated[Count, Field(gt=0)]
    gzip_bytes: Count
    only_on: Line
    command: Line
    verdict: Line


@kept
class MicroNeeds(TypedDict):
    """What a microcontroller needs for a file: see `export.micro_needs.MicroNeeds`."""

    arena_bytes: Count | None
    arena_unknown: Line
    flash_bytes: Count
    operators: list[Line]
    unsupported: list[Line]
    resolver: list[Line]


@kept
class VerdictRow(_AnyVerdictRow):
    """A row of verdicts.json: see `export.verdict.Verdict`."""

    latency_ms: Annotated[Number, Field(gt=0)] | None
    cost: Cost
    simulator: NotRequired[Line]
    micro: NotRequired[MicroNeeds | None]


@kept
class DeviceFacts(TypedDict):
    """A file's run on a device: see `export.devices.base.DeviceFacts`."""

    where: Line
    accelerator: Line
    unit: Line
    machine: Line
    system: Line
    runtime: Line
    emulated: bool
    accelerated: Number | None
    partitions: Count | None
    load_ms: Number
    windows: list[Number]
    arena_bytes: Count | None
    warnings: list[Line]


@kept
class DeviceCost(TypedDict):
    """The time and memory that a file takes on a device."""

    latencies: list[Latency]
    first_ms: Number
    peak_mib: Number


@kept
class DeviceVerdictRow(_AnyVerdictRow):
    """A row of verdicts.json on a file on a device: see `export.device_verdict.DeviceVerdict`."""

    latency_ms: Annotated[Number, Field(gt=0)] | None
    cost: DeviceCost
    device: DeviceFacts
    cpu_agreement: Number
    cpu_difference: NotRequired[Number | None]
    problems: list[Line]
