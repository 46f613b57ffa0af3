"""A functional or Sequential model, and the models inside it, read as steps."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import tree

from keras_resnet.errors import UsageError
from keras_resnet.quantization.lowering import Call, Refusal, lower, refused
from keras_resnet.quantization.steps import Kind, Part, Step, Steps

NO_SOFTMAX = "the model must end in logits, without a softmax, of which 8 bits leave too little"


def read(model: Any) -> Steps:
    """What `model` computes. Raises UsageError, in one sentence, for what an 8-bit file cannot."""
    require_graph(model)
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
    _require_logits(steps)
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
    if not _is_graph(model):
        raise UsageError(
            "quantize takes functional and Sequential models, whose layers can be seen. Received: a subclassed model,"
            f" {model.name} of type {type(model).__name__}"
        )


def _is_graph(model: Any) -> bool:
    """Whether all that `model` computes is the graph of its layers."""
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
    call = Call(operation, name, arguments, named, inputs, shapes, tuple(output.shape), output.dtype)
    try:
        return [lower(call, steps)]
    except Refusal as error:
        raise refused(operation.name, type(operation).__name__, str(error)) from None


def _inlined(model: Any, node: Any, named: dict[str, Any], known: dict[int, Step], steps: Steps) -> list[Step]:
    """A model inside another, its steps among the other's."""
    if not _is_graph(model) or set(named) - {"training"}:
        raise refused(model.name, type(model).__name__, "a model inside the model")
    graph = graph_of(model)
    inner = {id(ours): known[id(theirs)] for ours, theirs in zip(graph.inputs, node.input_tensors, strict=True)}
    _follow(graph, inner, steps, model.name, **named)
    return [inner[id(tensor)] for tensor in graph.outputs]


def _require_logits(steps: Steps) -> None:
    """Raises UsageError if the model ends in a softmax."""
    for step in tree.flatten(steps.outputs):
        while step.kind in (Kind.PASS, Kind.IDENTITY, Kind.POOL):
            step = step.inputs[0]
        if step.part.is_softmax:
            raise UsageError(f"{NO_SOFTMAX}. Received: {step.part.name}, a softmax")
