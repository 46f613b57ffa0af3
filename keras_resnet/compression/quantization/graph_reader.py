"""A functional or Sequential model, and the models inside it, read as steps."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import tree

from keras_resnet.compression.quantization.layer_calls import Call, Refusal
from keras_resnet.compression.quantization.layers import FakeQuantizer
from keras_resnet.compression.quantization.lowering import base_of, lower, refused
from keras_resnet.compression.quantization.steps import Kind, Part, Step, Steps
from keras_resnet.errors import UsageError

# What gives the values that it is given.
MOVING = (
    *(FakeQuantizer, keras.layers.Activation, keras.layers.Dropout, keras.layers.Flatten, keras.layers.Identity),
    keras.layers.Reshape,
)
NO_SOFTMAX = "the model must end in logits, without a softmax, of which 8 bits leave too little"


def read(model: Any) -> Steps:
    """What `model` computes. Raises UsageError, in one sentence, for what an 8-bit file cannot."""
    require_graph(model)
    require_logits(model)
    steps = Steps()
    graph = graph_of(model)
    steps.reserve(operation.name for operation in graph.operations)
    known: dict[int, Step] = {}
    for tensor in graph.inputs:
        layer = tensor._keras_history.operation
        step = steps.add(Part(layer.name, Kind.INPUT, partial(_input_like, layer), layer.dtype_policy))
        known[id(tensor)] = step
        steps.inputs.append(step)
    _follow(graph, known, steps, None)
    steps.outputs = tree.map_structure(lambda tensor: known[id(tensor)], graph.output)
    for step in tree.flatten(steps.outputs):
        step.is_output = True
    return steps


def require_graph(model: Any) -> None:
    """Raises UsageError unless `model` is an ordinary functional or Sequential one, with known inputs."""
    if isinstance(model, str | Path):
        raise UsageError(
            f"quantize takes a model, not a file: load it by keras.saving.load_model. Received: {str(model)!r}"
        )
    if not isinstance(model, keras.Model):
        raise UsageError(f"quantize takes a Keras model. Received: {type(model).__name__}")
    if type(model) is keras.Sequential and not model.built:
        raise UsageError(
            f"quantize takes a model that knows its input: begin it with keras.Input. Received: {model.name}, which is"
            " not built"
        )
    if not is_graph(model):
        raise UsageError(
            "quantize takes functional and Sequential models, whose layers can be seen. Received: a subclassed model,"
            f" {model.name} of type {type(model).__name__}"
        )


def is_graph(model: Any) -> bool:
    """Whether `model` is one, and all that it computes is the graph of its layers."""
    if not isinstance(model, keras.Model):
        return False
    return type(model) in (keras.Sequential, _functional()) and bool(getattr(model, "inputs", None))


def _functional() -> type:
    """The class of models that are made of inputs and outputs, which Keras does not name in public."""
    tensor = keras.Input((1,))
    return type(keras.Model(tensor, tensor))


def graph_of(model: Any) -> Any:
    """The functional model that `model` is, or has inside if it is Sequential."""
    return model._functional if type(model) is keras.Sequential else model


def _input_like(layer: Any) -> Any:
    return keras.layers.InputLayer.from_config(layer.get_config()).output


def _follow(model: Any, known: dict[int, Step], steps: Steps, parent: str | None, **options: Any) -> None:
    """Add the steps of `model`, whose inputs are `known` by the identity of their tensors; its results are known then.
    parent: the name of the model that it is in; options: what that is called with."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input or any(id(tensor) not in known for tensor in node.input_tensors):
                continue
            arguments, named = node.arguments.fill_in(known)
            given = {name: value for name, value in named.items() if value is not None}
            if isinstance(node.operation, keras.Layer):
                given |= options
            results = _called(node, arguments, given, known, steps, parent)
            known.update(zip(map(id, node.outputs), results, strict=True))


def _called(
    node: Any,
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    known: dict[int, Step],
    steps: Steps,
    parent: str | None,
) -> list[Step]:
    """The results of one call, by the steps that give them."""
    operation = node.operation
    if isinstance(operation, keras.Model):
        return _inlined(operation, node, named, known, steps)
    if len(node.outputs) != 1:
        raise refused(operation.name, type(operation).__name__, "which gives several tensors")
    (output,) = node.outputs
    inputs = [known[id(tensor)] for tensor in node.input_tensors]
    shapes = [tuple(tensor.shape) for tensor in node.input_tensors]
    name = steps.name_of(operation, parent)
    call = Call(
        operation, name, base_of(operation), arguments, named, inputs, shapes, tuple(output.shape), output.dtype
    )
    try:
        return [lower(call, steps)]
    except Refusal as error:
        raise refused(operation.name, type(operation).__name__, str(error)) from None


def _inlined(model: Any, node: Any, named: dict[str, Any], known: dict[int, Step], steps: Steps) -> list[Step]:
    """A model inside another, its steps among the other's."""
    if not is_graph(model) or set(named) - {"training"}:
        raise refused(model.name, type(model).__name__, "a model inside the model")
    graph = graph_of(model)
    inner = {id(ours): known[id(theirs)] for ours, theirs in zip(graph.inputs, node.input_tensors, strict=True)}
    _follow(graph, inner, steps, model.name, **named)
    return [inner[id(tensor)] for tensor in graph.outputs]


def require_logits(model: Any) -> None:
    """Raises UsageError if `model` ends in a softmax that can be seen in its graph, rounded or not."""
    for tensor in graph_of(model).outputs if is_graph(model) else ():
        if found := _softmax_at(tensor):
            raise UsageError(f"{NO_SOFTMAX}. Received: {model.name}, which ends in {found.name}")


def _softmax_at(tensor: Any) -> Any:
    """The layer or operator whose softmax `tensor` is, as it is or only moved and rounded; None if it is none."""
    operation, number, place = tensor._keras_history
    if is_graph(operation):
        return _softmax_at(graph_of(operation).outputs[place])
    function = getattr(operation, "activation", None)
    if type(operation).__name__ == "Softmax" or function is keras.activations.softmax:
        return operation
    before = operation._inbound_nodes[number].input_tensors
    moves = isinstance(operation, MOVING) or function is keras.activations.linear
    passes = moves and not hasattr(operation, "kernel") and len(before) == 1
    return _softmax_at(before[0]) if passes else None
