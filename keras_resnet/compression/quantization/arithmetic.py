"""Converters of sums, products and constants: a file computes two tensors, or one and a constant, at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import keras
import numpy as np

from keras_resnet.compression.quantization.graph import Graph, LayerPlan, Node, OpKind
from keras_resnet.compression.quantization.layer_call import (
    LayerCall,
    NodeBuilder,
    UnsupportedCall,
    require_attributes,
    require_same_rank,
)
from keras_resnet.compression.quantization.layers import ConstantProduct, ConstantSum, QuantizedRescaling

layers = keras.layers
# A Rescaling at the input that takes pixels 0–255 to more than this normalizes no pixels.
MAX_NORMALIZED = 16.0
# A product or a sum, and its constant.
ConstantOp: TypeAlias = tuple[type[keras.Layer], np.ndarray | float]


def convert_rescaling(call: LayerCall, graph: Graph) -> Node:
    """Convert to the normalization of pixels, where it reads them and makes small numbers of them; else to a product
    and a sum."""
    layer, node = call.operation, call.inputs[0]
    scale, offset = (np.asarray(each, np.float32) for each in (layer.scale, layer.offset))
    normalizes_pixels = _is_pixels(node) and 255 * float(np.abs(scale).max()) <= MAX_NORMALIZED
    if normalizes_pixels:
        config = call.config(name=call.name)

        def plan() -> LayerPlan:
            create = lambda: QuantizedRescaling.from_config(config)  # noqa: E731
            return LayerPlan(call.name, OpKind.NORMALIZE, create, call.policy)

        node = graph.add_node(graph.plan_layer(layer, "", plan), *call.arguments)
    else:
        node = _add_constants(call, graph, [(ConstantProduct, scale), (ConstantSum, offset)])
    if (node.kind is OpKind.NORMALIZE) != normalizes_pixels:
        raise UnsupportedCall("of pixels and of other values")
    return node


def _is_pixels(node: Node) -> bool:
    """Return whether the result of a node is the model's input itself."""
    return node.kind is OpKind.INPUT or (node.kind is OpKind.IDENTITY and _is_pixels(node.inputs[0]))


def convert_normalization(call: LayerCall, graph: Graph) -> Node:
    """Convert to a sum and a product with mean and deviation as they are now."""
    layer = call.operation
    require_attributes(call, invert=False)
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(each), np.float32) for each in (layer.mean, layer.variance))
    factor = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return _add_constants(call, graph, [(ConstantSum, -mean), (ConstantProduct, factor)])


def _add_constants(call: LayerCall, graph: Graph, operations: list[ConstantOp]) -> Node:
    """Add products and sums with constants, one after another. Those that change nothing are left out."""
    builder, node = NodeBuilder(call, graph), call.inputs[0]
    effective = [
        (layer, value) for layer, value in operations if np.any(np.asarray(value) != (layer is ConstantProduct))
    ]
    for _, value in effective:
        if not np.isfinite(value).all():
            raise UnsupportedCall("with a constant that is not finite")
        _require_broadcast(call, value)
    for layer, value in effective[:-1]:
        role = "product" if layer is ConstantProduct else "sum"
        node = builder.add(role, OpKind.ARITHMETIC, layer, node, constant=value)
    if not effective:
        return builder.add("", OpKind.PASS, layers.Identity, node)
    layer, value = effective[-1]
    return builder.add("", OpKind.ARITHMETIC, layer, node, constant=value)


def _require_broadcast(call: LayerCall, constant: np.ndarray | float) -> None:
    """Raise UnsupportedCall for a constant that would make the tensor larger."""
    (shape,) = call.shapes
    known = [1 if side is None else side for side in shape]
    if np.ndim(constant) > len(known) or list(np.broadcast_shapes(tuple(known), np.shape(constant))) != known:
        raise UnsupportedCall(f"with a constant of shape {np.shape(constant)}")


def convert_pairwise(layer: type[keras.Layer], call: LayerCall, graph: Graph) -> Node:
    """Convert a sum or product of any number of tensors, two at a time, as a file computes them."""
    require_same_rank(call)
    first, *between, last = call.inputs
    builder = NodeBuilder(call, graph)
    for number, each in enumerate(between, 1):
        first = builder.add(f"part{number}", OpKind.ARITHMETIC, layer, [first, each])
    return builder.add("", OpKind.ARITHMETIC, layer, [first, last])


def convert_average(call: LayerCall, graph: Graph) -> Node:
    """Convert to sums, and a product with a constant."""
    require_same_rank(call)
    total, *others = call.inputs
    builder = NodeBuilder(call, graph)
    for number, each in enumerate(others, 1):
        total = builder.add(f"sum{number}", OpKind.ARITHMETIC, layers.Add, [total, each])
    return builder.add("", OpKind.ARITHMETIC, ConstantProduct, total, constant=1 / len(call.inputs))


def convert_binary(
    layer: type[keras.Layer] | None,
    with_constant: Callable[[np.ndarray, bool], list[ConstantOp]],
    call: LayerCall,
    graph: Graph,
) -> Node:
    """Convert an operator of two tensors, as `layer` if there is one; or of a tensor and a constant, as `with_constant`
    says of the constant and whether it stands first."""
    operands = [*call.arguments, *call.options.values()]
    if len(call.inputs) == 2 and len(operands) == 2:
        if layer is None:
            raise UnsupportedCall("of two tensors")
        require_same_rank(call)
        return NodeBuilder(call, graph).add("", OpKind.ARITHMETIC, layer, operands)
    if len(call.inputs) != 1 or len(operands) != 2:
        raise UnsupportedCall("")
    is_first = not isinstance(operands[0], Node)
    value = operands[0 if is_first else 1]
    if isinstance(value, keras.Variable):
        raise UnsupportedCall("with a variable")
    constant = np.asarray(keras.ops.convert_to_numpy(value), np.float64)
    return _add_constants(call, graph, with_constant(constant, is_first))


def add_constant(constant: np.ndarray, is_first: bool) -> list[ConstantOp]:
    """Return x + c."""
    return [(ConstantSum, constant)]


def subtract_constant(constant: np.ndarray, is_first: bool) -> list[ConstantOp]:
    """Return x - c, or c - x."""
    return [(ConstantProduct, -1.0), (ConstantSum, constant)] if is_first else [(ConstantSum, -constant)]


def multiply_constant(constant: np.ndarray, is_first: bool) -> list[ConstantOp]:
    """Return x * c."""
    return [(ConstantProduct, constant)]


def divide_constant(constant: np.ndarray, is_first: bool) -> list[ConstantOp]:
    """Return x / c. Raises UnsupportedCall for c / x."""
    if is_first:
        raise UnsupportedCall("of a constant by a tensor")
    with np.errstate(divide="ignore"):
        return [(ConstantProduct, 1 / constant)]


def convert_negative(call: LayerCall, graph: Graph) -> Node:
    """Convert -x."""
    return _add_constants(call, graph, [(ConstantProduct, -1.0)])
