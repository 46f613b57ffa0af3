"""Which of a run's files to take to a device."""

from __future__ import annotations

from typing import Any

from keras_resnet.metrics.outcome import NOT_PROVEN, PASSED, WITHIN, decided, lacks_proof, remarks_on, words_of
from keras_resnet.run import Run

# Latencies that differ less than this are taken for the same.
AS_FAST = 1.25


def described(run: Run) -> list[dict[str, Any]]:
    """The verdicts on a run's files, each with its size in megabytes, the threads that its latency was measured with,
    its outcome in "words" and "remarks" on it. Without those of an earlier version, which measured less; where one
    decided by the estimate alone, the outcome is decided again."""
    return [_described(row) for row in run.verdicts() if "scheme" in row]


def _described(row: dict[str, Any]) -> dict[str, Any]:
    if "drop_metric" not in row:
        row = {**row, "drop_metric": row["metric"], "verdict": _decided_again(row), "baselines": [], "data_changed": ""}
    cost = {"megabytes": row["bytes"] / 1e6, "threads": row["cost"]["latencies"][-1]["threads"]}
    return {**row, **cost, "words": words_of(row), "remarks": remarks_on(row)}


def _decided_again(row: dict[str, Any]) -> str:
    """PASSED by the estimate may be not proven; what failed stays where it was put."""
    if row["verdict"] != PASSED:
        return str(row["verdict"])
    if row["drop_interval"] is None:
        return NOT_PROVEN
    return decided({row["metric"]: (row["drop"], row["drop_interval"])}, row["max_drop"], require_proof=False)


def recommended(verdicts: list[dict[str, Any]]) -> dict[str, Any] | None:
    """A verdict and "why": of the files within their budget that are about as fast as the fastest the smallest; None
    where there is none."""
    passed = [row for row in verdicts if row["verdict"] in WITHIN]
    if not passed:
        return None
    fastest = min(row["latency_ms"] for row in passed)
    best = min((row for row in passed if row["latency_ms"] <= AS_FAST * fastest), key=lambda row: row["bytes"])
    floats = next((row for row in passed if row["scheme"] == "float32"), None)
    why = (
        f"of {len(passed)} within the budget the smallest of those that are as fast as any, or nearly"
        if len(passed) > 1
        else "the only one within the budget"
    )
    if floats and floats is not best:
        faster, smaller = floats["latency_ms"] / best["latency_ms"], floats["bytes"] / best["bytes"]
        why += f"; beside the float32 file {faster:.1f}× the speed on this machine, and {smaller:.1f}× smaller"
    if lacks_proof(best):
        why += "; too few validation images to prove that it is within"
    return {**best, "why": why}
