"""Converters of activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_resnet.compression.quantization.fake_quantizers import SIGMOID_RANGE, SOFTMAX_RANGE, TANH_RANGE
from keras_resnet.compression.quantization.graph import Graph, Node, OpKind, Range
from keras_resnet.compression.quantization.layer_call import (
    LayerCall,
    NodeBuilder,
    UnsupportedCall,
    require_attributes,
)
from keras_resnet.compression.quantization.layers import ConstantProduct, ConstantSum, HardSwish

layers, activations = keras.layers, keras.activations
# How a file treats an activation, and the range that it prescribes for it.
ACTIVATIONS: dict[str, tuple[OpKind, Range | None]] = {
    "linear": (OpKind.PASS, None),
    "relu": (OpKind.RELU, None),
    "relu6": (OpKind.RELU, None),
    "leaky_relu": (OpKind.RESULT, None),
    "sigmoid": (OpKind.RESULT, SIGMOID_RANGE),
    "tanh": (OpKind.RESULT, TANH_RANGE),
    "softmax": (OpKind.RESULT, SOFTMAX_RANGE),
    "silu": (OpKind.RESULT, None),
    "hard_sigmoid": (OpKind.RESULT, None),
    "hard_silu": (OpKind.RESULT, None),
}


def add_activation(builder: NodeBuilder, node: Node, function: Callable[..., Any]) -> Node:
    """Add `function` of the result of `node`: as the called layer itself, or if the builder has a role as one beside
    it, named after both."""
    name = getattr(function, "__name__", type(function).__name__)
    if name not in ACTIVATIONS or function is not getattr(activations, name):
        raise UnsupportedCall(f"with the activation {name}")
    kind, fixed_range = ACTIVATIONS[name]
    if function is activations.silu:
        gate = builder.add(
            "sigmoid", OpKind.RESULT, layers.Activation, node, activation="sigmoid", fixed_range=SIGMOID_RANGE
        )
        return builder.add("", OpKind.ARITHMETIC, layers.Multiply, [node, gate])
    if function is activations.hard_sigmoid:
        return _add_hard_sigmoid(builder, node)
    if function is activations.hard_silu:
        return builder.add("", kind, HardSwish, node)
    return builder.add("", kind, layers.Activation, node, activation=name, fixed_range=fixed_range)


def _add_hard_sigmoid(builder: NodeBuilder, node: Node) -> Node:
    """Add relu6(x + 3) / 6."""
    shifted = builder.add("shift", OpKind.ARITHMETIC, ConstantSum, node, constant=3.0)
    clipped = builder.add("relu6", OpKind.RELU, layers.Activation, shifted, activation="relu6")
    return builder.add("", OpKind.ARITHMETIC, ConstantProduct, clipped, constant=1 / 6)


def convert_activation(call: LayerCall, graph: Graph) -> Node:
    """Convert a layer that is an activation."""
    options = {"activity_regularizer": call.operation.activity_regularizer}
    return add_activation(NodeBuilder(call, graph, "", options), call.inputs[0], call.operation.activation)


def convert_softmax(call: LayerCall, graph: Graph) -> Node:
    """Convert a layer that is a softmax of channels."""
    require_attributes(call, axis=-1)
    return add_activation(NodeBuilder(call, graph), call.inputs[0], activations.softmax)


def convert_function(name: str, required: dict[str, Any], call: LayerCall, graph: Graph) -> Node:
    """Convert an operator that is the activation `name`, if its attributes are as `required`."""
    require_attributes(call, **required)
    return add_activation(NodeBuilder(call, graph), call.inputs[0], getattr(activations, name))


def convert_leaky_relu(call: LayerCall, graph: Graph) -> Node:
    """Convert an operator that is a ReLU with a slope below 0."""
    slope = call.operation.negative_slope
    builder = NodeBuilder(call, graph)
    return builder.add("", OpKind.RESULT, layers.LeakyReLU, call.inputs[0], negative_slope=slope)
