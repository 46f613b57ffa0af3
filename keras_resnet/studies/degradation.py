"""Does a deeper network train worse? He et al. 2015, figures 1 and 6, for any networks, data and number of seeds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.atomic_write import writing
from keras_resnet.config.spec import Spec
from keras_resnet.models.backbone import has_shortcuts, is_plain_twin
from keras_resnet.models.flops import count_cost
from keras_resnet.models.names import parse_model_name
from keras_resnet.progress import Log
from keras_resnet.studies import figures, gradients
from keras_resnet.studies.plan import Trial, run_trial, spec_for, with_sizes, write_rows

# Points of training error below which two networks are not told apart.
MARGIN = 1.0


def degradation(base: Spec, nets: Sequence[str], seeds: int, folder: Path, log: Log) -> dict[str, Any]:
    """Train each of `nets` under each of `seeds` seeds and compare them; returns what summary.json holds.

    Writes into `folder`: the runs, figure.png and .svg, gradients.png and .svg, curves.csv, gradients.csv and
    summary.json. Raises UsageError for an unknown network, and as `train` does.
    """
    base = with_sizes(base, nets, log)
    specs = {(net, seed): spec_for(net, seed, base, log, nets) for seed in range(seeds) for net in nets}
    trials = [run_trial(net, seed, spec, folder, log) for (net, seed), spec in specs.items()]
    summary = summarize(trials, nets)
    write_rows(folder / "curves.csv", _curves(trials))
    figures.save(figures.errors(trials, nets), folder / "figure")
    log("measuring gradients by layer")
    profiles = [gradients.profile(trial) for trial in trials if trial.run and trial.seed == 0]
    write_rows(folder / "gradients.csv", [row for profile in profiles for row in profile.rows()])
    figures.save(figures.gradients(profiles), folder / "gradients")
    summary["words"] += [profile.words() for profile in profiles]
    with writing(folder / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def summarize(trials: Sequence[Trial], nets: Sequence[str]) -> dict[str, Any]:
    """Final errors of each net, in %, as mean and standard deviation over seeds, and what they say in words."""
    rows = [_row(net, [trial for trial in trials if trial.net == net]) for net in nets]
    words = [words for pair in itertools.combinations(rows, 2) if (words := _compare(*pair))]
    return {"networks": rows, "words": [*words, _caveat(rows)]}


def _row(net: str, trials: Sequence[Trial]) -> dict[str, Any]:
    done = [trial for trial in trials if trial.run]
    row: dict[str, Any] = {"network": net, "seeds": len(done), "broke_down": len(trials) - len(done)}
    if done:
        assert done[0].run is not None
        spec = done[0].run.spec()
        shape = (spec.data.image_size or 0, spec.data.image_size or 0, 3)
        cost = count_cost(spec.network, classes=len(done[0].run.classes()), input_shape=shape)
        row["parameters"] = cost.trainable
    for prefix, key in (("", "training_error"), ("val_", "validation_error")):
        last = [float(trial.errors(prefix)[-1]) for trial in done]
        row[key] = float(np.mean(last)) if last else None
        row[f"{key}_deviation"] = float(np.std(last, ddof=1)) if len(last) > 1 else None
    return row


def _compare(first: dict[str, Any], second: dict[str, Any]) -> str | None:
    """A sentence on two networks of one family, or of one depth; None for others."""
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
    return _verdict(shallow, deep)


def _verdict(shallow: dict[str, Any], deep: dict[str, Any]) -> str:
    gap = deep["training_error"] - shallow["training_error"]
    if gap > max(MARGIN, 2 * _uncertainty(shallow, deep)):
        did = "did worse in training than"
    elif gap < -max(MARGIN, 2 * _uncertainty(shallow, deep)):
        did = "did better in training than"
    else:
        did = "did not do worse in training than"
    return f"{deep['network']} {did} {shallow['network']}: {_figure(deep)} error against {_figure(shallow)}."


def _uncertainty(*rows: dict[str, Any]) -> float:
    """The standard error, in points, of the difference of two means; 0 where one seed tells nothing of it."""
    variances = [(row["training_error_deviation"] or 0.0) ** 2 / row["seeds"] for row in rows]
    return float(np.sqrt(sum(variances)))


def _figure(row: dict[str, Any]) -> str:
    deviation = row["training_error_deviation"]
    return f"{row['training_error']:.1f}%" + (f" ± {deviation:.1f}" if deviation is not None else "")


def _caveat(rows: Sequence[dict[str, Any]]) -> str:
    least = min(row["seeds"] for row in rows)
    known = "one seed each: no deviation is known" if least < 2 else f"{least} or more seeds, ± one standard deviation"
    return f"({known}; networks are told apart from {MARGIN:g} point and two standard errors on.)"


def _curves(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    return [
        {"network": trial.net, "seed": trial.seed, "epoch": epoch, "training_error": t, "validation_error": v}
        for trial in trials
        for epoch, (t, v) in enumerate(zip(trial.errors(), trial.errors("val_"), strict=True), 1)
    ]
