"""The degradation study: does a deeper network train worse?

He et al. 2015, figures 1 and 6, for any networks, data and number of seeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from keras_resnet.config.spec import Spec
from keras_resnet.data.load import require_source
from keras_resnet.models.backbone import has_shortcuts, is_plain_twin
from keras_resnet.models.flops import count_cost
from keras_resnet.models.names import parse_model_name
from keras_resnet.progress import Log
from keras_resnet.studies import figures, gradients
from keras_resnet.studies.plan import Trial, run_trial, spec_for, with_sizes, write_rows, write_summary

# Points of training error below which two networks count as equal.
MARGIN = 1.0


class NetworkSummary(TypedDict):
    """Final errors of one network, in %, as mean and standard deviation over seeds; None where they are not known."""

    network: str
    seeds: int
    broke_down: int
    parameters: NotRequired[int]
    training_error: float | None
    training_error_deviation: float | None
    validation_error: float | None
    validation_error_deviation: float | None


def degradation(base: Spec, networks: Sequence[str], seeds: int, folder: Path, log: Log) -> dict[str, Any]:
    """Train each of `networks` with each of `seeds` seeds and compare them. Returns the content of summary.json.

    Writes into `folder`: the runs, figure.png and .svg, gradients.png and .svg, curves.csv, gradients.csv and
    summary.json. Raises UsageError for an unknown network, and as `train` does.
    """
    base = with_sizes(base, networks, log)
    specs = {(net, seed): spec_for(net, seed, base, log, networks) for seed in range(seeds) for net in networks}
    require_source(base.data)
    trials = [run_trial(net, seed, spec, folder, log) for (net, seed), spec in specs.items()]
    summary = summarize(trials, networks)
    write_rows(folder / "curves.csv", _curves(trials))
    figures.save(figures.plot_errors(trials, networks), folder / "figure")
    log("measuring gradients by layer")
    profiles = [gradients.measure_gradients(trial) for trial in trials if trial.run and trial.seed == 0]
    write_rows(folder / "gradients.csv", [row for profile in profiles for row in profile.rows()])
    figures.save(figures.plot_gradients(profiles), folder / "gradients")
    summary["words"] += [profile.describe() for profile in profiles]
    write_summary(folder, summary)
    return summary


def summarize(trials: Sequence[Trial], networks: Sequence[str]) -> dict[str, Any]:
    """Return {"networks": a NetworkSummary of each, "words": sentences that compare them}."""
    rows = [_summarize_network(net, [trial for trial in trials if trial.network == net]) for net in networks]
    sentences = [sentence for pair in itertools.combinations(rows, 2) if (sentence := _compare(*pair))]
    return {"networks": rows, "words": [*sentences, _describe_certainty(rows)]}


def _summarize_network(network: str, trials: Sequence[Trial]) -> NetworkSummary:
    done = [trial for trial in trials if trial.run]
    training, training_deviation = _mean_and_deviation(done, "")
    validation, validation_deviation = _mean_and_deviation(done, "val_")
    row: NetworkSummary = {
        "network": network,
        "seeds": len(done),
        "broke_down": len(trials) - len(done),
        "training_error": training,
        "training_error_deviation": training_deviation,
        "validation_error": validation,
        "validation_error_deviation": validation_deviation,
    }
    if done:
        assert done[0].run is not None
        spec = done[0].run.spec()
        classes = len(done[0].run.classes())
        cost = count_cost(spec.network, classes=classes, input_shape=spec.data.input_shape)
        row["parameters"] = cost.trainable
    return row


def _mean_and_deviation(trials: Sequence[Trial], prefix: str) -> tuple[float | None, float | None]:
    """Return mean and standard deviation of the final errors, as far as there are enough of them."""
    last = [float(trial.errors(prefix)[-1]) for trial in trials]
    return float(np.mean(last)) if last else None, float(np.std(last, ddof=1)) if len(last) > 1 else None


def _compare(first: NetworkSummary, second: NetworkSummary) -> str | None:
    """Return a sentence on two networks of one family, or of one depth; None for others."""
    specs = {row["network"]: parse_model_name(row["network"]) for row in (first, second)}
    shallow, deep = sorted((first, second), key=lambda row: specs[row["network"]].depth)
    a, b = specs[shallow["network"]], specs[deep["network"]]
    same_kind = (a.family, a.preactivation) == (b.family, b.preactivation) and a.depth != b.depth
    rivals = a.depth == b.depth and (is_plain_twin(a, b) or is_plain_twin(b, a))
    if not (same_kind or rivals):
        return None
    if shallow["training_error"] is None or deep["training_error"] is None:
        broken = shallow if shallow["training_error"] is None else deep
        return f"{broken['network']} broke down in training: nothing can be said of it."
    if rivals:
        shallow, deep = sorted((first, second), key=lambda row: not has_shortcuts(specs[row["network"]]))
    return _compare_errors(shallow, deep)


def _compare_errors(shallow: NetworkSummary, deep: NetworkSummary) -> str:
    assert shallow["training_error"] is not None and deep["training_error"] is not None
    gap = deep["training_error"] - shallow["training_error"]
    if gap > max(MARGIN, 2 * _uncertainty(shallow, deep)):
        comparison = "did worse in training than"
    elif gap < -max(MARGIN, 2 * _uncertainty(shallow, deep)):
        comparison = "did better in training than"
    else:
        comparison = "did not do worse in training than"
    errors = f"{_format_error(deep)} error against {_format_error(shallow)}"
    return f"{deep['network']} {comparison} {shallow['network']}: {errors}."


def _uncertainty(*rows: NetworkSummary) -> float:
    """Return the standard error, in points, of the difference of two means; 0 where one seed says nothing of it."""
    variances = [(row["training_error_deviation"] or 0.0) ** 2 / row["seeds"] for row in rows]
    return float(np.sqrt(sum(variances)))


def _format_error(row: NetworkSummary) -> str:
    deviation = row["training_error_deviation"]
    return f"{row['training_error']:.1f}%" + (f" ± {deviation:.1f}" if deviation is not None else "")


def _describe_certainty(rows: Sequence[NetworkSummary]) -> str:
    fewest = min(row["seeds"] for row in rows)
    known = (
        "one seed each: no deviation is known" if fewest < 2 else f"{fewest} or more seeds, ± one standard deviation"
    )
    return f"({known}; networks count as different from {MARGIN:g} point and two standard errors on.)"


def _curves(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    return [
        {"network": trial.network, "seed": trial.seed, "epoch": epoch, "training_error": t, "validation_error": v}
        for trial in trials
        for epoch, (t, v) in enumerate(zip(trial.errors(), trial.errors("val_"), strict=True), 1)
    ]
