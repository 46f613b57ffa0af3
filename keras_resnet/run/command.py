"""The command that trains a run again: what was asked for, in the options of `kresnet train`."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from keras_resnet.config.image_size import height_and_width
from keras_resnet.config.recipes import get_recipe
from keras_resnet.config.section import flatten
from keras_resnet.config.settings import Setting, iterate_settings
from keras_resnet.config.spec import Spec
from keras_resnet.config.training import AUTO_WEIGHTS, NO_WEIGHTS, PRETRAINED_PIXELS
from keras_resnet.data.sources.tfds import BUNDLED
from keras_resnet.run.description import default_run_name
from keras_resnet.run.folders import free_name

if TYPE_CHECKING:
    from keras_resnet.run import Run

# What a training is asked for: values by key of the spec, and options that stand for many of these.
Request = Mapping[str, Any]
BASES = ("recipe", "quick", "model")
PRECISION, AUTO_PRECISION = "training.precision", "auto"
# Whatever names a network, and whatever says how to train it.
_NETWORKS = ("recipe", "model", "network.depth", "start.weights", "start.deepen")
_TRAININGS = ("recipe", "start.deepen", "training.steps")


def find_request(spec: Spec) -> dict[str, Any]:
    """Return the settings in which `spec` differs from the default of its task, by key."""
    from keras_resnet.tasks import default_config

    settings, defaults = (flatten(asdict(each)) for each in (spec, default_config(spec.task)))
    return {key: value for key, value in settings.items() if key != "task" and value != defaults[key]}


def training_command(spec: Spec, request: Request | None = None, repeats: bool = True) -> str | None:
    """Return the command that trains this again; None for a compressed network, which starts from another run.

    It names network, data and epochs, and of all else what the `request` set; without one, what differs from the
    defaults. repeats: whether it is to give the same wherever it runs; it then names the weights, also random ones, and
    the precision that the training chose by itself. Otherwise it has only what was typed, and its training chooses
    again.
    """
    if spec.compress.parent:
        return None
    asked = (find_request(spec) if request is None else dict(request)) | (
        _pin_weights(spec, request) if repeats else {}
    )
    shown: dict[str, Any] = {"task": spec.task} if spec.task != Spec().task else {}
    if not asked.keys() & set(_NETWORKS) or asked.get("start.weights") == NO_WEIGHTS:
        shown["network.depth"] = spec.network.depth
    shown |= {key: asked[key] for key in (*BASES, "network.depth") if key in asked}
    shown["data.source"] = spec.data.source
    if repeats and not asked.keys() & set(_TRAININGS):
        shown["training.epochs"] = spec.training.epochs
    words = (shown | asked | (_pin_precision(spec, asked) if repeats else {})).items()
    return shlex.join(["kresnet", "train", *(word for key, value in words for word in _words(key, value))])


def changed_command(spec: Spec, request: Request | None, changes: Request) -> str | None:
    """Return the command of a better training: what was typed, with the values of `changes` in place of its own.
    Pretrained weights that could not be had before are taken if they can be had by then."""
    asked = find_request(spec) if request is None else dict(request)
    if "training.epochs" in changes:
        asked.pop("training.steps", None)  # which decide their number
    return training_command(spec, {**asked, **changes}, repeats=False)


def name_next(run: Run) -> list[str]:
    """Return the option that names a training like that of `run` where this was given a name: by the next number that
    is free; nothing where its name was made from network and data."""
    if re.fullmatch(rf"{re.escape(default_run_name(run.spec()))}(-\d+)?", run.name):
        return []
    home, stem = run.folder.parent, re.sub(r"-\d+$", "", run.name)
    return ["--name", free_name(home, stem if (home / stem).exists() else run.name)]


def _pin_precision(spec: Spec, asked: Request) -> dict[str, Any]:
    """Return what asks for the precision of `spec`, where a recipe does not and another machine, or the same one at
    another time, might choose another."""
    recipe = get_recipe(asked["recipe"], quick="quick" in asked) if "recipe" in asked else Spec()
    chosen = spec.training.precision
    return {} if chosen in (AUTO_PRECISION, recipe.training.precision) else {PRECISION: chosen}


def _pin_weights(spec: Spec, request: Request | None) -> dict[str, Any]:
    """Return what asks for the weights that `spec` starts from, where another machine might choose others."""
    if looked_for_weights(spec, request):
        return {"start.weights": NO_WEIGHTS}
    if not _left_weights_open(spec, request) or spec.start.weights in (None, AUTO_WEIGHTS):
        return {}
    return {"start.weights": spec.start.weights, "data.image_size": spec.data.image_size}


def looked_for_weights(spec: Spec, request: Request | None) -> bool:
    """Return whether the training of `spec` looked for pretrained weights by itself, and found none that it could
    have."""
    is_large = min(height_and_width(spec.data.image_size or 0)) >= PRETRAINED_PIXELS
    return is_large and not spec.start.weights and _left_weights_open(spec, request)


def _left_weights_open(spec: Spec, request: Request | None) -> bool:
    """Return whether the `request` leaves it to the training which weights it starts from."""
    if request is None or "recipe" in request or "start.weights" in request:
        return False
    return not spec.start.deepen and spec.data.source.partition("/")[0] not in BUNDLED


def _words(key: str, value: Any) -> list[str]:
    """Return the option that sets `key` to `value`, where there is one."""
    if key in BASES:
        return ["--quick"] if key == "quick" else [f"--{key}", str(value)]
    setting = _settings().get(key)
    flag = setting.option.flag if setting and setting.option else None
    anything = ["--set", f"{key}={json.dumps(value)}"]
    if setting is None or flag is None or value is None or value == () or value == []:
        return anything
    if setting.kind is bool:
        if setting.is_optional:
            return [flag if value else flag.replace("--", "--no-", 1)]
        return [flag] if value != setting.default else anything
    if setting.is_list:
        return [flag, ",".join(map(str, value))] if isinstance(value, (list, tuple)) else anything
    return [flag, "x".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)]


def _settings() -> dict[str, Setting]:
    return {setting.key: setting for setting in iterate_settings(Spec)}
