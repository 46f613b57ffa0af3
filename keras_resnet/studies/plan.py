"""Runs of a study: ordinary runs in the study's folder, skipped when done and continued when cut off."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from keras_resnet.atomic_write import write_atomically
from keras_resnet.config.families import FAMILIES
from keras_resnet.config.image_size import height_and_width
from keras_resnet.config.spec import NetworkSpec, Spec
from keras_resnet.errors import RunError, TrainingError, TrainingInterrupted, TrainingStopped
from keras_resnet.models.backbone import get_backbone, get_family, has_shortcuts
from keras_resnet.models.names import NAMED_SETTINGS, parse_model_name
from keras_resnet.models.resnet import IMAGENET_UNITS
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.training.train import resume, train

# Pixels of the bundled digits, which are known before they are read.
DIGITS_SIZE = 8
# Plain networks and VGG have no shortcuts to set.
SHORTCUT_SETTINGS = ("shortcut", "zero_gamma")


@dataclass(frozen=True)
class Trial:
    """One network under one seed. run is None where its training broke down, for the reason `failure`."""

    network: str
    seed: int
    run: Run | None
    failure: str = ""

    def errors(self, prefix: str = "") -> np.ndarray:
        """Return the error in % by epoch: of training images, or with prefix "val_" of validation images."""
        return np.array([100 * (1 - row[f"{prefix}accuracy"]) for row in self.run.read_log()] if self.run else [])


def spec_for(net: str, seed: int, base: Spec, log: Log, beside: Sequence[str] = ()) -> Spec:
    """Return `base` for the network called `net`, to be compared with those `beside` it: with its plain twin among them
    it has shortcuts without parameters (He et al. 2015, section 4.1). Raises UsageError for an unknown name."""
    network = _with_shared_settings(parse_model_name(net), base.network, lambda message: log(f"{net}: {message}"))
    if has_shortcuts(network) and f"plain{network.depth}" in beside and network.depth in IMAGENET_UNITS:
        log(f"{net}: shortcut A (without parameters, so that it differs from plain{network.depth} in nothing else)")
        network = replace(network, shortcut="A")
    backbone = get_backbone(network)
    spec = replace(base, network=network, training=replace(base.training, seed=seed))
    if highest := backbone.max_learning_rate:
        rate = min(highest, spec.optimizer.learning_rate)
        log(f"{net}: learning rate {rate:g} (without batch norm it diverges at more; Simonyan & Zisserman 2015)")
        spec = replace(spec, optimizer=replace(spec.optimizer, learning_rate=rate))
    return spec


def _with_shared_settings(network: NetworkSpec, base: NetworkSpec, log: Log) -> NetworkSpec:
    """Return `network` with what `base` asks of all networks of a study, such as `width`, where its family takes it."""
    standard = NetworkSpec()
    shared = {field.name: getattr(base, field.name) for field in fields(base) if field.name not in NAMED_SETTINGS}
    shared = {key: value for key, value in shared.items() if value != getattr(standard, key)}
    known = FAMILIES[network.family].settings
    for key in shared.keys() - {*known, *SHORTCUT_SETTINGS}:
        log(f"network.{key} does not apply to it")
    return replace(network, **{key: value for key, value in shared.items() if key in known})


def with_sizes(base: Spec, nets: Sequence[str], log: Log) -> Spec:
    """Return `base` with images large enough for all of `nets`, so that all see the same."""
    smallest = {net: get_family(parse_model_name(net).family).min_size for net in nets}
    net = max(nets, key=lambda each: smallest[each])
    size = base.data.image_size or (DIGITS_SIZE if base.data.source == "digits" else smallest[net])
    if min(height_and_width(size)) < smallest[net]:
        log(f"image size: {smallest[net]} pixels ({net} takes no smaller ones)")
        return replace(base, data=replace(base.data, image_size=smallest[net]))
    return base


def run_trial(net: str, seed: int, spec: Spec, folder: Path, log: Log, name: str | None = None) -> Trial:
    """Train `spec` as the run `name` ("<net>-seed<n>") in `folder`, or take it from there. Raises RunError if
    a run of that name has another spec."""
    run = Run(folder / (name or f"{net}-seed{seed}"))
    log(f"== {run.name}")
    try:
        if not run.spec_file.is_file():
            return Trial(net, seed, train(spec, folder, run.name, log))
        if not _matches_request(spec, run.spec()):
            raise RunError(f"{run.folder} was trained with other settings; remove it, or choose another --runs")
        if not run.is_finished:
            return Trial(net, seed, resume(run, log))
        log(f"{run.name} is there already")
        return Trial(net, seed, run)
    except (TrainingInterrupted, TrainingStopped):
        raise
    except TrainingError as error:
        log(f"{run.name} broke down: {error}")
        return Trial(net, seed, None, str(error))


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write `rows` as CSV, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with write_atomically(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def write_summary(folder: Path, summary: Mapping[str, object]) -> None:
    """Write summary.json of a study into `folder`, whole or not at all."""
    with write_atomically(folder / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _matches_request(requested: Spec, resolved: Spec) -> bool:
    """Return whether `resolved` is the spec `requested` with its open choices filled in."""
    wanted = asdict(requested)
    if requested.training.steps is not None:
        del wanted["training"]["epochs"]
    return _agrees(wanted, asdict(resolved))


def _agrees(wanted: object, resolved: object) -> bool:
    """Return whether a value of a spec, or a section of it, is what was asked for, or was left open."""
    if isinstance(wanted, dict) and isinstance(resolved, dict):
        return all(_agrees(value, resolved[key]) for key, value in wanted.items())
    return wanted in (None, "auto") or wanted == resolved
