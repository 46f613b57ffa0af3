"""The weights that a training starts from: pretrained ones, those of another run, or a shallower one, frozen parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.compression.filter_pruning import prune_filters
from keras_resnet.config.families import FAMILIES
from keras_resnet.config.spec import CompressSpec, NetworkSpec, Spec, StartSpec
from keras_resnet.config.training import AUTO_WEIGHTS, NO_WEIGHTS
from keras_resnet.errors import RunError, UsageError, WeightsError, did_you_mean
from keras_resnet.models.names import model_name
from keras_resnet.models.parts import BACKBONE, HEADS, get_part, select_parts
from keras_resnet.pretrained import hub
from keras_resnet.pretrained.load import assign_weights, fetch_weights
from keras_resnet.pretrained.readers import read_weights
from keras_resnet.pretrained.weights import Weights
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted, verb
from keras_resnet.tasks import TASKS, parts_of

if TYPE_CHECKING:
    import keras

# Fields of the network that the weights do not decide.
UNDECIDED_FIELDS = ("drop_path", "zero_gamma")


def config_from_weights(spec: Spec, requested: set[str], home: Path, log: Log) -> Spec:
    """Return `spec` with the network, normalization and image size of the weights that it starts from.

    `requested` holds the dotted keys that the user gave, which must not contradict the weights; a run's name
    in `start.weights` is looked up in `home`. Raises UsageError, WeightsError or RunError.
    """
    origin = spec.start.weights
    assert origin is not None
    run = _find_run(origin, home)
    if run is None and not (hub.is_hub_name(origin) or Path(origin).suffix):
        raise RunError(_describe_missing(origin, home))
    if run is not None:
        run.require_finished()
        parent = run.spec()
        network, data = parent.network, parent.data
        spec = replace(spec, start=replace(spec.start, weights=str(run.model_file.resolve())))
        read_weights(run.model_file)  # so that a damaged file is noticed before the data are read
        spec = _with_heads(spec, parent, requested, log)
    else:
        origin = _resolve_origin(origin, log)
        weights = fetch_weights(origin)
        spec = replace(spec, start=replace(spec.start, weights=origin))
        network = weights.network or spec.network
        normalization = weights.normalization or spec.data.normalization
        whole = weights.resize if spec.data.fit in (None, "crop") else None
        data = replace(spec.data, normalization=normalization, image_size=weights.image_size, resize=whole)
    spec = replace(spec, network=merge_networks(spec.network, network, requested, origin))
    log(f"network: {model_name(network)}, and its normalization (of the weights {origin})")
    merged = replace(spec.data, normalization=data.normalization, channels=spec.data.channels or data.channels)
    if data.annotations == merged.annotations:
        merged = replace(merged, fit=merged.fit or data.fit)
    if data.image_size and merged.image_size is None:  # neither asked for nor a recipe's
        resize = data.resize if merged.fit in (None, data.fit) else None
        merged = replace(merged, image_size=data.image_size, resize=resize)
    return replace(spec, data=merged)


def _describe_missing(origin: str, home: Path) -> str:
    """Return that nothing is called `origin`, the nearest name, and what weights may be."""
    hosted = [
        *(f"torchvision:{name}" for name in hub.TORCHVISION_HASHES),
        *(f"keras:{name}" for name in hub.KERAS_APPLICATIONS),
    ]
    near = [name for name in hosted if name.partition(":")[2] == origin]
    names = (NO_WEIGHTS, AUTO_WEIGHTS, *(run.name for run in Run.all(home)), *hosted)
    suggestion = f" Did you mean {near[0]!r}?" if near else did_you_mean(origin, names)
    return (
        f"no run called {origin!r} in {home}.{suggestion} Weights are {NO_WEIGHTS} (random ones), a"
        " file (.keras, .h5, .pth, .safetensors), a run, keras:NAME, torchvision:NAME, timm:NAME or"
        " hf:USER/NAME"
    )


def describe_weights_source(origin: str, home: Path) -> str:
    """Return what `--weights` names, for people: "run NAME", or "the weights FILE"."""
    run = _find_run(origin, home)
    return f"run {run.name}" if run else f"the weights {origin}"


def _resolve_origin(origin: str, log: Log) -> str:
    """Return the full path of a file, or the full name of weights by name."""
    if not hub.is_hub_name(origin):
        return str(Path(origin).expanduser().resolve())
    exact, how = hub.settle_origin(origin)
    if how:
        log(f"weights: {exact} ({how})")
    return exact


def _with_heads(spec: Spec, parent: Spec, requested: set[str], log: Log) -> Spec:
    """Return `spec` with the heads of the run that it starts from, if they fit: others would be new."""
    shared = [key for key in TASKS[spec.task].head_settings if key in TASKS[parent.task].head_settings]
    keys = [key for key in shared if f"head.{key}" not in requested]
    head = replace(spec.head, **{key: getattr(parent.head, key) for key in keys})
    if head != spec.head:
        log(f"heads: {counted(head.convs, 'convolution')} a tower, masks by {head.masks} (of the weights)")
    return replace(spec, head=head)


def config_from_shallow_run(home: Path, name: str, log: Log) -> Spec:
    """Return the spec of the run `name`, for a deeper network to start from it."""
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


def initialize(model: keras.Model, spec: Spec, log: Log) -> None:
    """Fill `model` as `spec.start` says. Raises WeightsError if that is impossible."""
    if spec.start.weights:
        origin = spec.start.weights
        log(f"weights of {origin}: {assign_weights(model, fetch_weights(origin), origin)}")
    if spec.start.narrow:
        pruned = prune_filters(model, fetch_weights(spec.start.narrow))
        log(f"weights: {pruned} filters inside units of {spec.start.narrow}, the strongest")
    if spec.start.deepen:
        added = deepen(model, fetch_weights(spec.start.deepen))
        log(
            f"weights: of {spec.start.deepen}, and {counted(added, 'unit')} more, which"
            f" {verb(added, 'starts', 'start')} as the identity"
        )
    for line in _describe_parts(spec):
        log(line)


def deepen(model: keras.Model, shallow: Weights) -> int:
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
    silenced = {layer.name: _zero_weights(layer) for layer in extra if layer.name in _last_layers(model, added)}
    initial = {layer.name: layer.get_weights() for layer in extra}
    assign_weights(model, replace(shallow, layers=initial | silenced | shallow.layers), "of the shallower network")
    return len(added)


def _last_layers(model: keras.Model, units: set[str]) -> set[str]:
    """Return of each unit the last norm of the residual, or where nothing follows it the last convolution."""
    last: dict[str, str] = {}
    for layer in model.layers:
        unit, _, part = layer.name.rpartition("_")
        if unit in units and part.startswith(("conv", "norm")):
            last[unit] = layer.name
    return set(last.values())


def _zero_weights(layer: keras.Layer) -> list[np.ndarray]:
    """Return weights of `layer` under which its outputs are zero: its kernel, or scale and offset, zero."""
    values = layer.get_weights()
    trained = len(layer.trainable_weights)
    return [np.zeros_like(value) if index < trained else value for index, value in enumerate(values)]


def require_parts(spec: Spec) -> None:
    """Raise UsageError if `spec.start.freeze` names a part that the network does not have for its task, leaves nothing
    to train, or nothing for `start.backbone_lr_scale`."""
    parts, start = parts_of(spec), spec.start
    known = (*parts, BACKBONE, HEADS)
    for part in start.freeze:
        if part not in known:
            raise UsageError(
                f"--freeze: {model_name(spec.network)}, to {spec.task}, has no part {part!r}."
                f"{did_you_mean(part, known)} Known: {', '.join(known)}"
            )
    frozen = _frozen(start, parts)
    if frozen == set(parts):
        raise UsageError(f"--freeze leaves nothing to train. Received: {', '.join(start.freeze)}")
    if start.backbone_lr_scale != 1 and frozen >= select_parts(BACKBONE, parts):
        raise UsageError(
            f"--backbone-lr-scale has no effect where the backbone is frozen. Received: {start.backbone_lr_scale:g}"
        )


def freeze(model: keras.Model, start: StartSpec) -> None:
    """Make the parts that `start` names untrainable (see `require_parts`)."""
    for layer in model.layers:
        part = get_part(layer.name)
        is_norm = start.freeze_bn and hasattr(layer, "moving_mean")
        if is_norm or (part and _frozen(start, (part.name,))):
            layer.trainable = False


def _describe_parts(spec: Spec) -> list[str]:
    """Return lines that say which parts are frozen or have another learning rate, if any."""
    parts, start = parts_of(spec), spec.start
    frozen = [part for part in parts if part in _frozen(start, parts)]
    slowed = [part for part in parts if part in select_parts(BACKBONE, parts) and part not in frozen]
    full = [part for part in parts if part not in (*frozen, *slowed)]
    lines = [f"frozen: {', '.join(frozen)}; in training: {', '.join(slowed + full)}"] if frozen else []
    if start.backbone_lr_scale != 1:
        rest = f"; all of it for {', '.join(full)}" if full else ""
        lines.append(f"learning rate: {start.backbone_lr_scale:g} of it for {', '.join(slowed)}{rest}")
    return lines


def _frozen(start: StartSpec, parts: Iterable[str]) -> set[str]:
    """Return those of `parts` that are not trained."""
    parts = tuple(parts)
    return set().union(*(select_parts(name, parts) for name in start.freeze))


def merge_networks(requested: NetworkSpec, pretrained: NetworkSpec, keys: set[str], origin: str) -> NetworkSpec:
    """Return the network of the weights. Raises UsageError if one of `keys`, which the user gave, contradicts it."""
    undecided = {
        key: getattr(requested, key) for key in UNDECIDED_FIELDS if key in FAMILIES[pretrained.family].settings
    }
    merged = replace(pretrained, **undecided)
    for key in sorted(key.removeprefix("network.") for key in keys if key.startswith("network.")):
        if getattr(requested, key) != getattr(merged, key):
            raise UsageError(
                f"the weights {origin} are of {model_name(pretrained)}: network.{key} is {getattr(pretrained, key)!r}."
                f" Received: {getattr(requested, key)!r}"
            )
    return merged


def _find_run(origin: str, home: Path) -> Run | None:
    """Return the run that `origin` names or points into, or None."""
    for folder in (home / origin, Path(origin).expanduser(), Path(origin).expanduser().parent):
        if (folder / "spec.json").is_file() and (folder != Path(origin).parent or Path(origin).name == "model.keras"):
            return Run(folder)
    return None
