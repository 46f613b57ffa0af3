"""What is decided of the drop that a file has: proven to be within its budget, within it but not proven, or too much;
and the words for it, the same in the terminal, in reports and on cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_resnet.runtime.plurals import counted

PASSED, NOT_PROVEN, FAILED = "PASSED", "NOT PROVEN", "FAILED"
# Files of which so much is known stand among a run's exports.
WITHIN = (PASSED, NOT_PROVEN)
# How a model stands to a baseline, see `baselines.Standing`.
ABOVE, UNCLEAR, NOT_ABOVE = "above", "unclear", "not above"
# 0.30 - 0.29 > 0.01 in floating point.
ROUNDING = 1e-9


def decided(drops: Mapping[str, tuple[float, tuple[float, float]]], max_drop: float, require_proof: bool) -> str:
    """The outcome of a file's `drops`, (drop, its 95% interval) by metric, as shares.

    FAILED where one is beyond `max_drop`; PASSED where the upper ends of all intervals are within it; else NOT_PROVEN,
    which is FAILED too where proof is required.
    """
    if any(drop - max_drop > ROUNDING for drop, _ in drops.values()):
        return FAILED
    if all(high - max_drop <= ROUNDING for _, (_, high) in drops.values()):
        return PASSED
    return FAILED if require_proof else NOT_PROVEN


def deciding(drops: Mapping[str, tuple[float, tuple[float, float]]], max_drop: float) -> str:
    """The metric whose drop decides: the largest one where it is beyond `max_drop`, else the one that may be worst."""
    largest = max(drops, key=lambda name: drops[name][0])
    if drops[largest][0] - max_drop > ROUNDING:
        return largest
    return max(drops, key=lambda name: drops[name][1][1])


def lacks_proof(row: Mapping[str, Any]) -> bool:
    """Whether the file of a verdict, as in verdicts.json, is within its budget by the estimate alone."""
    return bool(row["verdict"] != PASSED and row["drop"] - row["max_drop"] <= ROUNDING)


def words_of(row: Mapping[str, Any]) -> str:
    """The outcome of a verdict in a few words: "PASSED" alone only where nothing has to be added."""
    if row["verdict"] == FAILED:
        outcome = f"{FAILED} for lack of proof" if lacks_proof(row) else FAILED
    else:
        outcome = f"{PASSED}, not proven" if lacks_proof(row) else PASSED
    marks = {UNCLEAR: ", perhaps at chance", NOT_ABOVE: ", at chance"}
    chance = "".join(marks.get(each["standing"], "") for each in row.get("baselines", ()) if each["trivial"])
    return f"{outcome}{chance}"


def interval_in_words(interval: tuple[float, float] | list[float] | None) -> str:
    """In points; "" where there is none, as in files of an earlier version."""
    return "" if interval is None else f"[{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]"


def drop_in_words(row: Mapping[str, Any]) -> str:
    """The drop of a verdict in points with its interval, and the metric where it is not the one that is shown."""
    metric = row.get("drop_metric", row["metric"])
    of = f" of {metric}" if metric != row["metric"] else ""
    return f"{100 * row['drop']:+.2f} {interval_in_words(row['drop_interval'])}".rstrip() + of


def remarks_on(row: Mapping[str, Any]) -> list[str]:
    """What has to be known beside the outcome of one file, a sentence each."""
    if not lacks_proof(row) or row["drop_interval"] is None:
        return []
    wanted, samples = row.get("images_to_settle"), row["samples"]
    remedy = (
        f"add about {counted(wanted - samples, 'validation image', ',')} of the same kind ({wanted:,} in all) to"
        f" prove it"
        if wanted
        else "more validation images would hardly prove it, because the measured drop is at the budget itself"
    )
    return [
        f"{row['file']}: the measured drop, {100 * row['drop']:+.2f}, is within the budget of"
        f" {counted(100 * row['max_drop'], 'point', 'g')}, but with only"
        f" {counted(samples, 'validation image', ',')} the"
        f" true one may be up to {100 * row['drop_interval'][1]:+.2f}; {remedy}"
    ]


def shared_remarks_on(row: Mapping[str, Any]) -> list[str]:
    """What has to be known of the model and the data that a file was judged by, a sentence each."""
    beaten = [each for each in row.get("baselines", ()) if each["standing"] != ABOVE]
    like = {True: "the file answers like the model, and ", False: ""}
    words = [like[each["trivial"] and each["standing"] == NOT_ABOVE] + standing_in_words(each) for each in beaten]
    return [*words, *([row["data_changed"]] if row.get("data_changed") else [])]


def standings_in_words(standings: Sequence[Mapping[str, Any]]) -> list[str]:
    """How a model does beside all baselines: a sentence for those that it is above, and one for each other."""
    above = [each for each in standings if each["standing"] == ABOVE]
    words = " and ".join(f"{each['baseline']} ({each['value']:.2%})" for each in above)
    return [
        *([f"the model is above {words}"] if above else []),
        *(standing_in_words(each) for each in standings if each["standing"] != ABOVE),
    ]


def standing_in_words(standing: Mapping[str, Any]) -> str:
    """How a model does beside a baseline (`baselines.Standing`) that it is not surely above, in a sentence."""
    theirs, ours = f"{standing['value']:.2%}", f"{standing['metric']} {standing['model_value']:.2%}"
    what, images = standing["baseline"], counted(standing["images"], "validation image", ",")
    if standing["standing"] == UNCLEAR:
        return f"the model is not proven to be above {what}: {ours} against {theirs}; {images} cannot tell these apart"
    if standing["trivial"]:
        return f"the model is at chance: {ours} of {images}; {what} gets {theirs}"
    well = "better" if standing["lead_interval"][1] < 0 else "as well"
    return f"a simple baseline without a network does {well}: {what} gets {theirs} of {images}, the model {ours}"
