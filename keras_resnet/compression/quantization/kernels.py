"""Converters of convolutions, dense layers and batch norms, with the activation inside the same layer."""

from __future__ import annotations

from typing import Any

import keras

from keras_resnet.compression.quantization.activations import add_activation
from keras_resnet.compression.quantization.graph import Graph, LayerPlan, Node, OpKind
from keras_resnet.compression.quantization.layer_call import (
    LayerCall,
    NodeBuilder,
    UnsupportedCall,
    require_attributes,
)
from keras_resnet.compression.quantization.layers import QuantizedConv2D, QuantizedDepthwiseConv2D

layers, activations = keras.layers, keras.activations


def convert_kernel(layer_class: type[keras.Layer], call: LayerCall, graph: Graph) -> Node:
    """Convert to a node of `layer_class`, and one for the activation."""
    layer = call.operation
    if not isinstance(layer, layers.Dense):
        require_attributes(call, data_format="channels_last")
    if isinstance(layer, layers.DepthwiseConv2D) and tuple(layer.dilation_rate) != (1, 1):
        raise UnsupportedCall("with a dilation")
    config, options = _move_regularizer(layer, call.config(activation=None, name=call.name))

    def plan() -> LayerPlan:
        return LayerPlan(call.name, OpKind.KERNEL, lambda: layer_class.from_config(config), call.policy, layer)

    node = graph.add_node(graph.plan_layer(layer, "", plan), *call.arguments)
    return _add_own_activation(call, graph, node, options)


def _move_regularizer(layer: keras.Layer, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a kernel's configuration, and the options of the activation behind it, to which the activity regularizer
    moves."""
    if layer.activation is activations.linear:
        return config, {}
    return {**config, "activity_regularizer": None}, {"activity_regularizer": layer.activity_regularizer}


def convert_separable(call: LayerCall, graph: Graph) -> Node:
    """Convert to a depthwise convolution and one of 1 × 1, between which a file rounds."""
    layer = call.operation
    require_attributes(call, data_format="channels_last", dilation_rate=(1, 1))
    depthwise, pointwise = _split_separable(call)
    pointwise, options = _move_regularizer(layer, pointwise)

    def plan_depthwise() -> LayerPlan:
        config = {**depthwise, "name": graph.unique_name(f"{call.name}_depthwise")}
        create = lambda: QuantizedDepthwiseConv2D(**config)  # noqa: E731
        return LayerPlan(config["name"], OpKind.KERNEL, create, call.policy, layer, (0,))

    def plan_pointwise() -> LayerPlan:
        indices = tuple(range(1, len(layer.weights)))
        create = lambda: QuantizedConv2D.from_config(pointwise)  # noqa: E731
        return LayerPlan(call.name, OpKind.KERNEL, create, call.policy, layer, indices)

    between = graph.add_node(graph.plan_layer(layer, "depthwise", plan_depthwise), *call.arguments)
    node = graph.add_node(graph.plan_layer(layer, "", plan_pointwise), between)
    return _add_own_activation(call, graph, node, options)


def _split_separable(call: LayerCall) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configurations of the depthwise convolution, without a name, and of the pointwise one."""
    config = call.config()
    parts = ("initializer", "regularizer", "constraint")
    depthwise_keys = (
        *("trainable", "dtype", "kernel_size", "strides", "padding", "depth_multiplier"),
        *(f"depthwise_{part}" for part in parts),
    )
    pointwise_keys = ("trainable", "dtype", "filters", "use_bias", *(f"bias_{part}" for part in parts))
    depthwise = {key: config[key] for key in depthwise_keys} | {"use_bias": False}
    pointwise = {key: config[key] for key in pointwise_keys}
    pointwise |= {f"kernel_{part}": config[f"pointwise_{part}"] for part in parts}
    pointwise |= {
        "activity_regularizer": config.get("activity_regularizer"),
        "kernel_size": 1,
        "name": call.name,
    }
    return depthwise, pointwise


def _add_own_activation(call: LayerCall, graph: Graph, node: Node, options: dict[str, Any]) -> Node:
    """Add the node of the layer's own activation, behind that of its kernel."""
    function = call.operation.activation
    if function is activations.linear:
        return node
    return add_activation(NodeBuilder(call, graph, "activation", options), node, function)


def convert_batch_norm(call: LayerCall, graph: Graph) -> Node:
    """Convert a batch norm: what stands before it decides what it becomes."""
    layer = call.operation
    plan = graph.plan_layer(layer, "", lambda: LayerPlan(call.name, OpKind.NORM, lambda: layer, call.policy, layer))
    return graph.add_node(plan, *call.arguments, **call.options)
