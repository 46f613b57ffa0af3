"""Recommend one of a run's exported files for a device."""

from __future__ import annotations

from typing import Any, cast

from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import (
    ACCEPTED,
    ROUNDING,
    describe_outcome,
    find_unbeaten_constant,
    is_unproven,
)
from keras_resnet.run import Run
from keras_resnet.run.verdict_documents import VerdictRow
from keras_resnet.runtime.plurals import counted

# Latencies that differ by less than this factor are taken for the same, and so are sizes.
AS_FAST, AS_SMALL = 1.25, 1.05
# Schemes that have integers only, unless words behind them say otherwise.
INTEGER_SCHEMES, FLOAT_WORDS = ("int8", "qat"), {"float", "mixed", "nms", "litert"}


class DescribedVerdict(VerdictRow):
    """A verdict with the size in megabytes, the threads its latency was measured with, None where time means nothing,
    and its outcome in words."""

    megabytes: float
    threads: int | None
    outcome: str


class Recommendation(DescribedVerdict):
    """The verdict on the recommended file, and why it is that."""

    why: str


def describe_verdicts(run: Run) -> list[DescribedVerdict]:
    """Return the verdicts on a run's files, described."""
    return [_describe(row) for row in run.verdicts()]


def _describe(row: dict[str, Any]) -> DescribedVerdict:
    latencies = row["cost"]["latencies"]
    cost = {"megabytes": row["bytes"] / 1e6, "threads": latencies[-1]["threads"] if latencies else None}
    return cast(DescribedVerdict, {**row, **cost, "outcome": describe_outcome(row)})


def recommend_file(verdicts: list[DescribedVerdict]) -> Recommendation | None:
    """Choose the smallest of the files within their budget that is not clearly slower than the fastest of them, and say
    "why", in sentences; None where there is none, or where the model is not proven to be better than a constant
    prediction.

    Of files of about the same size, one of integers only comes first, as NPUs run nothing else; then the faster one,
    and the more accurate. Where files have different budgets, those within the strictest come first. Files that were
    not timed come last.
    """
    passed = [
        row for row in verdicts if row["verdict"] in ACCEPTED and not find_unbeaten_constant(row.get("baselines", []))
    ]
    if not passed:
        return None
    strictest = min(row["max_drop"] for row in passed)
    within = [row for row in passed if row["drop"] - strictest <= ROUNDING] or passed
    timed = [row for row in within if row["latency_ms"] is not None]
    fast = [row for row in timed if not is_clearly_slower(row, timed)]
    smallest = min(row["bytes"] for row in fast or within)
    alike = [row for row in fast or within if row["bytes"] <= AS_SMALL * smallest]
    by_worth = [(not holds_integers_only(row), row["latency_ms"] or 0.0, row["drop"], row["bytes"]) for row in alike]
    best = alike[by_worth.index(min(by_worth))]
    return cast(Recommendation, {**best, "why": _explain(best, passed, within, timed)})


def holds_integers_only(row: DescribedVerdict) -> bool:
    """Return whether no tensor of a file is of floats, as the name of its scheme says."""
    scheme, *words = row["scheme"].split("-")
    return scheme in INTEGER_SCHEMES and not FLOAT_WORDS & set(words)


def is_clearly_slower(row: DescribedVerdict, others: list[DescribedVerdict]) -> bool:
    """Return whether a file takes longer than the fastest of `others` beyond timing noise: longer by more than a
    quarter, and by more than the times of either file spread, from their median to their 90th percentile."""
    fastest = min(others, key=_latency)
    longer = _latency(row) - _latency(fastest)
    return _latency(row) > AS_FAST * _latency(fastest) and longer > max(_spread(row), _spread(fastest))


def _latency(row: DescribedVerdict) -> float:
    """Return the median of one image in milliseconds, of a file that was timed."""
    assert row["latency_ms"] is not None
    return row["latency_ms"]


def _spread(row: DescribedVerdict) -> float:
    """Return by how many milliseconds a file's times spread from their median to their 90th percentile; 0 for a verdict
    of an earlier version, which has no percentiles."""
    latency = row["cost"]["latencies"][-1]
    return max(0.0, (latency.get("p90") or 0.0) - latency["p50"])


def _explain(
    best: DescribedVerdict,
    passed: list[DescribedVerdict],
    within: list[DescribedVerdict],
    timed: list[DescribedVerdict],
) -> str:
    """Say in short sentences why `best` is recommended, of the files that `passed`, those `within` the strictest
    budget, and those of these that were `timed`."""
    if len(passed) == 1:
        why = "it is the only file within the budget"
    elif [row["latency_ms"] is not None for row in passed].count(True) == 1 and timed:
        why = "it is the only file within the budget that was timed"
    else:
        why = f"{_compare_sizes(best, passed, within, timed)}. {_compare_accuracies(best, passed)}"
        why += f". {_compare_times(best, timed)}" if timed else ""
    if is_unproven(best):
        why += ". There are too few validation images to prove that its drop is within the budget"
    return why


def _compare_sizes(
    best: DescribedVerdict,
    passed: list[DescribedVerdict],
    within: list[DescribedVerdict],
    timed: list[DescribedVerdict],
) -> str:
    """Say among which files `best` is the smallest, and how it stands to the float32 file."""
    alike = [row for row in passed if row["bytes"] < best["bytes"] <= AS_SMALL * row["bytes"]]
    smaller = [row for row in passed if row["bytes"] < best["bytes"] and row not in alike]
    slower = [row for row in smaller if row in timed]
    if not smaller:
        among = f"the {counted(len(passed), 'file')} within the budget"
    elif slower:
        times = _both_times(slower[0], min(timed, key=_latency))
        among = f"the files that are about as fast as the fastest ({slower[0]['file']} is clearly slower: {times})"
    elif any(row not in within for row in smaller):
        among = "the files within the strictest of their budgets"
    else:
        among = "the files that were timed"
    floats = next((row for row in passed if row["scheme"] == "float32" and row is not best), None)
    factor = (
        f" ({floats['bytes'] / best['bytes']:.1f}× smaller than {floats['file']})" if floats and not smaller else ""
    )
    if not alike:
        return f"it is the smallest of {among}{factor}"
    better = "has integers only, which NPUs need" if holds_integers_only(best) else "is no slower"
    sizes = f"{alike[0]['megabytes']:.2f} against {best['megabytes']:.2f} MB"
    close = f"{alike[0]['file']} is hardly smaller ({sizes}); this one {better}"
    return f"it is one of the smallest of {among}{factor}. {close}"


def _compare_accuracies(best: DescribedVerdict, passed: list[DescribedVerdict]) -> str:
    """Say whether `best` is as accurate as the most accurate of those that `passed`, beyond noise."""
    top = min(passed, key=lambda row: row["drop"])
    metric, below = metric_label(best["drop_metric"]), best["drop"] - top["drop"]
    if below <= ROUNDING:
        return f"No other has a higher {metric}"
    if best["drop_interval"][0] <= top["drop"]:
        return f"Its {metric} does not differ from that of {top['file']} beyond chance"
    return f"Its {metric} is {counted(100 * below, 'point', '.2f')} below that of {top['file']}, as the budget allows"


def _compare_times(best: DescribedVerdict, timed: list[DescribedVerdict]) -> str:
    """Say how fast `best` is beside the fastest of those that were `timed`, or beside the float32 file where it is the
    fastest itself."""
    fastest = min(timed, key=_latency)
    if _latency(best) <= _latency(fastest):
        floats = next((row for row in timed if row["scheme"] == "float32" and row is not best), None)
        if floats is None:
            return "None is faster"
        if _latency(floats) - _latency(best) > max(_spread(best), _spread(floats)):
            return f"It is the fastest: {_latency(floats) / _latency(best):.1f}× as fast as {floats['file']}"
        return _describe_close_times(best, floats)
    return _describe_close_times(best, fastest)


def _describe_close_times(best: DescribedVerdict, other: DescribedVerdict) -> str:
    """Say that neither `best` nor the `other` file is clearly faster: for that, their times differ too little, or vary
    too much."""
    times = _both_times(best, other)
    if max(_latency(best), _latency(other)) <= AS_FAST * min(_latency(best), _latency(other)):
        return f"Its time differs from that of {other['file']} by less than a quarter ({times})"
    return (
        f"Its time and that of {other['file']} vary too much to tell which is faster ({times}); to measure"
        " again, export again when nothing else runs"
    )


def _both_times(row: DescribedVerdict, other: DescribedVerdict) -> str:
    return f"{_latency(row):.2f} against {_latency(other):.2f} ms an image"
