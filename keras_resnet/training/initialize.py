"""How a training starts: from weights of elsewhere, from a shallower run, with parts frozen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.compression.filter_pruning import prune_filters
from keras_resnet.config.spec import CompressSpec, NetworkSpec, Spec, StartSpec
from keras_resnet.errors import UsageError, WeightsError, did_you_mean
from keras_resnet.models.names import model_name
from keras_resnet.models.parts import BODY, HEADS, named_parts, part_of
from keras_resnet.pretrained import hub
from keras_resnet.pretrained.key_mapping import Weights
from keras_resnet.pretrained.load import assign_weights, fetch
from keras_resnet.pretrained.readers import read
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted, verb
from keras_resnet.tasks import parts_of

# How a network starts and trains, which weights do not decide.
FREE = ("drop_path", "zero_gamma")


def config_from_weights(spec: Spec, asked: set[str], home: Path, log: Log) -> Spec:
    """`spec` with the network, normalization and image size of the weights that it starts from.

    `asked` holds the dotted keys that were asked for, which must not contradict the weights; a run's name
    in `start.weights` is looked up in `home`. Raises UsageError, WeightsError or RunError.
    """
    origin = spec.start.weights
    assert origin is not None
    run = _run_called(origin, home)
    if run is None and not (hub.is_named(origin) or Path(origin).suffix):
        run = Run.find(home, origin)  # which says that there is none, and names the nearest
    if run is not None:
        run.require_finished()
        theirs = run.spec()
        network, data = theirs.network, theirs.data
        normalization, image_size, resize = data.normalization, data.image_size, data.resize
        spec = replace(spec, start=replace(spec.start, weights=str(run.model_file.resolve())))
        read(run.model_file)  # so that a damaged file is told before the data are read
        spec = _with_heads(spec, theirs, asked, log)
    else:
        if hub.is_named(origin):
            if (exact := hub.exact(origin)) != origin:
                log(f"weights: {exact} (the newest of {origin})")
            origin = exact
        else:
            origin = str(Path(origin).expanduser().resolve())
        weights = fetch(origin)
        spec = replace(spec, start=replace(spec.start, weights=origin))
        network, image_size, resize = weights.network or spec.network, weights.image_size, weights.resize
        normalization = weights.normalization or spec.data.normalization
    spec = replace(spec, network=_agreed(spec.network, network, asked, origin))
    log(f"network: {model_name(network)}, and its normalization (of the weights {origin})")
    sizes = replace(spec.data, normalization=normalization)
    if image_size and sizes.image_size is None:  # neither asked for nor a recipe's
        sizes = replace(sizes, image_size=image_size, resize=resize)
    return replace(spec, data=sizes)


def origin_in_words(origin: str, home: Path) -> str:
    """Return what `--from` names, for people: "run NAME", or "the weights FILE"."""
    run = _run_called(origin, home)
    return f"run {run.name}" if run else f"the weights {origin}"


def _with_heads(spec: Spec, theirs: Spec, asked: set[str], log: Log) -> Spec:
    """`spec` with the heads of the run that it starts from, where it has such: others would be new."""
    if "classify" in (spec.task, theirs.task):
        return spec
    keys = [key for key in ("convs", "masks") if f"head.{key}" not in asked]
    if {spec.task, theirs.task} != {"segment"}:
        keys = [key for key in keys if key != "masks"]
    head = replace(spec.head, **{key: getattr(theirs.head, key) for key in keys})
    if head != spec.head:
        log(f"heads: {counted(head.convs, 'convolution')} a tower, masks by {head.masks} (of the weights)")
    return replace(spec, head=head)


def adopt_shallow(home: Path, name: str, log: Log) -> Spec:
    """The spec of the run `name`, for a deeper network to start from it."""
    run = Run.find(home, name)
    run.require_finished()
    spec = run.spec()
    log(f"data, optimizer and training: as of run {run.name}")
    return replace(
        spec,
        start=StartSpec(deepen=str(run.model_file.resolve())),
        compress=CompressSpec(),
        optimizer=replace(spec.optimizer, warmup_epochs=None),
        training=replace(spec.training, stop_after=None),
    )


def initialize(model: Any, spec: Spec, log: Log) -> None:
    """Fill `model` as `spec.start` says. Raises WeightsError if that is impossible."""
    if spec.start.weights:
        origin = spec.start.weights
        log(f"weights of {origin}: {assign_weights(model, fetch(origin), origin)}")
    if spec.start.narrow:
        kept = prune_filters(model, fetch(spec.start.narrow))
        log(f"weights: {kept} of the filters inside units of {spec.start.narrow}, those that weigh most")
    if spec.start.deepen:
        added = deepen(model, fetch(spec.start.deepen))
        log(
            f"weights: of {spec.start.deepen}, and {counted(added, 'unit')} more, which"
            f" {verb(added, 'starts', 'start')} as the identity"
        )
    for line in _learning(spec):
        log(line)


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
    assign_weights(model, replace(shallow, layers=fresh | silenced | shallow.layers), "of the shallower network")
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


def require_parts(spec: Spec) -> None:
    """Raises UsageError if `spec.start.freeze` names a part that the network does not have for its task, leaves nothing
    to train, or nothing for `start.body_rate`."""
    parts, start = parts_of(spec), spec.start
    known = (*parts, BODY, HEADS)
    for part in start.freeze:
        if part not in known:
            raise UsageError(
                f"{model_name(spec.network)}, to {spec.task}, has no part {part!r}.{did_you_mean(part, known)}"
                f" Known: {', '.join(known)}"
            )
    frozen = _frozen(start, parts)
    if frozen == set(parts):
        raise UsageError(f"--freeze leaves nothing to train. Received: {', '.join(start.freeze)}")
    if start.body_rate != 1 and frozen >= named_parts(BODY, parts):
        raise UsageError(f"--body-rate has no meaning where the body is frozen. Received: {start.body_rate:g}")


def freeze(model: Any, start: StartSpec) -> None:
    """Make the parts that `start` names untrainable (see `require_parts`)."""
    for layer in model.layers:
        part = part_of(layer.name)
        is_norm = start.freeze_norms and hasattr(layer, "moving_mean")
        if is_norm or (part and _frozen(start, (part.name,))):
            layer.trainable = False


def _learning(spec: Spec) -> list[str]:
    """What parts do in training, in lines, where they do not all do the same."""
    parts, start = parts_of(spec), spec.start
    frozen = [part for part in parts if part in _frozen(start, parts)]
    slowed = [part for part in parts if part in named_parts(BODY, parts) and part not in frozen]
    full = [part for part in parts if part not in (*frozen, *slowed)]
    lines = [f"frozen: {', '.join(frozen)}; in training: {', '.join(slowed + full)}"] if frozen else []
    if start.body_rate != 1:
        rest = f"; all of it for {', '.join(full)}" if full else ""
        lines.append(f"learning rate: {start.body_rate:g} of it for {', '.join(slowed)}{rest}")
    return lines


def _frozen(start: StartSpec, parts: Iterable[str]) -> set[str]:
    """Of `parts` those that stay as they are."""
    parts = tuple(parts)
    return set().union(*(named_parts(name, parts) for name in start.freeze))


def _agreed(ours: NetworkSpec, theirs: NetworkSpec, asked: set[str], origin: str) -> NetworkSpec:
    free = {key: getattr(ours, key) for key in FREE if theirs.family == "resnet"}
    agreed = replace(theirs, **free)
    for key in sorted(key.removeprefix("network.") for key in asked if key.startswith("network.")):
        if getattr(ours, key) != getattr(agreed, key):
            raise UsageError(
                f"the weights {origin} are of {model_name(theirs)}: network.{key} is {getattr(theirs, key)!r}."
                f" Received: {getattr(ours, key)!r}"
            )
    return agreed


def _run_called(origin: str, home: Path) -> Run | None:
    """The run that `origin` names or points into, or None."""
    for folder in (home / origin, Path(origin).expanduser(), Path(origin).expanduser().parent):
        if (folder / "spec.json").is_file() and (folder != Path(origin).parent or Path(origin).name == "model.keras"):
            return Run(folder)
    return None
