"""Find the feature maps of a Keras network, in its graph: those that heat maps can be made of."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from keras_resnet.errors import UsageError, describe_received, did_you_mean
from keras_resnet.models.parts import find_lateral_layers

if TYPE_CHECKING:
    import keras

# Layers that a message names.
SHOWN = 6


def has_graph(model: keras.Model) -> bool:
    """Return whether the layers of `model` form a graph that can be read: of a functional or Sequential model."""
    from keras_resnet.compression.quantization.graph_reader import is_functional

    return is_functional(model)


def require_graph(model: keras.Model) -> None:
    """Raise UsageError for what is no Keras model, and for one without a graph."""
    import keras

    if not isinstance(model, keras.Model):
        raise UsageError(f"model must be a Keras model. Received: {describe_received(model)}")
    if not has_graph(model):
        raise UsageError(
            "heat maps need a functional or Sequential model with a known input, whose layers can be seen. Received:"
            f" {type(model).__name__} {model.name}"
        )


def read_feature_maps(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Return the outputs of layers that are maps (B, H, W, C) of more than one position, by the layers' names, in the
    order of the graph. The network's input and layers that are called several times are left out. A model inside the
    model is one layer.

    Raises UsageError for a model without a graph, as a subclass of keras.Model is.
    """
    require_graph(model)
    from keras_resnet.compression.quantization.graph_reader import get_functional

    by_depth = get_functional(model)._nodes_by_depth
    calls = [call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth] if not call.is_input]
    times = Counter(call.operation.name for call in calls)
    single = [call for call in calls if times[call.operation.name] == 1 and len(call.outputs) == 1]
    return {call.operation.name: call.outputs[0] for call in single if _is_map(call.outputs[0].shape)}


def _is_map(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == 4 and shape[1:3] != (1, 1)


def find_feature_map(model: keras.Model, name: str | None = None) -> str:
    """Return the layer called `name`, by default that of the last feature map in front of the outputs.

    Raises UsageError for a layer that there is not or that has no map, and for a model without any.
    """
    maps = read_feature_maps(model)
    if not maps:
        raise UsageError(f"heat maps need a layer with a map (B, H, W, C), and {model.name} has none")
    if name is None:
        return next(reversed(maps))
    if name in maps:
        return name
    known = any(layer.name == name for layer in model.layers)
    why = "has no map (B, H, W, C) of its own" if known else "is no layer of this network"
    near = "" if known else did_you_mean(name, maps)
    examples = ", ".join(list_stages(model)[-SHOWN:])
    raise UsageError(f"--layer {name} {why}; the last map of each resolution is that of {examples}.{near}")


def list_stages(model: keras.Model) -> list[str]:
    """Return the last feature map of each resolution, the finest first."""
    last = {tensor.shape[1:3]: name for name, tensor in read_feature_maps(model).items()}
    return list(last.values())


def list_backbone_features(model: keras.Model) -> dict[str, int]:
    """Return the feature maps of a detector's backbone that its neck takes up, and the positions to a side of each, the
    finest first; {} of a network without a neck."""
    maps = read_feature_maps(model)
    laterals = find_lateral_layers(layer.name for layer in model.layers)
    inputs = {id(model.get_layer(name).input) for name in laterals}
    taken = {name: tensor for name, tensor in maps.items() if id(tensor) in inputs and name not in laterals}
    sides = {name: int(tensor.shape[1]) for name, tensor in taken.items()}
    return dict(sorted(sides.items(), key=lambda item: -item[1]))
