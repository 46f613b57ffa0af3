"""Decides where a file requantizes: which results of nodes it stores, and which are fused into the next operator."""

from __future__ import annotations

import keras

from keras_resnet.compression.quantization.graph import Graph, LayerPlan, Node, OpKind

# Whose operators in a file can clip their results.
FUSING_KINDS = (OpKind.KERNEL, OpKind.NORM, OpKind.ARITHMETIC)
REQUANTIZED_KINDS = (*FUSING_KINDS, OpKind.RELU, OpKind.RESULT, OpKind.JOIN)


def needs_range(node: Node, graph: Graph) -> bool:
    """Return whether the file rounds the result of `node`: not if the next operation is fused into this one."""
    if node.kind not in REQUANTIZED_KINDS:
        return False
    if node.kind is OpKind.RELU or node.layer.fixed_range or node.is_output or not node.consumers:
        return True
    if all(_joins(each) for each in node.consumers):
        return False  # a file keeps what it joins in one range
    return len(node.consumers) > 1 or not _is_fused(node.consumers[0], node, graph)


def is_folded(norm: LayerPlan, graph: Graph) -> bool:
    """Return whether the batch norm's scale can be folded into the kernel before it, at each of its calls. Not into a
    dense one, which has one scale for all of its outputs."""
    calls = [node for node in graph.nodes if node.layer is norm]
    assert norm.source is not None
    return norm.source.axis in (-1, 3) and all(_can_fold(node.inputs[0]) for node in calls)


def is_normalized(pixels: Node) -> bool:
    """Return whether the input of the model is only read by a normalization of pixels, which rounds them itself."""
    passed = all(
        each.kind is OpKind.NORMALIZE or (each.kind is OpKind.IDENTITY and is_normalized(each))
        for each in pixels.consumers
    )
    return passed and bool(pixels.consumers) and not pixels.is_output


def _can_fold(node: Node) -> bool:
    """Return whether a batch norm behind `node` can be folded into it."""
    is_kernel = node.kind is OpKind.KERNEL and not isinstance(node.layer.source, keras.layers.Dense)
    return is_kernel and len(node.consumers) == 1 and not node.is_output


def _is_fused(consumer: Node, node: Node, graph: Graph) -> bool:
    """Return whether `consumer`, the only one, is fused into the operator that computes `node`."""
    if consumer.kind is OpKind.NORM:
        return node.kind is OpKind.KERNEL and is_folded(consumer.layer, graph)
    return consumer.kind is OpKind.RELU and node.kind in FUSING_KINDS


def _joins(node: Node) -> bool:
    """Return whether the inputs of `node` become a part of joined values."""
    passes_on = node.kind is OpKind.PASS and not node.is_output and bool(node.consumers)
    return node.kind is OpKind.JOIN or (passes_on and all(map(_joins, node.consumers)))
