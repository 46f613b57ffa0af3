"""Turns an ordinary Keras model into one that trains as its 8-bit file will compute."""

from __future__ import annotations

import keras
from keras import tree

from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer, PixelQuantizer
from keras_resnet.compression.quantization.graph import Graph, LayerPlan, Nested, Node, OpKind
from keras_resnet.compression.quantization.graph_reader import build_graph, get_functional
from keras_resnet.compression.quantization.layers import QuantizedNorm, RoundedKernel
from keras_resnet.compression.quantization.requantization import is_folded, is_normalized, needs_range
from keras_resnet.config.spec import Spec
from keras_resnet.models.layers import Layers, deep_graphs
from keras_resnet.native_logs import quiet
from keras_resnet.progress import show_activity
from keras_resnet.tasks import Task

RANGE_SUFFIX = "range"


@quiet
def quantize(model: keras.Model, keep_zeros: bool = False) -> keras.Model:
    """Return a copy of `model`, pixels 0–255 in, that computes with 8-bit weights and activations.

    model: functional or Sequential, with operators, keras.ops, shared layers and other such models inside it. The copy
    has the same layers by the same names and the same weights, and a `FakeQuantizer` after each result that the file
    will round: "NAME_range". What a file computes in several steps becomes several layers: the activation of a
    convolution "NAME_activation", and so on. Train it a few epochs with a small learning rate, by `fit` or by a loop of
    your own, in any precision and under any strategy of tf.distribute; `kresnet export` or TensorFlow's converter (see
    `freeze.prepare_for_conversion`) makes an int8 file of it without calibration. With `keep_zeros` weights that are
    zero stay so.

    Raises UsageError, before any work, for what is not a model and for a layer that it does not know.
    """
    with deep_graphs():
        graph = build_graph(model)
        builder = _ModelBuilder(graph, keep_zeros)
        outputs = builder.build_outputs()
        inputs = tree.pack_sequence_as(get_functional(model).input, builder.inputs)
        quantized = keras.Model(inputs, outputs, name=model.name)
    _assign_weights(graph, quantized)
    return quantized


def build_compressed_model(spec: Spec, task: Task, layers: Layers, any_size: bool = False) -> keras.Model:
    """Return the task's network for `spec` (see `Task.build_model`), quantized if `spec.compress` says so."""
    with show_activity("building the network"):
        model = task.build_model(layers, spec, any_size=any_size)
        return quantize(model, spec.compress.sparsity > 0) if spec.compress.is_qat else model


def copy_weights(plain: keras.Model, quantized: keras.Model) -> None:
    """Copy to a quantized model the weights of the model it was made from, or of one built alike; ranges stay."""
    with deep_graphs():
        _assign_weights(build_graph(plain), quantized)


def _assign_weights(graph: Graph, quantized: keras.Model) -> None:
    """Assign to each layer of `quantized` the weights of its source; those that it has besides stay."""
    for plan in {node.layer: None for node in graph.nodes}:
        if weights := plan.source_weights():
            layer = quantized.get_layer(plan.name)
            layer.set_weights([*weights, *layer.get_weights()[len(weights) :]])


class _ModelBuilder:
    """Calls the layers of a graph one after another, each with the range that its result needs."""

    def __init__(self, graph: Graph, keep_zeros: bool) -> None:
        self._graph, self._keep_zeros = graph, keep_zeros
        self._layers: dict[LayerPlan, keras.Operation] = {}
        self._results: dict[Node, Nested] = {}
        self.inputs: list[keras.KerasTensor] = []

    def build_outputs(self) -> Nested:
        """Return the outputs of the model, in its structure."""
        for node in self._graph.nodes:
            self._results[node] = self._add_range(node, self._call(node))
        return tree.map_structure(lambda node: self._results[node], self._graph.outputs)

    def _call(self, node: Node) -> Nested:
        if node.kind is OpKind.INPUT:
            self.inputs.append(node.layer.create())
            return self.inputs[-1]
        arguments = tree.map_structure(
            lambda each: self._results[each] if isinstance(each, Node) else each, node.arguments
        )
        return self._get_layer(node.layer)(*arguments, **node.options)

    def _get_layer(self, plan: LayerPlan) -> keras.Operation:
        if plan not in self._layers:
            layer = self._create_norm(plan) if plan.kind is OpKind.NORM else plan.create()
            if self._keep_zeros and isinstance(layer, RoundedKernel):
                layer.keep_zeros = True
            self._layers[plan] = layer
        return self._layers[plan]

    def _create_norm(self, plan: LayerPlan) -> keras.Layer:
        """Return a batch norm as it is if it is folded into kernels, else one that rounds by itself."""
        assert plan.source is not None
        layer_class = type(plan.source) if is_folded(plan, self._graph) else QuantizedNorm
        return layer_class.from_config({**plan.source.get_config(), "name": plan.name})

    def _add_range(self, node: Node, result: Nested) -> Nested:
        """Return the result of a node, rounded if a file rounds it."""
        if node.kind is OpKind.INPUT:
            return result if is_normalized(node) else self._create_quantizer(node, PixelQuantizer)(result)
        return self._create_quantizer(node, FakeQuantizer)(result) if needs_range(node, self._graph) else result

    def _create_quantizer(self, node: Node, quantizer_class: type[FakeQuantizer]) -> FakeQuantizer:
        name = self._graph.unique_name(f"{node.layer.name}_{RANGE_SUFFIX}")
        return quantizer_class(node.layer.fixed_range, dtype=node.layer.dtype, name=name)
