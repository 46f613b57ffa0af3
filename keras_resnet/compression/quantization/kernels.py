"""Convolutions and dense layers as an 8-bit file computes them, with the activation inside the same layer."""

from __future__ import annotations

from typing import Any

import keras

from keras_resnet.compression.quantization.activations import activated
from keras_resnet.compression.quantization.layer_calls import Call, Lower, Refusal, require
from keras_resnet.compression.quantization.layers import QuantizedConv2D, QuantizedDepthwiseConv2D
from keras_resnet.compression.quantization.steps import Kind, Part, Step, Steps

layers, activations = keras.layers, keras.activations


def kernel(kind: Any) -> Lower:
    """A step of `kind`, and one for the activation."""

    def lowered(call: Call, steps: Steps) -> Step:
        layer = call.operation
        if not isinstance(layer, layers.Dense):
            require(call, data_format="channels_last")
        if isinstance(layer, layers.DepthwiseConv2D) and tuple(layer.dilation_rate) != (1, 1):
            raise Refusal("with a dilation")
        config = call.config(activation=None, name=call.name)
        config, regularizer = _without_regularizer(layer, config)

        def part() -> Part:
            return Part(call.name, Kind.KERNEL, lambda: kind.from_config(config), call.policy, layer)

        step = steps.add(steps.part(layer, "", part), *call.arguments)
        return _inline(call, steps, step, regularizer)

    return lowered


def _without_regularizer(layer: Any, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A kernel's configuration, and the activity regularizer that moves to the activation behind it."""
    if layer.activation is activations.linear:
        return config, {}
    return {**config, "activity_regularizer": None}, {"activity_regularizer": layer.activity_regularizer}


def separable(call: Call, steps: Steps) -> Step:
    """A depthwise convolution and one of 1 × 1, between which a file rounds."""
    layer = call.operation
    require(call, data_format="channels_last", dilation_rate=(1, 1))
    config = call.config()
    common = {name: config[name] for name in ("trainable", "dtype")}
    depthwise = {
        **common,
        **{name: config[name] for name in ("kernel_size", "strides", "padding", "depth_multiplier")},
        **{name: config[name] for name in ("depthwise_initializer", "depthwise_regularizer", "depthwise_constraint")},
        "use_bias": False,
    }
    pointwise = {
        **common,
        **{name: config[name] for name in ("filters", "use_bias")},
        "activity_regularizer": config.get("activity_regularizer"),
        **{f"bias_{each}": config[f"bias_{each}"] for each in ("initializer", "regularizer", "constraint")},
        **{f"kernel_{each}": config[f"pointwise_{each}"] for each in ("initializer", "regularizer", "constraint")},
        "kernel_size": 1,
        "name": call.name,
    }
    pointwise, regularizer = _without_regularizer(layer, pointwise)

    def first() -> Part:
        own = {**depthwise, "name": steps.name(f"{call.name}_depthwise")}
        make = lambda: QuantizedDepthwiseConv2D(**own)  # noqa: E731
        return Part(own["name"], Kind.KERNEL, make, call.policy, layer, (0,))

    def second() -> Part:
        places = tuple(range(1, len(layer.weights)))
        return Part(call.name, Kind.KERNEL, lambda: QuantizedConv2D.from_config(pointwise), call.policy, layer, places)

    between = steps.add(steps.part(layer, "depthwise", first), *call.arguments)
    return _inline(call, steps, steps.add(steps.part(layer, "", second), between), regularizer)


def _inline(call: Call, steps: Steps, step: Step, options: dict[str, Any]) -> Step:
    """The step of the layer's own activation, behind that of its kernel."""
    function = call.operation.activation
    if function is activations.linear:
        return step
    return activated(call, steps, step, function, "activation", options)


def norm(call: Call, steps: Steps) -> Step:
    """A batch norm: what it becomes is told by what stands before it."""
    layer = call.operation
    part = steps.part(layer, "", lambda: Part(call.name, Kind.NORM, lambda: layer, call.policy, layer))
    return steps.add(part, *call.arguments, **call.options)
