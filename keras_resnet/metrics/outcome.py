"""Decide whether a file's drop is proven to be within its budget, within it but not proven, or too large; and say so in
the same words in the terminal, in reports and on model cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_resnet.metrics.labels import list_shown_details, metric_label
from keras_resnet.runtime.plurals import counted, join_words, verb

PASSED, NOT_PROVEN, FAILED = "PASSED", "NOT PROVEN", "FAILED"
# Of a file that was not run: see `export.unverified`.
UNVERIFIED = "UNVERIFIED"
# Files with these outcomes are among a run's exports.
ACCEPTED = (PASSED, NOT_PROVEN)
# How a model compares with a baseline, see `baselines.BaselineComparison`.
ABOVE, UNCLEAR, NOT_ABOVE = "above", "unclear", "not above"
# Shown for what was not measured.
NOT_MEASURED = "–"
# 0.30 - 0.29 > 0.01 in floating point.
ROUNDING = 1e-9
# A latency says little where a tenth of the images take so many times the median.
NOISY = 3.0
# By metric (drop, its 95% interval), as shares.
Drops = Mapping[str, tuple[float, tuple[float, float]]]
# One object of verdicts.json; one of its "baselines".
VerdictRow = Mapping[str, Any]
BaselineRow = Mapping[str, Any]


def decide_outcome(drops: Drops, max_drop: float, require_proof: bool) -> str:
    """Decide the outcome of a file's `drops`.

    FAILED where one is beyond `max_drop`; PASSED where the upper ends of all intervals are within it; else NOT_PROVEN,
    which is FAILED too where proof is required.
    """
    if any(drop - max_drop > ROUNDING for drop, _ in drops.values()):
        return FAILED
    if all(high - max_drop <= ROUNDING for _, (_, high) in drops.values()):
        return PASSED
    return FAILED if require_proof else NOT_PROVEN


def choose_deciding_metric(drops: Drops, max_drop: float) -> str:
    """Choose the metric whose drop decides: the largest one where it is beyond `max_drop`, else the one that may be
    worst."""
    largest = max(drops, key=lambda name: drops[name][0])
    if drops[largest][0] - max_drop > ROUNDING:
        return largest
    return max(drops, key=lambda name: drops[name][1][1])


def is_unproven(row: VerdictRow) -> bool:
    """Return whether the file of a verdict is within its budget by the estimate alone. One that failed on a device for
    another reason than its drop is not meant."""
    return bool(row["verdict"] != PASSED and row["drop"] - row["max_drop"] <= ROUNDING and not row.get("problems"))


def describe_outcome(row: VerdictRow) -> str:
    """Describe the outcome of a verdict in a few words: "PASSED" alone only where nothing has to be added."""
    if row["verdict"] == FAILED:
        outcome = f"{FAILED} for lack of proof" if is_unproven(row) else FAILED
    else:
        outcome = f"{PASSED}, not proven" if is_unproven(row) else PASSED
    marks = {UNCLEAR: ", perhaps at chance", NOT_ABOVE: ", at chance"}
    chance = "".join(marks.get(each["standing"], "") for each in row["baselines"] if each["trivial"])
    return f"{outcome}{chance}"


def describe_unverified(row: VerdictRow) -> str:
    """Say of a row of unverified.json that the file has no verdict, why, and what gives it one."""
    return (
        f"{row['file']}, {row['bytes'] / 1e6:.2f} MB, is {UNVERIFIED}: only {row['only_on']} can run it; verify it"
        f" there: {row['command']}"
    )


def format_interval(interval: tuple[float, float] | list[float]) -> str:
    """Format an interval in percentage points."""
    return f"[{100 * interval[0]:+z.2f}, {100 * interval[1]:+z.2f}]"


def format_value(value: float, interval: tuple[float, float] | list[float] | None) -> str:
    """Format a metric, 0–1, with its 95% interval where it has one: "96.93% [94.6, 98.3]"."""
    return f"{value:.2%} {format_value_interval(interval)}" if interval else f"{value:.2%}"


def format_value_interval(interval: tuple[float, float] | list[float]) -> str:
    """Format the interval of a metric, 0–1, in percent: "[94.6, 98.3]"."""
    return f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def format_drop(row: VerdictRow) -> str:
    """Format the drop of a verdict in points, with its interval and its metric."""
    return f"{100 * row['drop']:+z.2f} {format_interval(row['drop_interval'])} of {metric_label(row['drop_metric'])}"


def describe_drop(row: VerdictRow) -> str:
    """Describe the drop of a verdict, or its gain, and its budget: "drop 0.56 points [95% CI -0.88, +1.98], 1 point
    allowed", with the metric where it is not the one that is shown."""
    of = "" if row["drop_metric"] == row["metric"] else f" of {metric_label(row['drop_metric'])}"
    points, (low, high) = 100 * row["drop"], (100 * each for each in row["drop_interval"])
    budget = counted(100 * row["max_drop"], "point", "g")
    if is_gain(row):
        return (
            f"gain{of} {counted(-points, 'point', '.2f')} [95% CI {-high:+z.2f}, {-low:+z.2f}], a drop of"
            f" {budget} allowed"
        )
    return f"drop{of} {counted(points, 'point', 'z.2f')} [95% CI {low:+z.2f}, {high:+z.2f}], {budget} allowed"


def is_gain(row: VerdictRow) -> bool:
    """Return whether the metric that decides on a file is higher than the model's, in the digits that are shown."""
    return bool(round(100 * row["drop"], 2) < 0)


def format_worst_class(row: VerdictRow) -> str:
    """Format the drop of the class that lost most, in points, with its name: "+2.78 (9)"; "none" where none lost."""
    points = f"{100 * row['worst_class_drop']:+z.2f}"
    return f"{points} ({row['worst_class']})" if row["worst_class_drop"] > 0 and points != "+0.00" else "none"


def format_cost(value: float | None, form: str, unit: str) -> str:
    """Format a time or a size with its unit; of one that was not measured, a dash."""
    return NOT_MEASURED if value is None else f"{value:{form}}{unit}"


def format_budget(row: VerdictRow) -> str:
    """Format how much of its metric a file may lose, in points: "1"."""
    return f"{100 * row['max_drop']:g}"


def have_budgets(rows: Sequence[VerdictRow]) -> bool:
    """Return whether files have different budgets, so that a table has to show each."""
    return len(set(map(format_budget, rows))) > 1


def list_tested_metrics(row: VerdictRow) -> list[str]:
    """List the metrics whose drops a verdict is on, as people read them; of a verdict of an earlier version the one
    that decided."""
    return list(map(metric_label, row.get("drops") or [row["drop_metric"]]))


def describe_tested_metrics(row: VerdictRow) -> str:
    """Say in a sentence that a verdict is on several metrics, and whose drop is shown; "" where it is on one."""
    metrics = list_tested_metrics(row)
    if len(metrics) == 1:
        return ""
    return f"each file is tested by {join_words(metrics)}; the drop that is shown is the one that decides"


def describe_noise(rows: Sequence[VerdictRow]) -> str:
    """Name the files whose latency is noisy, see `NOISY`; "" where none is. A verdict of an earlier version has no
    percentiles."""
    noisy = []
    for row in rows:
        latency = (row["cost"]["latencies"] or [{}])[-1]
        if (latency.get("p90") or 0.0) > NOISY * latency.get("p50", 0.0):
            noisy.append(f"{row['file']} (median {latency['p50']:.2f}, 90th percentile {latency['p90']:.2f} ms)")
    return f"noisy latency: {join_words(noisy)}; measure again when nothing else runs" if noisy else ""


def describe_details(row: VerdictRow, noticeable: float = 0.0) -> str:
    """Describe the metrics of a verdict beside the one that is shown, with their drops in points: "" where there are
    none. noticeable: by how much the drop of a metric that never decides has to differ from the one that is shown."""
    names, further = list_shown_details(row.get("details", {}), row["metric"]), row.get("further_drops", {})
    alike = [name for name in names if name in further and abs(further[name]["drop"] - row["drop"]) < noticeable]
    return ", ".join(_describe_detail(row, name) for name in names if name not in alike)


def _describe_detail(row: VerdictRow, name: str) -> str:
    value = f"{metric_label(name)} {row['details'][name]:.2%}"
    lost = {**row.get("drops", {}), **row.get("further_drops", {})}.get(name)
    return f"{value} (drop {100 * lost['drop']:+z.2f} {format_interval(lost['interval'])})" if lost else value


def list_remarks(rows: Sequence[VerdictRow]) -> list[str]:
    """List what has to be known beside the outcomes of files: a sentence for those that lack the same proof, and one
    for those that the same simulator ran."""
    alike: dict[tuple[float, int, bool], list[VerdictRow]] = {}
    for row in filter(is_unproven, rows):
        alike.setdefault((row["max_drop"], row["samples"], bool(row["images_to_settle"])), []).append(row)
    simulated: dict[str, list[str]] = {}
    for row in rows:
        if simulator := row.get("simulator"):
            simulated.setdefault(simulator, []).append(row["file"])
    return [*map(_describe_unproven, alike.values()), *map(_describe_simulated, simulated, simulated.values())]


def _describe_simulated(simulator: str, files: Sequence[str]) -> str:
    """Say of files that they were not run on a chip."""
    return (
        f"{join_words(files)} {verb(len(files), 'was', 'were')} run in {simulator}, not on a chip; what"
        f" {verb(len(files), 'it takes', 'they take')} there, in time and memory, is not known"
    )


def _describe_unproven(rows: Sequence[VerdictRow]) -> str:
    """Say of files of the same budget and images why they are not proven, and what would prove it."""
    first = rows[0]
    needed, samples = max(row["images_to_settle"] or 0 for row in rows), first["samples"]
    remedy = (
        f"add about {counted(needed - samples, 'validation image', ',')} of the same kind ({needed:,} in all) to"
        f" prove it"
        if needed
        else "more validation images would hardly prove it, because the measured drop is at the budget itself"
    )
    files, upper = join_words([row["file"] for row in rows]), 100 * max(row["drop_interval"][1] for row in rows)
    budget = 100 * first["max_drop"]
    metrics = join_words(list(dict.fromkeys(metric_label(row["drop_metric"]) for row in rows)))
    if len(rows) == 1 and is_gain(first):
        return (
            f"{files}: it is {counted(-100 * first['drop'], 'point', '.2f')} better in {metrics} than the Keras model,"
            f" but with only {counted(samples, 'validation image', ',')} its true drop may be up to {upper:+z.2f},"
            f" beyond the budget of {counted(budget, 'point', 'g')}; {remedy}"
        )
    if len(rows) > 1:
        return (
            f"{files}: the measured drops of {metrics} are within the budget of {counted(budget, 'point', 'g')}, but"
            f" with only {counted(samples, 'validation image', ',')} the true ones may be up to {upper:+z.2f}; {remedy}"
        )
    return (
        f"{files}: the measured drop of {metrics}, {100 * first['drop']:+z.2f}, is within the budget of"
        f" {counted(budget, 'point', 'g')}, but with only {counted(samples, 'validation image', ',')} the true one may"
        f" be up to {upper:+z.2f}; {remedy}"
    )


def list_shared_remarks(row: VerdictRow, only_chance: bool = False) -> list[str]:
    """List what has to be known of the model and the data that a file was compared with, a sentence each. only_chance:
    leave out baselines that are no constant predictions."""
    remarks = []
    for baseline in row["baselines"]:
        if baseline["standing"] != ABOVE and (baseline["trivial"] or not only_chance):
            at_chance = baseline["trivial"] and baseline["standing"] == NOT_ABOVE
            remarks.append(f"{'the file predicts like the model, and ' * at_chance}{describe_baseline(baseline)}")
    if row["data_changed"]:
        remarks.append(row["data_changed"])
    return remarks


def describe_baselines(baselines: Sequence[BaselineRow]) -> list[str]:
    """Say how a model compares with all baselines: a sentence for those that it is above, and one for each other."""
    return [*filter(None, [describe_beaten(baselines)]), *describe_unbeaten(baselines)]


def describe_beaten(baselines: Sequence[BaselineRow]) -> str:
    """Name the baselines that a model is above, in a sentence; "" where there is none."""
    names = " and ".join(f"{each['baseline']} ({each['value']:.2%})" for each in baselines if each["standing"] == ABOVE)
    return f"by {metric_label(baselines[0]['metric'])}, the model is better than {names}" if names else ""


def describe_unbeaten(baselines: Sequence[BaselineRow]) -> list[str]:
    """Describe how a model compares with the baselines that it is not clearly above, a sentence for each."""
    return [describe_baseline(each) for each in baselines if each["standing"] != ABOVE]


def find_unbeaten_constant(baselines: Sequence[BaselineRow]) -> BaselineRow | None:
    """Return the constant prediction that a model is not proven to be better than; None where it is, or where it was
    compared with none."""
    return next((each for each in baselines if each["trivial"] and each["standing"] != ABOVE), None)


def describe_baseline(baseline: BaselineRow) -> str:
    """Describe in a sentence how a model compares with a baseline that it is not clearly above."""
    name, value = baseline["baseline"], f"{baseline['value']:.2%}"
    model_value = f"{metric_label(baseline['metric'])} {baseline['model_value']:.2%}"
    images = counted(baseline["images"], "validation image", ",")
    if baseline["standing"] == UNCLEAR:
        return (
            f"the model is not proven to be better than {name}: {model_value} against {value}; {images} cannot tell"
            " these apart"
        )
    if baseline["trivial"]:
        return f"the model is at chance: {model_value} of {images}; {name} gets {value}"
    is_better = is_beaten_by(baseline)
    does = "does better" if is_better else "may do better" if baseline["lead"] < 0 else "does as well"
    only = "only " if is_better else ""
    return (
        f"a simple baseline without a network {does}: in {metric_label(baseline['metric'])} on {images}, {name}"
        f" reaches {value}, and the model reaches {only}{baseline['model_value']:.2%}"
    )


def is_beaten_by(baseline: BaselineRow) -> bool:
    """Return whether a baseline is better than the model beyond chance."""
    return bool(baseline["lead_interval"][1] < 0)
