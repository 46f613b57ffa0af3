"""Reads a functional or Sequential model, and the models inside it, into a graph of nodes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import tree

from keras_resnet.compression.quantization.converters import convert_call, get_base_class, unsupported_layer
from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer
from keras_resnet.compression.quantization.graph import Graph, LayerPlan, Node, OpKind
from keras_resnet.compression.quantization.layer_call import LayerCall, UnsupportedCall
from keras_resnet.errors import UsageError

# Layers whose results are their inputs' values.
VALUE_PRESERVING = (
    *(FakeQuantizer, keras.layers.Activation, keras.layers.Dropout, keras.layers.Flatten, keras.layers.Identity),
    keras.layers.Reshape,
)
NO_SOFTMAX = "the model must end in logits, without a softmax, whose probabilities 8 bits cannot resolve"


def build_graph(model: keras.Model) -> Graph:
    """Return what `model` computes. Raises UsageError, in one sentence, for what an 8-bit file cannot compute."""
    require_functional(model)
    require_logits(model)
    return _GraphReader(get_functional(model)).read()


class _GraphReader:
    """Adds the calls of a model to a graph. nodes: by the identity of the tensors that they give."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._graph = Graph()
        self._nodes: dict[int, Node] = {}

    def read(self) -> Graph:
        """Return the graph of the model."""
        graph, model = self._graph, self._model
        graph.reserve_names(operation.name for operation in model.operations)
        for tensor in model.inputs:
            layer = tensor._keras_history.operation
            plan = LayerPlan(layer.name, OpKind.INPUT, partial(_copy_input, layer), layer.dtype_policy)
            node = graph.add_node(plan)
            self._nodes[id(tensor)] = node
            graph.inputs.append(node)
        self._add_calls(model, self._nodes, None, {})
        graph.outputs = tree.map_structure(lambda tensor: self._nodes[id(tensor)], model.output)
        for node in tree.flatten(graph.outputs):
            node.is_output = True
        return graph

    def _add_calls(
        self, model: keras.Model, nodes: dict[int, Node], parent: str | None, options: dict[str, Any]
    ) -> None:
        """Add the calls of `model`, whose inputs are among `nodes`; its results are among them then.

        parent: the name of an inner model; options: those it is called with.
        """
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for call in model._nodes_by_depth[depth]:
                if call.is_input or any(id(tensor) not in nodes for tensor in call.input_tensors):
                    continue
                arguments, named = call.arguments.fill_in(nodes)
                given = {name: value for name, value in named.items() if value is not None}
                if isinstance(call.operation, keras.Layer):
                    given |= options
                if isinstance(call.operation, keras.Model):
                    results = self._inline_model(call.operation, call.input_tensors, given, nodes)
                else:
                    results = [self._convert(call, arguments, given, nodes, parent)]
                nodes.update(zip(map(id, call.outputs), results, strict=True))

    def _convert(
        self, call: Any, arguments: tuple[Any, ...], options: dict[str, Any], nodes: dict[int, Node], parent: str | None
    ) -> Node:
        """Convert one call, a node of Keras' own graph; return the node of its result."""
        operation = call.operation
        kind = type(operation).__name__
        if len(call.outputs) != 1:
            raise unsupported_layer(operation.name, kind, "which gives several tensors")
        (output,) = call.outputs
        layer_call = LayerCall(
            operation=operation,
            name=self._graph.layer_name(operation, parent),
            base=get_base_class(operation),
            arguments=arguments,
            options=options,
            inputs=[nodes[id(tensor)] for tensor in call.input_tensors],
            shapes=[tuple(tensor.shape) for tensor in call.input_tensors],
            shape=tuple(output.shape),
            dtype=output.dtype,
        )
        try:
            return convert_call(layer_call, self._graph)
        except UnsupportedCall as error:
            raise unsupported_layer(operation.name, kind, str(error)) from None

    def _inline_model(
        self, model: keras.Model, inputs: list[keras.KerasTensor], options: dict[str, Any], nodes: dict[int, Node]
    ) -> list[Node]:
        """Add the calls of an inner model, and return the nodes of its outputs."""
        if not is_functional(model) or set(options) - {"training"}:
            raise unsupported_layer(model.name, type(model).__name__, "a model inside the model")
        functional = get_functional(model)
        inner = {id(own): nodes[id(outer)] for own, outer in zip(functional.inputs, inputs, strict=True)}
        self._add_calls(functional, inner, model.name, options)
        return [inner[id(tensor)] for tensor in functional.outputs]


def require_functional(model: keras.Model) -> None:
    """Raise UsageError unless `model` is an ordinary functional or Sequential one, with known inputs."""
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
    if not is_functional(model):
        raise UsageError(
            "quantize takes functional and Sequential models, whose layers can be seen. Received: a subclassed model,"
            f" {model.name} of type {type(model).__name__}"
        )


def is_functional(model: keras.Operation) -> bool:
    """Return whether `model` is a model, and all that it computes is the graph of its layers."""
    if not isinstance(model, keras.Model):
        return False
    return type(model) in (keras.Sequential, _functional_class()) and bool(getattr(model, "inputs", None))


def _functional_class() -> type:
    """Return the class of models that are made of inputs and outputs, which Keras does not name in public."""
    tensor = keras.Input((1,))
    return type(keras.Model(tensor, tensor))


def get_functional(model: keras.Model) -> keras.Model:
    """Return the functional model that `model` is, or has inside if it is Sequential."""
    return model._functional if type(model) is keras.Sequential else model


def _copy_input(layer: keras.layers.InputLayer) -> keras.KerasTensor:
    return keras.layers.InputLayer.from_config(layer.get_config()).output


def require_logits(model: keras.Model) -> None:
    """Raise UsageError if `model` ends in a softmax that can be seen in its graph, rounded or not."""
    if softmax := find_softmax(model):
        raise UsageError(f"{NO_SOFTMAX}. Received: {model.name}, which ends in {softmax.name}")


def find_softmax(model: keras.Model) -> keras.Operation | None:
    """Return the layer or operator whose softmax `model` ends in, as its graph shows it; None where there is none."""
    outputs = get_functional(model).outputs if is_functional(model) else ()
    return next((softmax for softmax in map(_find_softmax, outputs) if softmax), None)


def _find_softmax(tensor: keras.KerasTensor) -> keras.Operation | None:
    """Return the layer or operator whose softmax `tensor` is, as it is or moved and rounded; None if it is none."""
    operation, node_index, tensor_index = tensor._keras_history
    if is_functional(operation):
        return _find_softmax(get_functional(operation).outputs[tensor_index])
    function = getattr(operation, "activation", None)
    if type(operation).__name__ == "Softmax" or function is keras.activations.softmax:
        return operation
    inputs = operation._inbound_nodes[node_index].input_tensors
    preserves = isinstance(operation, VALUE_PRESERVING) or function is keras.activations.linear
    passes = preserves and not hasattr(operation, "kernel") and len(inputs) == 1
    return _find_softmax(inputs[0]) if passes else None
