"""Recommend one of a run's exported files for a device."""

from __future__ import annotations

from typing import Any, cast

from keras_resnet.metrics.outcome import ACCEPTED, describe_outcome, find_unbeaten_constant, is_unproven
from keras_resnet.run import Run
from keras_resnet.run.verdict_documents import VerdictRow
from keras_resnet.runtime.plurals import counted

# Latencies that differ by less than this factor are taken for the same.
AS_FAST = 1.25


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
    """Choose the smallest of the files within their budget that are about as fast as the fastest, and say "why"; None
    where there is none, or where the model is not proven to be better than a constant prediction."""
    passed = [
        row for row in verdicts if row["verdict"] in ACCEPTED and not find_unbeaten_constant(row.get("baselines", []))
    ]
    if not passed:
        return None
    timed = {row["file"]: latency for row in passed if (latency := row["latency_ms"]) is not None}
    fast = [row for row in passed if row["file"] in timed and timed[row["file"]] <= AS_FAST * min(timed.values())]
    best = min(fast or passed, key=lambda row: row["bytes"])
    floats = next((row for row in passed if row["scheme"] == "float32"), None)
    why = (
        f"the smallest of the {counted(len(timed), 'file')} within the budget that are about as fast as the fastest"
        if len(timed) > 1
        else _describe_only(passed, timed)
    )
    if floats and floats is not best and best["file"] in timed:
        faster, smaller = timed[floats["file"]] / timed[best["file"]], floats["bytes"] / best["bytes"]
        why += f"; {smaller:.1f}× smaller than the float32 file, and {faster:.1f}× the speed on this machine"
    if is_unproven(best):
        why += "; there are too few validation images to prove that its drop is within the budget"
    return cast(Recommendation, {**best, "why": why})


def _describe_only(passed: list[DescribedVerdict], timed: dict[str, float]) -> str:
    """Say why one file is recommended where no two of those within their budget were timed."""
    if len(passed) == 1:
        return "the only one within the budget"
    return "the only one within the budget that was timed" if timed else "the smallest of those within the budget"
