"""Train with the activations of one residual unit in memory at a time: the backward pass computes them again.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost": of each unit only its input is kept until the
backward pass, which runs the unit a second time. `keras.RematScope` wraps single layers, whose inputs are nearly all
that takes memory, and its second run would move the statistics of batch norm once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import keras
import tensorflow as tf

from keras_resnet.models.layers import deep_graphs
from keras_resnet.models.parts import get_unit
from keras_resnet.training.train_state import Tensors

# Variables that are not trained, and their values: statistics, ranges, seeds of dropout.
State = list[tuple[keras.Variable, tf.Tensor]]


@dataclass(frozen=True)
class Segment:
    """A part of a network that is computed at once. inputs, outputs: its tensors in the graph of the whole one."""

    model: keras.Model
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]

    def run(self, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return what `outputs` are in training, where the segment's inputs are `inputs`."""
        return list(tf.nest.flatten(self.model(list(inputs), training=True)))

    def read_state(self) -> State:
        """Return the present values of all that a run may read and change, but is not trained."""
        return [(variable, tf.identity(variable.value)) for variable in self.model.non_trainable_variables]


class Recomputation:
    """Computes gradients of `model`, a functional one, unit by unit; what comes behind the last unit is one part."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        with deep_graphs():
            self._segments, self._head = _divide(model)

    def differentiate(
        self, images: tf.Tensor, compute_loss: Callable[[Tensors], tf.Tensor], scale: tf.Tensor | float
    ) -> tuple[list[tf.Tensor], tf.Tensor, Tensors]:
        """Return the gradients of `scale` times the loss by the trainable variables, the loss, and the outputs for
        `images` (B, H, W, C).

        Statistics and seeds change in the first run of a unit alone: the second one sees what the first one saw.
        """
        values, states = {id(self._model.inputs[0]): images}, []
        for segment in self._segments:
            states.append(segment.read_state())
            results = segment.run([values[id(tensor)] for tensor in segment.inputs])
            values |= {id(tensor): result for tensor, result in zip(segment.outputs, results, strict=True)}
        # No gradient is needed before the first segment that is trained.
        first = next((i for i, each in enumerate(self._segments) if each.model.trainable_variables), len(states))
        given = [values[id(tensor)] for tensor in self._head.inputs]
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            if first < len(states):
                tape.watch(given)
            outputs = self._head.model(given, training=True)
            loss = compute_loss(outputs)
            scaled = loss * scale
        gradients = _Gradients()
        gradients.add([*self._head.inputs, *variables], tape.gradient(scaled, [*given, *variables]))
        for place in reversed(range(first, len(states))):
            inputs = [values[id(tensor)] for tensor in self._segments[place].inputs]
            _differentiate_again(self._segments[place], inputs, states[place], gradients, watches=place > first)
        return [_zeros_if_none(gradients.get(each), each) for each in variables], loss, outputs


class _Gradients:
    """Gradients by tensor of the graph or by variable, summed over all its uses."""

    def __init__(self) -> None:
        self._sums: dict[int, tf.Tensor] = {}

    def add(self, places: Sequence[object], gradients: Sequence[tf.Tensor | None]) -> None:
        """Add to the gradients of `places`; None adds nothing."""
        for place, gradient in zip(places, gradients, strict=True):
            if gradient is not None:
                before = self._sums.get(id(place))
                self._sums[id(place)] = gradient if before is None else before + gradient

    def get(self, place: object) -> tf.Tensor | None:
        """Return the gradient of `place`, None where the loss does not depend on it."""
        return self._sums.get(id(place))


def _differentiate_again(
    segment: Segment, inputs: Sequence[tf.Tensor], state: State, gradients: _Gradients, watches: bool
) -> None:
    """Run `segment` on `inputs` from `state` once more; add the gradients of its variables and, if it `watches` them,
    of its inputs. No variable changes."""
    known = [gradients.get(tensor) for tensor in segment.outputs]
    given = _wait_for(next(each for each in known if each is not None), inputs)
    with tf.GradientTape() as tape, keras.StatelessScope(state, initialize_variables=False):
        if watches:
            tape.watch(given)
        results = segment.run(given)
    weights = [_zeros_if_none(gradient, result) for gradient, result in zip(known, results, strict=True)]
    variables = segment.model.trainable_variables
    found = tape.gradient(results, [*given, *variables], output_gradients=weights)
    gradients.add([*segment.inputs, *variables], found)


def _wait_for(gradient: tf.Tensor, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return `tensors` as they are, but not before `gradient` is there.

    TensorFlow would else compute what follows from them once, in the forward pass, and keep it. A zero is added that
    depends on the gradient, as in `tf.recompute_grad`: XLA ignores control dependencies.
    """
    is_true = tf.cast(tf.reduce_max(tf.reshape(gradient, [-1])[:1]), tf.bool)
    zero = tf.where(tf.equal(is_true, is_true), 0.0, float("nan"))
    return [tensor + tf.cast(zero, tensor.dtype) for tensor in tensors]


def _zeros_if_none(gradient: tf.Tensor | None, like: tf.Tensor | keras.Variable) -> tf.Tensor:
    return tf.zeros(tf.shape(like), like.dtype) if gradient is None else gradient


def _divide(model: keras.Model) -> tuple[list[Segment], Segment]:
    """Return the segments of `model` from its input to its last unit, and the one of all that comes behind."""
    by_depth = model._nodes_by_depth
    calls = [call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth] if not call.is_input]
    groups = [list(group) for _, group in groupby(calls, lambda call: get_unit(call.operation.name))]
    end = max(place for place, group in enumerate(groups) if get_unit(group[0].operation.name)) + 1
    used_by: dict[int, set[int]] = {}
    for place, group in enumerate(groups):
        for tensor in (tensor for call in group for tensor in call.input_tensors):
            used_by.setdefault(id(tensor), set()).add(place)
    segments = []
    for place, group in enumerate(groups[:end]):
        outputs = [tensor for call in group for tensor in call.outputs if used_by.get(id(tensor), set()) - {place}]
        inputs = _find_inputs(group)
        segments.append(Segment(keras.Model(inputs, outputs), inputs, outputs))
    inputs = _find_inputs([call for group in groups[end:] for call in group])
    return segments, Segment(keras.Model(inputs, model.output), inputs, model.outputs)


def _find_inputs(calls: Sequence[Any]) -> list[keras.KerasTensor]:
    """Return the tensors, each once, that `calls` of layers take up and do not make."""
    made = {id(tensor) for call in calls for tensor in call.outputs}
    taken = {id(tensor): tensor for call in calls for tensor in call.input_tensors}
    return [tensor for key, tensor in taken.items() if key not in made]
