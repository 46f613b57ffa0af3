"""An ordinary Keras model made into one that trains as its 8-bit file will compute."""

from __future__ import annotations

from typing import Any

import keras
from keras import tree

from keras_resnet.compression.quantization.graph_reader import graph_of, read
from keras_resnet.compression.quantization.layers import FakeQuantizer, PixelQuantizer, QuantizedNorm, RoundedKernel
from keras_resnet.compression.quantization.rounding import is_folded, is_normalized, needs_range
from keras_resnet.compression.quantization.steps import Kind, Part, Step, Steps
from keras_resnet.config.spec import Spec
from keras_resnet.models.layers import Layers, deep_graphs
from keras_resnet.progress import waiting
from keras_resnet.tasks import get_task

RANGE = "range"


def quantize(model: Any, keep_zeros: bool = False) -> Any:
    """A copy of `model`, pixels 0–255 in, that computes with 8-bit weights and activations.

    model: functional or Sequential, with operators, keras.ops, shared layers and other such models inside it. The copy
    has the same layers by the same names and the same weights, and a `FakeQuantizer` after each result that the file
    will round: "NAME_range". What a file computes in several steps becomes several layers: the activation of a
    convolution "NAME_activation", and so on. Train it a few epochs with a small learning rate, by `fit` or by a loop of
    your own, in any precision and under any strategy of tf.distribute; `kresnet export` or TensorFlow's converter (see
    `freeze.frozen`) makes an int8 file of it without calibration. With `keep_zeros` weights that are zero stay so.

    Raises UsageError, before any work, for what is not a model and for a layer that it does not know.
    """
    with deep_graphs():
        steps = read(model)
        builder = _Builder(steps, keep_zeros)
        outputs = builder.outputs()
        quantized = keras.Model(tree.pack_sequence_as(graph_of(model).input, builder.inputs), outputs, name=model.name)
    _place_weights(steps, quantized)
    return quantized


def build_model(spec: Spec, classes: tuple[str, ...], bricks: Layers, any_size: bool = False) -> Any:
    """The network of `spec` (see `Classification.build`), quantized where `spec.compress` says so."""
    with waiting("building the network"):
        model = get_task(spec, classes).build_model(bricks, spec, any_size=any_size)
        return quantize(model, spec.compress.sparsity > 0) if spec.compress.is_qat else model


def copy_weights(plain: Any, quantized: Any) -> None:
    """Give a quantized model the weights of the model it was made from, or of one built alike; ranges stay."""
    with deep_graphs():
        _place_weights(read(plain), quantized)


def _place_weights(steps: Steps, quantized: Any) -> None:
    """Give each layer of `quantized` the weights of its source, and leave it those that it has beside them."""
    for part in {step.part: None for step in steps.steps}:
        if values := part.values():
            target = quantized.get_layer(part.name)
            target.set_weights([*values, *target.get_weights()[len(values) :]])


class _Builder:
    """Calls the layers of steps one after another, each with the range that its result needs."""

    def __init__(self, steps: Steps, keep_zeros: bool) -> None:
        self._steps, self._keep_zeros = steps, keep_zeros
        self._made: dict[Part, Any] = {}
        self._results: dict[Step, Any] = {}
        self.inputs: list[Any] = []

    def outputs(self) -> Any:
        """The results of all steps that the model gives, in its structure."""
        for step in self._steps.steps:
            self._results[step] = self._ranged(step, self._result(step))
        return tree.map_structure(lambda step: self._results[step], self._steps.outputs)

    def _result(self, step: Step) -> Any:
        if step.kind is Kind.INPUT:
            self.inputs.append(step.part.make())
            return self.inputs[-1]
        given = tree.map_structure(lambda each: self._results[each] if isinstance(each, Step) else each, step.arguments)
        return self._layer(step.part)(*given, **step.options)

    def _layer(self, part: Part) -> Any:
        if part not in self._made:
            self._made[part] = self._norm(part) if part.kind is Kind.NORM else part.make()
            if self._keep_zeros and isinstance(self._made[part], RoundedKernel):
                self._made[part].keep_zeros = True
        return self._made[part]

    def _norm(self, part: Part) -> Any:
        """A batch norm as it is where it becomes a part of kernels, else one that rounds by itself."""
        kind = type(part.source) if is_folded(part, self._steps) else QuantizedNorm
        return kind.from_config({**part.source.get_config(), "name": part.name})

    def _ranged(self, step: Step, result: Any) -> Any:
        """What a step gives, rounded where a file rounds it."""
        if step.kind is Kind.INPUT:
            return result if is_normalized(step) else self._quantizer(step, PixelQuantizer)(result)
        return self._quantizer(step, FakeQuantizer)(result) if needs_range(step, self._steps) else result

    def _quantizer(self, step: Step, kind: Any) -> Any:
        name = self._steps.name(f"{step.part.name}_{RANGE}")
        return kind(step.part.fixed, dtype=step.part.dtype, name=name)
