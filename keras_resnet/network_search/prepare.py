"""What a search needs of the data before its first candidate: labels, sizes, and how kresnet trains them by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from keras_resnet.config.given_options import name_options
from keras_resnet.config.provenance import use_provenance
from keras_resnet.config.spec import Spec
from keras_resnet.config.training import NO_WEIGHTS
from keras_resnet.data.dataset import TRAINING_SPLITS, DatasetSplits
from keras_resnet.data.load import load_dataset, require_effect, require_source
from keras_resnet.export.calibration import build_calibration
from keras_resnet.models.flops import Cost
from keras_resnet.network_search.candidates import Architecture
from keras_resnet.network_search.settings import SearchSettings
from keras_resnet.network_search.space import Space, create_space, require_known
from keras_resnet.network_search.target import Target
from keras_resnet.progress import Log
from keras_resnet.training.spec_request import build_spec, trace_spec

# Settings of inputs of networks that a search chooses among.
CHOSEN = ("image_size", "channels", "fit")


@dataclass(frozen=True)
class Prepared:
    """spec: of the default network on the data, resolved. shared: the options that all trainings have."""

    spec: Spec
    classes: tuple[str, ...]
    space: Space
    counted: Mapping[Architecture, Cost]
    shared: Mapping[str, Any]


def prepare(settings: SearchSettings, target: Target, home: Path, log: Log) -> Prepared:
    """Open the data and decide what is chosen among. Raises UsageError and DataError, also where the file that is
    searched for takes more images for its calibration than there are.

    What each training would decide anew for the same data, mirroring and precision, is decided once.
    """
    require_known(settings)
    options = {"data": settings.data, "data_dir": settings.data_dir, "seed": settings.seed}
    options = {name: value for name, value in options.items() if value is not None}
    # Random weights, so that none are downloaded for a network that may not be within the budget.
    single = _single_choices(settings)
    default = {**options, **single, "weights": NO_WEIGHTS}
    spec = build_spec(default, home, lambda message: None)
    with name_options(options):
        require_effect(spec.data, options)
    require_source(spec.data)
    given = trace_spec(default, home)
    with use_provenance(given):
        data = load_dataset(spec.data, partial(_log_unless_chosen, log, single), TRAINING_SPLITS)
    if not settings.dry_run and target.file.needs_calibration:
        build_calibration(data, count=target.request.calibration_images)  # or why it cannot be had, before any training
    shared = options
    if not settings.dry_run:
        with use_provenance(given):
            spec = _resolve(spec, data)
        shared = {**options, "flip": spec.augment.flip, "precision": spec.training.precision}
    spec = replace(spec, data=data.describe_in(spec.data))
    space = create_space(settings, spec, len(data.classes), log)
    return Prepared(spec, data.classes, space, space.architectures(len(data.classes)), shared)


def _single_choices(settings: SearchSettings) -> dict[str, Any]:
    """Return those inputs of networks, by name, of which the settings allow one value."""
    values = {name: getattr(settings, name) for name in CHOSEN}
    return {name: each[0] for name, each in values.items() if len(each) == 1}


def _log_unless_chosen(log: Log, single: Mapping[str, Any], message: str) -> None:
    """Log `message` unless it says which value kresnet train takes of an input of networks for which a search tries
    several."""
    name = message.partition(":")[0].replace(" ", "_")
    if name not in CHOSEN or name in single:
        log(message)


def _resolve(spec: Spec, data: DatasetSplits) -> Spec:
    """Return `spec` with all choices made that a training of it makes."""
    from keras_resnet.training.prepare import restore_determinism, setup_devices
    from keras_resnet.training.resolve import resolve

    with restore_determinism():
        devices, _ = setup_devices(spec, lambda message: None)
        return resolve(spec, data, devices, lambda message: None)
