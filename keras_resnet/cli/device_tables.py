"""Print what devices made of exported files as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.cli import console
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import format_interval, list_remarks, list_shared_remarks
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from keras_resnet.export.device_verdict import DeviceVerdict

COLUMNS = ("as this CPU", "as the model", "accelerated", "first", "p50", "p90", "p99", "memory", "verdict")


def print_device_verdicts(run: str, verdicts: list[DeviceVerdict], as_json: bool) -> None:
    """Print the verdicts on files of `run` on devices as a table with its remarks, or as JSON."""
    if as_json:
        console.emit_json([verdict.as_dict() for verdict in verdicts])
        return
    first = verdicts[0]
    metric = metric_label(first.metric)
    title = f"{run} on devices: {counted(first.samples, 'validation image')}, drops in points, times in ms"
    columns = ["file", "where", "on", metric, "drop", "95%", *COLUMNS]
    spare = ["memory", "p99", "p90", "first", "as the model"]
    rows = [_format(verdict) for verdict in verdicts]
    console.print_table(title, columns, rows, prose=["where", "drop", "verdict"], spare=spare)
    console.emit(f"the Keras model on the same images: {metric} {first.model_value:.2%}")
    for remark in _list_remarks(verdicts):
        console.emit(remark)


def _format(verdict: DeviceVerdict) -> list[str]:
    """Return a row of the table."""
    device, cost = verdict.device, verdict.cost
    of = f" of {metric_label(verdict.drop_metric)}" * (verdict.drop_metric != verdict.metric)
    latency = cost.latencies[-1] if cost.latencies else None
    times = [cost.first_ms, latency.p50, latency.p90, latency.p99] if latency else []
    return [
        verdict.file,
        device.where,
        device.accelerator.upper(),
        f"{verdict.value:.2%}",
        f"{100 * verdict.drop:+.2f}{of}",
        format_interval(verdict.drop_interval),
        f"{verdict.cpu_agreement:.2%}",
        f"{verdict.agreement:.2%}",
        _describe_share(verdict),
        *([f"{each:.2f}" for each in times] or ["-"] * 4),
        f"{cost.peak_mib:.0f} MiB",
        verdict.words,
    ]


def _describe_share(verdict: DeviceVerdict) -> str:
    device = verdict.device
    if device.accelerator == "cpu":
        return "-"
    if device.accelerated is None:
        return "all" if device.fully_accelerated else "not all"
    parts = f" in {counted(device.partitions, 'part')}" if device.partitions else ""
    return f"{device.accelerated:.0%}{parts}"


def _list_remarks(verdicts: list[DeviceVerdict]) -> list[str]:
    """List where the files ran, how times were measured, and what has to be known of them, each once."""
    places: dict[str, str] = {}
    for verdict in verdicts:
        device = verdict.device
        emulated = "; its times mean nothing" * device.emulated
        places[verdict.place] = f"{verdict.place}: {device.unit}, {device.machine}, {device.runtime}{emulated}"
    remarks = list(places.values())
    for verdict in verdicts:
        device, on = verdict.device, f"{verdict.file} on {verdict.place}"
        if device.arena_bytes:
            remarks.append(f"{on}: an arena of {device.arena_bytes:,} bytes")
        if device.windows:
            first, last = device.windows[0], device.windows[-1]
            slower = f"{last / first:.2f} times the first"
            remarks.append(
                f"{on}: medians of {counted(len(device.windows), 'stretch', plural='stretches')} of 10 s from"
                f" {min(device.windows):.2f} to {max(device.windows):.2f} ms; the last is {slower}"
            )
        remarks += [f"{on}: the log says: {warning}" for warning in device.warnings]
    rows = [{**verdict.as_dict(), "file": f"{verdict.file} on {verdict.place}"} for verdict in verdicts]
    timed = any(verdict.cost.latencies for verdict in verdicts)
    how = ["first: loading and the first inference; p50, p90, p99: of one image, after others"] if timed else []
    return [*remarks, *how, *dict.fromkeys([*list_remarks(rows), *list_shared_remarks(rows[0])])]
