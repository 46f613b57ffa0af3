"""Show how a run's model and files do on corrupted images: rows, sentences and plots of robustness.json."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from keras_resnet.metrics.labels import metric_label, metric_title
from keras_resnet.metrics.outcome import format_interval
from keras_resnet.reporting.charts import COLORS, Axis, Chart, Series
from keras_resnet.run import Run
from keras_resnet.run.documents import (
    ALL,
    CLEAN,
    KERAS_MODEL,
    ModelRobustness,
    RobustnessDifference,
    RobustnessDocument,
    without_model,
)
from keras_resnet.runtime.plurals import counted, join_words, verb

# The column of a model's change from clean images.
CHANGE = "change"
# What the change of a file shows, of one file and of several.
BREAKS = ("breaks sooner", "break sooner")
HOLDS = ("holds longer", "hold longer")
NO_SIGN = ("shows no sign of breaking sooner", "show no sign of breaking sooner")
# How much more a file may lose on corrupted images for its interval to be narrow enough to tell: a point, as much as
# `kresnet export` allows unless --max-drop says otherwise.
NARROW = 0.01
# What the numbers of the table are beside the metric: one sign for all.
HOW_TO_READ = (
    "changes in points, negative where worse: of the Keras model from clean images, of a file from the Keras model on"
    " the same images"
)


def keep_robustness(run: Run, document: RobustnessDocument) -> None:
    """Keep what was measured of `run` as robustness.json and .png in its folder."""
    run.write_json(run.robustness_file, document)
    run.write_with(run.robustness_plot, partial(plot_robustness, document))


def forget_file(run: Run, file: str) -> None:
    """Remove what was measured of an exported file, which was written again since."""
    document = run.robustness(lambda message: None)
    if document and (others := without_model(document, file)):
        keep_robustness(run, others)


def mean_value(model: ModelRobustness, corruption: str) -> float:
    """Return a model's metric on images with a corruption, on average over severities; `CLEAN` and `ALL` too."""
    if corruption == CLEAN:
        return model["clean"]
    if corruption == ALL:
        return fmean(fmean(values) for values in model["values"].values())
    return fmean(model["values"][corruption])


def robustness_columns(document: RobustnessDocument) -> list[str]:
    """Return the columns of `robustness_rows`."""
    changes = [f"{each['name']} change" for each in document["models"][1:]]
    pairs = zip(changes, interval_columns(document), strict=True)
    return ["corruption", KERAS_MODEL, CHANGE, *(name for pair in pairs for name in pair)]


def interval_columns(document: RobustnessDocument) -> list[str]:
    """Return those of the columns that hold the intervals of the files' changes."""
    return [f"{each['name']} 95% CI" for each in document["models"][1:]]


def robustness_rows(document: RobustnessDocument) -> list[list[str]]:
    """Return a row for clean images, for each corruption and for all: the Keras model's metric on average over
    severities, its change from the clean one, and the files' changes from it (see `HOW_TO_READ`)."""
    reference, *files = document["models"]
    rows = []
    for name in (CLEAN, *reference["values"], ALL):
        value = mean_value(reference, name)
        change = "" if name == CLEAN else f"{100 * (value - reference['clean']):+z.2f}"
        cells = [cell for each in files for cell in _format(each["differences"][name])]
        rows.append([name, f"{value:.2%}", change, *cells])
    return rows


def _format(difference: RobustnessDifference) -> tuple[str, str]:
    return f"{100 * difference['difference']:+z.2f}", format_interval(difference["interval"])


def describe_robustness(document: RobustnessDocument) -> str:
    """Say in a few words what was measured, and by which constants and seed."""
    return f"{name_measurement(document)}; constants of {document['constants']}, seed {document['seed']}"


def name_measurement(document: RobustnessDocument) -> str:
    """Name what was measured: the metric, the images and the severities."""
    images = counted(document["samples"], "validation image", ",")
    severities = document["severities"]
    numbers = join_words(list(map(str, severities)))
    if len(severities) > 2 and severities == list(range(severities[0], severities[-1] + 1)):
        numbers = f"{severities[0]} to {severities[-1]}"
    words = f"averaged over severities {numbers}" if len(severities) > 1 else f"severity {numbers}"
    return f"{metric_label(document['metric'])} of {images}, {words}"


def list_conclusions(document: RobustnessDocument) -> list[str]:
    """List what the measurements show, a sentence each: of the Keras model, and whether each file breaks sooner."""
    reference, *files = document["models"]
    label = metric_label(document["metric"])
    drops = {name: reference["clean"] - mean_value(reference, name) for name in reference["values"]}
    worst = max(drops, key=lambda name: drops[name])
    points = 100 * (reference["clean"] - mean_value(reference, ALL))
    if round(points, 2) <= 0:
        return [f"the Keras model loses no {label} on these images", *_conclude(files, document["samples"])]
    place = (
        f"corrupted images, most with {worst} ({100 * drops[worst]:.2f})" if len(drops) > 1 else f"images with {worst}"
    )
    lost = counted(points, "point", ".2f")
    return [f"the Keras model loses {lost} of {label} on {place}", *_conclude(files, document["samples"])]


def _conclude(files: Sequence[ModelRobustness], samples: int) -> list[str]:
    """Say of files whether they break sooner than the Keras model: one sentence for all of which the same is true, and
    one for those of which so few `samples` cannot tell."""
    alike: dict[tuple[str, str], list[ModelRobustness]] = {}
    for file in files:
        low, high = _change(file)["interval"]
        shown = BREAKS if high < 0 else HOLDS if low > 0 else NO_SIGN
        alike.setdefault(shown, []).append(file)
    wide = [each for each in alike.get(NO_SIGN, []) if _change(each)["interval"][0] < -NARROW]
    return [*(_conclude_of(shown, group) for shown, group in alike.items()), *_doubt(wide, samples)]


def _doubt(files: Sequence[ModelRobustness], samples: int) -> list[str]:
    """Say of files with wide intervals that they may break sooner all the same."""
    if not files:
        return []
    names = join_words([each["name"] for each in files])
    most = counted(-100 * min(_change(each)["interval"][0] for each in files), "point", ".2f")
    images = counted(samples, "validation image", ",")
    return [
        f"{images} {verb(samples, 'is', 'are')} too few to tell: {names} may still lose up to {most} more than the"
        " Keras model from clean to corrupted images. With more images, the intervals are narrower"
    ]


def _conclude_of(shown: tuple[str, str], files: Sequence[ModelRobustness]) -> str:
    """Say it of files for which the same is true. shown: that, of one file and of several."""
    said = f"{join_words([each['name'] for each in files])} {verb(len(files), *shown)} than the Keras model"
    if len(files) > 1:
        changes = [_change(each) for each in files]
        numbers = [f"{100 * each['difference']:+z.2f} {format_interval(each['interval'])}" for each in changes]
        by = f"{numbers[0]} points each" if len(set(numbers)) == 1 else f"{join_words(numbers)} points"
        return f"{said}: from clean to corrupted images, their difference from it changes by {by} (in brackets: 95% CI)"
    (file,) = files
    change = _change(file)
    interval = "{:+z.2f} to {:+z.2f}".format(*(100 * end for end in change["interval"]))
    clean, corrupted = (100 * file["differences"][name]["difference"] for name in (CLEAN, ALL))
    return (
        f"{said}: it differs from it by {clean:+z.2f} points on clean images and by {corrupted:+z.2f} on corrupted"
        f" ones, a change of {100 * change['difference']:+z.2f} points (95% interval {interval})"
    )


def _change(file: ModelRobustness) -> RobustnessDifference:
    """Return by how much more a file differs from the Keras model on corrupted images than on clean ones."""
    assert file["change"] is not None
    return file["change"]


def describe_section(document: RobustnessDocument) -> dict[str, Any]:
    """Return what the report's section on corrupted images shows beside its charts."""
    return {
        "words": describe_robustness(document),
        "how_to_read": HOW_TO_READ,
        "conclusions": list_conclusions(document),
        "columns": robustness_columns(document),
        "rows": robustness_rows(document),
        "left_out": document["left_out"],
    }


def value_by_severity(document: RobustnessDocument, model: ModelRobustness) -> tuple[list[float], list[float]]:
    """Return severities, 0 for clean images, and a model's metric at each in percent, on average over corruptions."""
    means = [100 * fmean(values) for values in zip(*model["values"].values(), strict=True)]
    return [0.0, *map(float, document["severities"])], [100 * model["clean"], *means]


def robustness_charts(document: RobustnessDocument) -> list[Chart]:
    """Return the metric by severity, a line for each model, and what the Keras model loses by corruption."""
    metric = metric_title(document["metric"])
    lines = [(each["name"], *value_by_severity(document, each)) for each in document["models"]]
    series = tuple(
        Series(name, x, y, 1 + number % COLORS, is_dashed=number > 0, sizes=(6,) * len(x))
        for number, (name, x, y) in enumerate(lines)
    )
    ends = "; ".join(f"{each.name} {each.y[0]:.2f}% to {each.y[-1]:.2f}%" for each in series)
    description = f"{metric} by severity, on average over corruptions; 0 is the images as they are: {ends}"
    axes = Axis("severity (0: clean)", 0, max(document["severities"]), True), Axis(f"{metric} (%)")
    reference = document["models"][0]
    drops = {name: 100 * (reference["clean"] - mean_value(reference, name)) for name in reference["values"]}
    names = tuple(sorted(drops, key=lambda name: -drops[name]))
    label = "points that the Keras model loses"
    bars = Series(label, [float(row) for row in range(len(names))], [drops[name] for name in names], 2)
    shown = "; ".join(f"{name} {drops[name]:.2f}" for name in names)
    return [
        Chart("robustness-severity", f"{metric} by severity", description, *axes, series),
        Chart(
            "robustness-corruption",
            f"{metric} lost by corruption",
            f"{label} by corruption: {shown}",
            Axis(label, min(0.0, *drops.values())),
            Axis("corruption"),
            (bars,),
            names,
        ),
    ]


def plot_robustness(document: RobustnessDocument, path: Path) -> None:
    """Plot the metric by severity, a line for each model, on average over corruptions, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for number, model in enumerate(document["models"]):  # dashes do not hide an equal line of the Keras model
        axes.plot(*value_by_severity(document, model), "o--" if number else "o-", label=model["name"])
    axes.set_xlabel("severity (0: clean)")
    axes.set_ylabel(f"{metric_label(document['metric'])} (%)")
    axes.set_xticks([0, *document["severities"]])
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, format="png")
