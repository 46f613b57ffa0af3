"""Print verdicts, remedies and accelerator reports as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_resnet.cli import console
from keras_resnet.metrics.labels import class_metric_label, metric_label
from keras_resnet.metrics.outcome import (
    UNVERIFIED,
    describe_details,
    describe_noise,
    describe_tested_metrics,
    format_cost,
    format_interval,
    format_worst_class,
    is_unproven,
    list_remarks,
    list_shared_remarks,
    list_tested_metrics,
)
from keras_resnet.reporting.microcontroller import describe_all_needs
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from keras_resnet.export.accelerators.base import AcceleratorReport
    from keras_resnet.export.remedies import RemedyResult
    from keras_resnet.export.unverified import UnverifiedFile
    from keras_resnet.export.verdict import Verdict


# By how much the drop of a metric that never decides differs from the one in the table where it is printed, too.
NOTICEABLE = 0.005


def print_verdicts(
    title: str,
    verdicts: list[Verdict],
    as_json: bool,
    is_for_microcontrollers: bool = False,
    is_model_known: bool = False,
    unverified: Sequence[UnverifiedFile] = (),
) -> None:
    """Print `verdicts` as a table with its remarks, or as JSON. is_for_microcontrollers: whether the table is followed
    by what firmware needs for every 8-bit file, and not for C arrays alone. is_model_known: whether the value of the
    Keras model and how it compares with baselines were printed before; that it is at chance is said again. unverified:
    files without a verdict, which the table has, too."""
    if as_json:
        console.emit_json([verdict.as_dict() for verdict in verdicts])
        return
    first, drop = verdicts[0], _name_drop_column(verdicts)
    metric = metric_label(first.metric)
    rows = [_format_verdict(verdict, *drops) for verdict, drops in zip(verdicts, _format_drops(verdicts), strict=True)]
    rows += [_format_unverified(each) for each in unverified]
    title = f"{title}: {counted(first.samples, 'validation image')}, drops in points"
    worst = f"worst class by {class_metric_label(first.metric)}"
    spare = ["size", "latency", "agreement", "memory", worst, "gzip"]
    columns = ["file", "size", "gzip", metric, drop, "95%", "agreement", worst, "latency", "memory", "verdict"]
    console.print_table(title, columns, rows, prose=[drop, "verdict"], spare=spare)
    if not is_model_known:
        console.emit(f"the Keras model on the same images: {metric} {first.model_value:.2%}")
    _print_remarks(verdicts, is_for_microcontrollers, is_model_known)


def _format_verdict(verdict: Verdict, drop: str, interval: str) -> list[str]:
    """Return a row of the table."""
    own = f" ({verdict.own_agreement:.2%})" if verdict.own_agreement != verdict.agreement else ""
    return [
        verdict.file,
        f"{verdict.bytes / 1e6:.2f} MB",
        f"{verdict.gzip_bytes / 1e6:.2f} MB",
        f"{verdict.value:.2%}",
        drop,
        interval,
        f"{verdict.agreement:.2%}{own}",
        format_worst_class(verdict.as_dict()),
        format_cost(verdict.latency_ms, ".2f", " ms"),
        format_cost(None if verdict.simulator else verdict.cost.peak_mib, ".0f", " MiB"),
        verdict.words,
    ]


def _format_unverified(each: UnverifiedFile) -> list[str]:
    """Return a row of the table for a file that was not run."""
    unknown = [format_cost(None, "", "")] * 7
    return [each.file, f"{each.bytes / 1e6:.2f} MB", f"{each.gzip_bytes / 1e6:.2f} MB", *unknown, UNVERIFIED]


def _print_remarks(verdicts: list[Verdict], is_for_microcontrollers: bool, is_model_known: bool) -> None:
    """Print other metrics, each remark once, what microcontrollers need where that is of interest, and how latency and
    memory were measured."""
    first = verdicts[0]
    for verdict in verdicts:
        if details := describe_details(verdict.as_dict(), NOTICEABLE):
            console.emit(f"{verdict.file}: {details}")
    if tested := describe_tested_metrics(first.as_dict()):
        console.emit(tested)
    remarks = list_remarks([verdict.as_dict() for verdict in verdicts])
    for remark in (*remarks, *list_shared_remarks(first.as_dict(), only_chance=is_model_known)):
        console.emit(remark)
    firmware = [each for each in verdicts if is_for_microcontrollers or _is_firmware(each)]
    for line in describe_all_needs([verdict.as_dict() for verdict in firmware]):
        console.emit(line)
    timed = next((verdict for verdict in verdicts if verdict.cost.latencies), None)
    if timed:
        threads = timed.cost.latencies[-1].threads
        console.emit(
            f"latency: median of one image, {counted(threads, 'thread')}; memory: peak resident memory; on"
            f" {timed.machine}"
        )
    if noise := describe_noise([verdict.as_dict() for verdict in verdicts]):
        console.emit(noise)


def _is_firmware(verdict: Verdict) -> bool:
    """Return whether the file is of a format that microcontrollers alone run."""
    from keras_resnet.export.formats import FORMATS, get_format

    return verdict.scheme in FORMATS and get_format(verdict.scheme).is_for_microcontrollers


def describe_failures(verdicts: list[Verdict], max_drop: float) -> list[str]:
    """Return what to say of the files that are not within `max_drop` points."""
    failed = [verdict for verdict in verdicts if not verdict.passed]
    lost = [verdict for verdict in failed if not is_unproven(verdict.as_dict())]
    unproven = ", ".join(verdict.file for verdict in failed if is_unproven(verdict.as_dict()))
    words = []
    for metric in dict.fromkeys(verdict.drop_metric for verdict in lost):
        files = ", ".join(verdict.file for verdict in lost if verdict.drop_metric == metric)
        words.append(
            f"lost more than {counted(max_drop, 'point', 'g')} of {metric_label(metric)}: {files} (kept in"
            " exports/rejected/)"
        )
    if lost:
        samples = failed[0].samples
        if failed[0].drop_metric == "top1" and 100 / samples > max_drop:
            images = counted(samples, "validation image", ",")
            points = counted(100 / samples, "point", ".2f")
            words.append(f"one of {images} is {points}, more than --max-drop allows; add images")
    if unproven:
        words.append(
            f"not proven to be within {counted(max_drop, 'point', 'g')}: {unproven} (rejected by --require-proof)"
        )
    return words


def print_remedies(results: list[RemedyResult]) -> None:
    """Print what each remedy did to the file."""
    verdicts = [result.verdict for result in results]
    rows = [
        [result.remedy, f"{v.value:.2%}", drop, interval, v.words, f"{v.agreement:.2%}", f"{v.bytes / 1e6:.2f} MB"]
        for result, v, (drop, interval) in zip(results, verdicts, _format_drops(verdicts), strict=True)
    ]
    metric, drop = metric_label(verdicts[0].metric), _name_drop_column(verdicts)
    columns = ["remedy", metric, drop, "95%", "verdict", "agreement", "size"]
    prose, spare = ["remedy", drop, "verdict"], ["agreement", "size"]
    console.print_table("effect of each remedy", columns, rows, prose=prose, spare=spare)


def print_accelerators(reports: list[AcceleratorReport]) -> None:
    """Print which accelerators take which operators of which files."""
    rows = [
        [each.target, each.file, f"{each.accepted:.1%}", ", ".join(f"{k} {v:.4g}" for k, v in each.estimates.items())]
        for each in reports
    ]
    console.print_table("accelerators", ["target", "file", "operators taken", "estimates"], rows, prose=["estimates"])
    for each in reports:
        if each.remark:
            console.emit(f"{each.compiled} is {each.remark}")


def _name_drop_column(verdicts: list[Verdict]) -> str:
    """Return the title of the drops: with their metric where that is one for all, and not the only one that is
    tested and shown."""
    metrics, first = {verdict.drop_metric for verdict in verdicts}, verdicts[0]
    is_only = metrics == {first.metric} and len(list_tested_metrics(first.as_dict())) == 1
    return "drop" if is_only or len(metrics) > 1 else f"drop of {metric_label(metrics.pop())}"


def _format_drops(verdicts: list[Verdict]) -> list[tuple[str, str]]:
    """Return (drop, interval) of each file in points, the drop with its metric where that differs between files."""
    named = len({verdict.drop_metric for verdict in verdicts}) > 1
    return [
        (f"{100 * v.drop:+z.2f}" + f" of {metric_label(v.drop_metric)}" * named, format_interval(v.drop_interval))
        for v in verdicts
    ]
