"""Find the feature maps of a Keras network, in its graph: those that heat maps can be made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.errors import UsageError, did_you_mean
from keras_resnet.models.parts import find_lateral_layers

if TYPE_CHECKING:
    import keras

# Layers that a message names.
SHOWN = 6


def list_feature_maps(model: keras.Model) -> list[str]:
    """Return the names of the layers whose output is a map (B, H, W, C) of more than one position, the first one first:
    the network's input and layers that are called several times are left out.

    Raises UsageError for a model whose layers form no graph, as those of a subclass of keras.Model do.
    """
    if not getattr(model, "inputs", None):
        raise UsageError(
            "heat maps need a model of keras.Model(inputs, outputs) or keras.Sequential with an input shape, whose"
            f" layers are known. Received: {type(model).__name__} {model.name}"
        )
    return [layer.name for layer in model.layers if _is_feature_map(layer)]


def _is_feature_map(layer: keras.Layer) -> bool:
    import keras

    if isinstance(layer, keras.layers.InputLayer) or len(layer._inbound_nodes) != 1:
        return False
    shape: tuple[int | None, ...] = tuple(getattr(layer.output, "shape", ()))
    return len(shape) == 4 and (shape[1], shape[2]) != (1, 1)


def find_feature_map(model: keras.Model, name: str | None = None) -> str:
    """Return the layer called `name`, by default the last feature map in front of the outputs.

    Raises UsageError for a layer that there is not or that has no map, and for a model without any.
    """
    names = list_feature_maps(model)
    if not names:
        raise UsageError(f"heat maps need a layer with a map (B, H, W, C), and {model.name} has none")
    if name is None:
        return names[-1]
    if name in names:
        return name
    known = any(layer.name == name for layer in model.layers)
    why = "has no map (B, H, W, C) of its own" if known else "is no layer of this network"
    near = "" if known else did_you_mean(name, names)
    examples = ", ".join(list_stages(model)[-SHOWN:])
    raise UsageError(f"--layer {name} {why}; the last map of each resolution is that of {examples}.{near}")


def list_stages(model: keras.Model) -> list[str]:
    """Return the last feature map of each resolution, the finest first."""
    last = {model.get_layer(name).output.shape[1:3]: name for name in list_feature_maps(model)}
    return list(last.values())


def list_backbone_features(model: keras.Model) -> dict[str, int]:
    """Return the feature maps of a detector's backbone that its neck takes up, and the positions to a side of each, the
    finest first; {} of a network without a neck."""
    laterals = find_lateral_layers(layer.name for layer in model.layers)
    inputs = [model.get_layer(name).input for name in laterals if name.endswith("_conv")]
    found = {each._keras_history.operation.name: int(each.shape[1]) for each in inputs}
    return dict(sorted(found.items(), key=lambda item: -item[1]))
