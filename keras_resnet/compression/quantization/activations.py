"""Activations as an 8-bit file computes them."""

from __future__ import annotations

from typing import Any

import keras

from keras_resnet.compression.quantization.layer_calls import Call, Lower, Maker, Refusal, require
from keras_resnet.compression.quantization.layers import (
    SIGMOID_RANGE,
    SOFTMAX_RANGE,
    TANH_RANGE,
    ConstantProduct,
    ConstantSum,
    HardSwish,
)
from keras_resnet.compression.quantization.steps import Kind, Step, Steps

layers, activations = keras.layers, keras.activations
# How a file treats an activation, and the range that it prescribes for it.
ACTIVATIONS: dict[str, tuple[Kind, tuple[float, float] | None]] = {
    "linear": (Kind.PASS, None),
    "relu": (Kind.RELU, None),
    "relu6": (Kind.RELU, None),
    "leaky_relu": (Kind.RESULT, None),
    "sigmoid": (Kind.RESULT, SIGMOID_RANGE),
    "tanh": (Kind.RESULT, TANH_RANGE),
    "softmax": (Kind.RESULT, SOFTMAX_RANGE),
    "silu": (Kind.RESULT, None),
    "hard_sigmoid": (Kind.RESULT, None),
    "hard_silu": (Kind.RESULT, None),
}


def activated(
    call: Call, steps: Steps, step: Step, function: Any, role: str = "", options: dict[str, Any] | None = None
) -> Step:
    """`function` of the result of `step`: the layer `call.name` itself, or where that has a `role` beside it one named
    after both."""
    name = getattr(function, "__name__", type(function).__name__)
    if name not in ACTIVATIONS or function is not getattr(activations, name):
        raise Refusal(f"with the activation {name}")
    kind, fixed = ACTIVATIONS[name]
    maker = Maker(call, steps, role, options or {})
    if function is activations.silu:
        gate = maker.step("sigmoid", Kind.RESULT, layers.Activation, step, activation="sigmoid", fixed=SIGMOID_RANGE)
        return maker.step("", Kind.ARITHMETIC, layers.Multiply, [step, gate])
    if function is activations.hard_sigmoid:
        return _hard_sigmoid(maker, step)
    if function is activations.hard_silu:
        return maker.step("", kind, HardSwish, step)
    return maker.step("", kind, layers.Activation, step, activation=name, fixed=fixed)


def _hard_sigmoid(maker: Maker, step: Step) -> Step:
    """relu6(x + 3) / 6."""
    moved = maker.step("shift", Kind.ARITHMETIC, ConstantSum, step, constant=3.0)
    cut = maker.step("relu6", Kind.RELU, layers.Activation, moved, activation="relu6")
    return maker.step("", Kind.ARITHMETIC, ConstantProduct, cut, constant=1 / 6)


def activation(call: Call, steps: Steps) -> Step:
    """A layer that is an activation."""
    regularizer = {"activity_regularizer": call.operation.activity_regularizer}
    return activated(call, steps, call.inputs[0], call.operation.activation, options=regularizer)


def softmax(call: Call, steps: Steps) -> Step:
    """A layer that is a softmax of channels."""
    require(call, axis=-1)
    return activated(call, steps, call.inputs[0], activations.softmax)


def function(name: str, **required: Any) -> Lower:
    """An activation as an operator."""

    def lowered(call: Call, steps: Steps) -> Step:
        require(call, **required)
        return activated(call, steps, call.inputs[0], getattr(activations, name))

    return lowered


def leaky(call: Call, steps: Steps) -> Step:
    """A ReLU with a slope below 0, as an operator."""
    make = layers.LeakyReLU
    slope = call.operation.negative_slope
    return Maker(call, steps).step("", Kind.RESULT, make, call.inputs[0], negative_slope=slope)
