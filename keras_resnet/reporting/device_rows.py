"""Verdicts on files on devices as tables have them: in the terminal, in the report and on the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import (
    describe_outcome,
    format_budget,
    format_interval,
    have_budgets,
    list_remarks,
    list_shared_remarks,
)
from keras_resnet.reporting.charts import COLORS, Axis, Chart, Series
from keras_resnet.runtime.plurals import counted, join_words

# A row of verdicts.json with a device: see `run.documents.DeviceVerdictRow`.
DeviceRow = Mapping[str, Any]
NONE = "–"
# Seconds of one point of a long measurement.
WINDOW = 10
PERCENTILES = ("p50", "p90", "p99")
# Of outputs from those of this machine's CPU. Correct files were up to 0.03 off on an NVIDIA H100 (int8; floats 0.001),
# a file whose strides it ignores 0.62.
STRANGE_DIFFERENCE = 0.2
# Columns that others name.
WHERE, ON, VERDICT, DROP, FIRST = "where", "on", "verdict", "drop [95%], points", "first, ms"
BUDGET = "budget, points"
# Columns of words; those of others are numbers.
WORDS = (WHERE, ON, VERDICT)

HOW_TIMED = "first: the time to load the file and run it once; p50, p90 and p99: percentiles of the time for one image"


def show_devices(rows: Sequence[DeviceRow], files: Sequence[DeviceRow] = ()) -> tuple[list[str], list[list[str]]]:
    """Return the heads of the table of devices, and the cells of each row, with a column of budgets where these differ,
    from those of `files` that readers see too."""
    has_budgets = have_budgets([*rows, *files])
    return device_columns(rows, has_budgets), [device_cells(row, has_budgets) for row in rows]


def device_columns(rows: Sequence[DeviceRow], has_budgets: bool = False) -> list[str]:
    """Return the heads of the table."""
    scores = [metric_label(rows[0]["metric"]), DROP, *[BUDGET] * has_budgets, "as this CPU", "as the model"]
    return ["file", WHERE, ON, VERDICT, *scores, "accelerated", FIRST, f"{' / '.join(PERCENTILES)}, ms", "memory"]


def device_cells(row: DeviceRow, has_budgets: bool = False) -> list[str]:
    """Return the cells of one row, in the order of `device_columns`."""
    device, cost = row["device"], row["cost"]
    of = f" of {metric_label(row['drop_metric'])}" * (row["drop_metric"] != row["metric"])
    latency = cost["latencies"][-1] if cost["latencies"] else {}
    times = [f"{latency[name]:.2f}" for name in PERCENTILES if latency.get(name) is not None]
    return [
        row["file"],
        device["where"],
        device["accelerator"].upper() or NONE,
        describe_outcome(row),
        f"{row['value']:.2%}",
        f"{100 * row['drop']:+z.2f} {format_interval(row['drop_interval'])}{of}",
        *[format_budget(row)] * has_budgets,
        f"{row['cpu_agreement']:.2%}",
        f"{row['agreement']:.2%}",
        _describe_share(device),
        f"{cost['first_ms']:.1f}" if latency else NONE,
        " / ".join(times) or NONE,
        f"{cost['peak_mib']:.0f} MiB" if cost["peak_mib"] else NONE,
    ]


def _describe_share(device: Mapping[str, Any]) -> str:
    """Return how much of a file an accelerator computed."""
    if device["accelerator"] in ("cpu", ""):  # none, or one that is not known
        return NONE
    if device["accelerated"] is None:
        return "all" if device["fully_accelerated"] else "not all"
    parts = f" in {counted(device['partitions'], 'part')}" if device["partitions"] else ""
    return f"{device['accelerated']:.0%}{parts}"


def describe_place(row: DeviceRow) -> str:
    """Return where a file ran: "local, GPU"."""
    device = row["device"]
    return ", ".join(filter(None, [device["where"], device["accelerator"].upper()]))


def list_device_remarks(rows: Sequence[DeviceRow], shown: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """List where the files ran, how times were measured, and what has to be known of them, each once.

    shown: verdicts on the same files on this machine, which readers see too: what has to be known of these is not said
    again.
    """
    places = dict.fromkeys(map(_describe_run, rows))
    named = [{**row, "file": f"{row['file']} on {describe_place(row)}"} for row in rows]
    timed = [HOW_TIMED] if any(row["cost"]["latencies"] for row in rows) else []
    own = [remark for row in named for remark in _list_own_remarks(row)]
    measured = list(map(_identify_result, shown))
    new = [row for row, original in zip(named, rows, strict=True) if _identify_result(original) not in measured]
    known_of_model = {remark for row in shown for remark in list_shared_remarks(row)}
    of_model = [remark for remark in list_shared_remarks(rows[0]) if remark not in known_of_model]
    return [*places, *timed, *own, *dict.fromkeys([*list_remarks(new), *of_model])]


def _describe_run(row: DeviceRow) -> str:
    """Say where a file ran, or of outputs from elsewhere whose they are."""
    device, place = row["device"], describe_place(row)
    known = ", ".join(filter(None, (device[name] for name in ("unit", "machine", "runtime"))))
    if is_from_elsewhere(row):
        return f"{place}: {known}, computed elsewhere with {row['file']}"
    return f"{place}: {known}{'; no times, which mean nothing there' * device['emulated']}"


def is_from_elsewhere(row: DeviceRow) -> bool:
    """Return whether a verdict is on outputs that something else computed, which no device gave."""
    return not row["device"]["accelerator"]


def describe_runs(rows: Sequence[DeviceRow]) -> str:
    """Say in a sentence or two which files ran on the device, and which outputs were computed elsewhere."""
    given = [row for row in rows if is_from_elsewhere(row)]
    if not given:
        return "Each file ran on the device, and its predictions were evaluated as above."
    files = join_words(list(dict.fromkeys(row["file"] for row in given)))
    outputs = f"The outputs of {files} were computed elsewhere and given by --outputs"
    if len(given) == len(rows):
        return f"{outputs}; they were evaluated as above, and kresnet ran nothing on a device."
    places = join_words(list(dict.fromkeys(describe_place(row) for row in rows if not is_from_elsewhere(row))))
    ran = f"On {places}, the files themselves ran."
    return (
        f"{ran} {outputs} ({join_words(list(dict.fromkeys(map(describe_place, given))))}). All were evaluated as above."
    )


def _identify_result(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what makes remarks on two verdicts the same."""
    return (row["file"], row["samples"], row["max_drop"], row["drop_metric"], row["drop"], *row["drop_interval"])


def _list_own_remarks(row: DeviceRow) -> list[str]:
    """List what has to be known of one file on one device, "file" naming both."""
    device, remarks = row["device"], list(row["problems"])
    if (difference := row.get("cpu_difference") or 0.0) > STRANGE_DIFFERENCE:
        remarks.append(
            f"{row['file']}: its outputs are {difference:.0%} off those of this machine's CPU (root mean square); other"
            f" rounding makes them a few percent different at most, so something else is computed there, whether or not"
            " the predictions agree"
        )
    if device["arena_bytes"]:
        remarks.append(f"{row['file']}: an arena of {device['arena_bytes']:,} bytes")
    if windows := device["windows"]:
        remarks.append(
            f"{row['file']}: medians of every {WINDOW} seconds went from {windows[0]:.2f} to {windows[-1]:.2f} ms, over"
            f" {counted(len(windows) * WINDOW, 'second')}"
        )
    if warnings := device["warnings"]:
        more = f" (and {counted(len(warnings) - 1, 'line')} more)" if len(warnings) > 1 else ""
        remarks.append(f"{row['file']}: the log says: {warnings[0]}{more}")
    return remarks


def throttling_charts(rows: Sequence[DeviceRow]) -> list[Chart]:
    """Return how long one image took in the course of long measurements; nothing where there was none."""
    measured = [row for row in rows if len(row["device"]["windows"]) > 1]
    series = tuple(
        Series(
            f"{row['file']} on {describe_place(row)}",
            [float(WINDOW * (place + 1)) for place in range(len(row["device"]["windows"]))],
            list(row["device"]["windows"]),
            color=1 + number % COLORS,
        )
        for number, row in enumerate(measured)
    )
    if not series:
        return []
    ends = "; ".join(f"{each.name} {each.y[0]:.2f} to {each.y[-1]:.2f} ms" for each in series)
    description = f"Median time for one image, every {WINDOW} seconds: {ends}"
    return [Chart("throttling", "Time for one image", description, Axis("seconds", 0), Axis("ms", 0), series)]
