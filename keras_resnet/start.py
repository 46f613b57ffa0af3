"""How a training starts: from weights of elsewhere, from a shallower run, with parts frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import UsageError, WeightsError, did_you_mean
from keras_resnet.networks import catalog
from keras_resnet.networks.names import name_of
from keras_resnet.run import Run
from keras_resnet.shrink import narrow
from keras_resnet.spec import CompressSpec, NetworkSpec, Spec, StartSpec
from keras_resnet.weights import sources
from keras_resnet.weights.load import CLASSIFIER, fetch, place
from keras_resnet.weights.translate import Weights

Say = Callable[[str], None]
# How a network starts and trains, which weights do not decide.
FREE = ("drop_path", "zero_gamma")
# All parts but the classifier.
BODY = "body"


def adopt(spec: Spec, asked: set[str], home: Path, say: Say) -> Spec:
    """`spec` with the network, normalization and image size of the weights that it starts from.

    `asked` holds the dotted keys that were asked for, which must not contradict the weights; a run's name
    in `start.weights` is looked up in `home`. Raises UsageError, WeightsError or RunError.
    """
    origin = spec.start.weights
    assert origin is not None
    run = _run_called(origin, home)
    if run is None and not (sources.is_named(origin) or Path(origin).suffix):
        run = Run.find(home, origin)  # which says that there is none, and names the nearest
    if run is not None:
        run.require_finished()
        theirs = run.spec()
        network, data = theirs.network, theirs.data
        normalization, image_size, resize = data.normalization, data.image_size, data.resize
        spec = replace(spec, start=replace(spec.start, weights=str(run.model_file.resolve())))
    else:
        if sources.is_named(origin):
            if (exact := sources.exact(origin)) != origin:
                say(f"weights: {exact} (the newest of {origin})")
            origin = exact
        else:
            origin = str(Path(origin).expanduser().resolve())
        weights = fetch(origin)
        spec = replace(spec, start=replace(spec.start, weights=origin))
        network, image_size, resize = weights.network or spec.network, weights.image_size, weights.resize
        normalization = weights.normalization or spec.data.normalization
    spec = replace(spec, network=_agreed(spec.network, network, asked, origin))
    say(f"network: {name_of(network)}, and its normalization (of the weights {origin})")
    sizes = replace(spec.data, normalization=normalization)
    if image_size and "data.image_size" not in asked:
        sizes = replace(sizes, image_size=image_size, resize=resize)
        say(f"image size: {image_size} pixels (of the weights; --image-size changes it)")
    return replace(spec, data=sizes)


def adopt_shallow(home: Path, name: str, say: Say) -> Spec:
    """The spec of the run `name`, for a deeper network to start from it."""
    run = Run.find(home, name)
    run.require_finished()
    spec = run.spec()
    say(f"data, optimizer and training: as of run {run.name}")
    return replace(
        spec,
        start=StartSpec(deepen=str(run.model_file.resolve())),
        compress=CompressSpec(),
        optimizer=replace(spec.optimizer, warmup_epochs=None),
        training=replace(spec.training, stop_after=None),
    )


def initialize(model: Any, spec: Spec, say: Say) -> None:
    """Fill `model` as `spec.start` says. Raises WeightsError if that is impossible."""
    if spec.start.weights:
        say(f"weights: {place(model, fetch(spec.start.weights), spec.start.weights)} from {spec.start.weights}")
    if spec.start.narrow:
        kept = narrow(model, fetch(spec.start.narrow))
        say(f"weights: {kept} of the filters inside units of {spec.start.narrow}, those that weigh most")
    if spec.start.deepen:
        added = deepen(model, fetch(spec.start.deepen))
        say(f"weights: of {spec.start.deepen}, and {added} units that start as identities")


def deepen(model: Any, shallow: Weights) -> int:
    """Fill a deep network with the weights of a shallower one and make each further unit the identity.

    He et al. 2015, section 1: the deeper net then computes exactly what the shallower does. Returns how many
    units were added. Raises WeightsError if the shallow network is not the beginning of the deep one.
    """
    extra = [layer for layer in model.layers if layer.weights and layer.name not in shallow.layers]
    added = {layer.name.rpartition("_")[0] for layer in extra}
    deep = {layer.name for layer in model.layers}
    if odd := sorted(set(shallow.layers) - deep):
        raise WeightsError(f"the shallower network is not a part of {model.name}: it has {', '.join(odd[:3])}, …")
    if bad := [unit for unit in sorted(added) if f"{unit}_add" not in deep or f"{unit}_proj" in deep]:
        raise WeightsError(f"{bad[0]} of {model.name} cannot be the identity: its shortcut is none or a projection")
    silenced = {layer.name: _silent(layer) for layer in extra if layer.name in _last_layers(model, added)}
    fresh = {layer.name: layer.get_weights() for layer in extra}
    place(model, replace(shallow, layers=fresh | silenced | shallow.layers), "of the shallower network")
    return len(added)


def _last_layers(model: Any, units: set[str]) -> set[str]:
    """Of each unit, the last norm of the residual, or where nothing follows it the last convolution."""
    last: dict[str, str] = {}
    for layer in model.layers:
        unit, _, part = layer.name.rpartition("_")
        if unit in units and part.startswith(("conv", "norm")):
            last[unit] = layer.name
    return set(last.values())


def _silent(layer: Any) -> list[np.ndarray]:
    """The weights of `layer` under which it gives zeros: its kernel, or scale and offset, zero."""
    values = layer.get_weights()
    trained = len(layer.trainable_weights)
    return [np.zeros_like(value) if index < trained else value for index, value in enumerate(values)]


def require_parts(network: NetworkSpec, start: StartSpec) -> None:
    """Raises UsageError if `start.freeze` names a part that `network` does not have, or leaves nothing to train."""
    parts = catalog.parts_of(network)
    known = (*parts, BODY)
    for part in start.freeze:
        if part not in known:
            raise UsageError(
                f"{name_of(network)} has no part {part!r}.{did_you_mean(part, known)} Known: {', '.join(known)}"
            )
    if set(start.freeze) >= set(parts) or set(start.freeze) >= {BODY, CLASSIFIER}:
        raise UsageError(f"--freeze leaves nothing to train. Received: {', '.join(start.freeze)}")


def freeze(model: Any, start: StartSpec) -> None:
    """Make the parts that `start` names untrainable (see `require_parts`)."""
    for layer in model.layers:
        part = part_of(layer.name)
        is_norm = start.freeze_norms and hasattr(layer, "moving_mean")
        in_body = BODY in start.freeze and part != CLASSIFIER
        if is_norm or in_body or part in start.freeze:
            layer.trainable = False


def part_of(layer_name: str) -> str:
    """ "stage3_unit2_conv1" → "stage3": the name under which a layer can be frozen."""
    return layer_name.partition("_")[0]


def _agreed(ours: NetworkSpec, theirs: NetworkSpec, asked: set[str], origin: str) -> NetworkSpec:
    free = {key: getattr(ours, key) for key in FREE if theirs.family == "resnet"}
    agreed = replace(theirs, **free)
    for key in sorted(key.removeprefix("network.") for key in asked if key.startswith("network.")):
        if getattr(ours, key) != getattr(agreed, key):
            raise UsageError(
                f"the weights {origin} are of {name_of(theirs)}: network.{key} is {getattr(theirs, key)!r}."
                f" Received: {getattr(ours, key)!r}"
            )
    return agreed


def _run_called(origin: str, home: Path) -> Run | None:
    """The run that `origin` names or points into, or None."""
    for folder in (home / origin, Path(origin).expanduser(), Path(origin).expanduser().parent):
        if (folder / "spec.json").is_file() and (folder != Path(origin).parent or Path(origin).name == "model.keras"):
            return Run(folder)
    return None
