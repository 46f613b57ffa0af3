"""What each Keras layer and operator is in an 8-bit file: steps that the file has an operator for, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet.errors import UsageError
from keras_resnet.quantization.layers import (
    SIGMOID_RANGE,
    SOFTMAX_RANGE,
    TANH_RANGE,
    ConstantProduct,
    ConstantSum,
    HardSwish,
    QuantizedConv2D,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
    QuantizedRescaling,
)
from keras_resnet.quantization.steps import Kind, Part, Step, Steps

layers, activations = keras.layers, keras.activations
# A Rescaling at the input that takes pixels 0–255 to more than this normalizes no pixels.
NORMALIZED = 16.0
FLOATS = ("float32", "bfloat16", "float16")
# Methods that may be a subclass's own: they do not change what it computes.
HARMLESS = {"__init__", "get_config", "__module__", "__doc__", "__qualname__", "__annotations__"}


class Refusal(Exception):
    """Why a call cannot be a part of an 8-bit file, in a few words."""


@dataclass(frozen=True)
class Call:
    """A layer or operator at work. arguments, options: with steps where it takes tensors. inputs: those steps.
    shapes: of these. shape, dtype: of the result. name: its layer's in the copy."""

    operation: Any
    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    inputs: list[Step]
    shapes: list[tuple[int | None, ...]]
    shape: tuple[int | None, ...]
    dtype: Any

    @property
    def policy(self) -> Any:
        """What its parts compute in."""
        return getattr(self.operation, "dtype_policy", self.dtype)


Lower = Callable[[Call, Steps], Step]


def lower(call: Call, steps: Steps) -> Step:
    """Add the steps of `call`; the last one gives its result. Raises Refusal."""
    _require_plain(call)
    base = base_of(call.operation)
    if base is not None:
        if extra := set(call.options) - {"training"}:
            raise Refusal(f"called with {', '.join(sorted(extra))}")
        return LAYERS[base](call, steps)
    name = type(call.operation).__name__
    if isinstance(call.operation, keras.layers.Layer) or name not in OPERATORS:
        raise Refusal("")
    if not type(call.operation).__module__.startswith("keras."):
        raise Refusal("")
    return OPERATORS[name](call, steps)


def base_of(operation: Any) -> type | None:
    """The layer of Keras that `operation` computes as, if that is one of LAYERS. A subclass with methods of its own is
    none, unless it says by `computes_as` what it is."""
    kind = type(operation)
    while kind not in LAYERS:
        if stated := vars(kind).get("computes_as"):
            kind = stated
        elif len(kind.__bases__) == 1 and not set(vars(kind)) - HARMLESS and kind.__bases__ != (object,):
            kind = kind.__bases__[0]
        else:
            return None
    return kind


def _require_plain(call: Call) -> None:
    """Raises Refusal for numbers that a file does not have, and for what Keras made of a layer since."""
    policy = call.policy
    computed = getattr(policy, "compute_dtype", policy)
    if getattr(policy, "quantization_mode", None) or getattr(call.operation, "quantization_mode", None):
        raise Refusal("quantized by Keras already")
    if getattr(call.operation, "lora_enabled", False):
        raise Refusal("with LoRA")
    if computed not in FLOATS and not isinstance(call.operation, layers.InputLayer):
        raise Refusal(f"in {computed}")


def _config(layer: Any, **changes: Any) -> dict[str, Any]:
    """The configuration of a layer as Keras' own class has it, with changes."""
    base = base_of(layer)
    assert base is not None
    return {**base.get_config(layer), **changes}  # type: ignore[attr-defined]


# Layers that stay what they are.


def _same(kind: Kind) -> Lower:
    """One step, by a copy of the layer."""

    def lowered(call: Call, steps: Steps) -> Step:
        layer = call.operation
        if kind is not Kind.JOIN and len(call.inputs) != 1:
            raise Refusal("of several tensors")

        def part() -> Part:
            base, config = base_of(layer), _config(layer, name=call.name)
            assert base is not None
            return Part(call.name, kind, lambda: base.from_config(config), call.policy)  # type: ignore[attr-defined]

        return steps.add(steps.part(layer, "", part), *call.arguments, **call.options)

    return lowered


def _channels_last(kind: Kind, **required: Any) -> Lower:
    """The same, where channels come last and attributes are as `required`."""

    def lowered(call: Call, steps: Steps) -> Step:
        _require(call, data_format="channels_last", **required)
        return _same(kind)(call, steps)

    return lowered


def _require(call: Call, **attributes: Any) -> None:
    """Raises Refusal unless the layer's attributes are these."""
    for name, value in attributes.items():
        found = getattr(call.operation, name)
        if found != value:
            raise Refusal(f"with {name}={found!r}")


# Kernels, with what follows inside the same layer.


def _kernel(kind: Any) -> Lower:
    """A step of `kind`, and one for the activation."""

    def lowered(call: Call, steps: Steps) -> Step:
        layer = call.operation
        if not isinstance(layer, layers.Dense):
            _require(call, data_format="channels_last")
        if isinstance(layer, layers.DepthwiseConv2D) and tuple(layer.dilation_rate) != (1, 1):
            raise Refusal("with a dilation")
        config = _config(layer, activation=None, name=call.name)
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


def _separable(call: Call, steps: Steps) -> Step:
    """A depthwise convolution and one of 1 × 1, between which a file rounds."""
    layer = call.operation
    _require(call, data_format="channels_last", dilation_rate=(1, 1))
    config = _config(layer)
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
    return _activated(call, steps, step, function, "activation", options)


def _norm(call: Call, steps: Steps) -> Step:
    """A batch norm: what it becomes is told by what stands before it."""
    layer = call.operation
    part = steps.part(layer, "", lambda: Part(call.name, Kind.NORM, lambda: layer, call.policy, layer))
    return steps.add(part, *call.arguments, **call.options)


# Activations.


def _activated(
    call: Call, steps: Steps, step: Step, function: Any, role: str = "", options: dict[str, Any] | None = None
) -> Step:
    """`function` of the result of `step`: the layer `call.name` itself, or where that has a `role` beside it one named
    after both."""
    name = getattr(function, "__name__", type(function).__name__)
    if name not in ACTIVATIONS or function is not getattr(activations, name):
        raise Refusal(f"with the activation {name}")
    kind, fixed = ACTIVATIONS[name]
    maker = _Maker(call, steps, role, options or {})
    if function is activations.silu:
        gate = maker.step("sigmoid", Kind.RESULT, layers.Activation, step, activation="sigmoid", fixed=SIGMOID_RANGE)
        return maker.step("", Kind.ARITHMETIC, layers.Multiply, [step, gate])
    if function is activations.hard_sigmoid:
        return _hard_sigmoid(maker, step)
    if function is activations.hard_silu:
        return maker.step("", kind, HardSwish, step)
    made = maker.step("", kind, layers.Activation, step, activation=name, fixed=fixed)
    made.part.is_softmax = function is activations.softmax
    return made


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


@dataclass(frozen=True)
class _Maker:
    """Makes parts beside a layer, or instead of it: named after the layer and what they do."""

    call: Call
    steps: Steps
    role: str
    options: dict[str, Any]

    def step(
        self,
        role: str,
        kind: Kind,
        layer: Any,
        *arguments: Any,
        fixed: tuple[float, float] | None = None,
        **options: Any,
    ) -> Step:
        """A step by a new `layer`; an empty role makes it the one that gives the result."""
        whole = "_".join(filter(None, (self.role, role)))
        own = {**options, **({} if role else self.options)}

        def part() -> Part:
            name = self.steps.name(f"{self.call.name}_{whole}") if whole else self.call.name
            make = lambda: layer(**own, dtype=self.call.policy, name=name)  # noqa: E731
            return Part(name, kind, make, self.call.policy, fixed=fixed)

        return self.steps.add(self.steps.part(self.call.operation, whole, part), *arguments)


def _hard_sigmoid(maker: _Maker, step: Step) -> Step:
    """relu6(x + 3) / 6."""
    moved = maker.step("shift", Kind.ARITHMETIC, ConstantSum, step, constant=3.0)
    cut = maker.step("relu6", Kind.RELU, layers.Activation, moved, activation="relu6")
    return maker.step("", Kind.ARITHMETIC, ConstantProduct, cut, constant=1 / 6)


def _activation_layer(call: Call, steps: Steps) -> Step:
    regularizer = {"activity_regularizer": call.operation.activity_regularizer}
    return _activated(call, steps, call.inputs[0], call.operation.activation, options=regularizer)


def _relu_layer(call: Call, steps: Steps) -> Step:
    layer = call.operation
    _require(call, threshold=0)
    if layer.max_value not in (None, 6) or (layer.negative_slope and layer.max_value is not None):
        raise Refusal(f"with max_value={layer.max_value}")
    return _same(Kind.RESULT if layer.negative_slope else Kind.RELU)(call, steps)


def _softmax_layer(call: Call, steps: Steps) -> Step:
    _require(call, axis=-1)
    return _activated(call, steps, call.inputs[0], activations.softmax)


# Constants.


def _constants(call: Call, steps: Steps, step: Step, *parts: tuple[Any, Any]) -> Step:
    """Products and sums with constants, one after another: pairs of a layer and its constant. Those that change nothing
    are left out."""
    maker = _Maker(call, steps, "", {})
    kept = [(layer, value) for layer, value in parts if np.any(np.asarray(value) != (layer is ConstantProduct))]
    for _, value in kept:
        if not np.isfinite(value).all():
            raise Refusal("with a constant that is not finite")
        _require_broadcast(call, value)
    for layer, value in kept[:-1]:
        step = maker.step(
            "product" if layer is ConstantProduct else "sum", Kind.ARITHMETIC, layer, step, constant=value
        )
    if not kept:
        return maker.step("", Kind.PASS, layers.Identity, step)
    layer, value = kept[-1]
    return maker.step("", Kind.ARITHMETIC, layer, step, constant=value)


def _require_broadcast(call: Call, constant: Any) -> None:
    """Raises Refusal for a constant that would make the tensor larger."""
    (shape,) = call.shapes
    known = [1 if side is None else side for side in shape]
    if np.ndim(constant) > len(known) or list(np.broadcast_shapes(tuple(known), np.shape(constant))) != known:
        raise Refusal(f"with a constant of shape {np.shape(constant)}")


def _rescaling(call: Call, steps: Steps) -> Step:
    """The normalization of pixels, where it reads them and makes small numbers of them; else a product and a sum."""
    layer, step = call.operation, call.inputs[0]
    scale, offset = (np.asarray(each, np.float32) for each in (layer.scale, layer.offset))
    if _is_pixels(step) and 255 * np.abs(scale).max() <= NORMALIZED:
        config = _config(layer, name=call.name)

        def part() -> Part:
            make = lambda: QuantizedRescaling.from_config(config)  # noqa: E731
            return Part(call.name, Kind.NORMALIZE, make, call.policy)

        return steps.add(steps.part(layer, "", part), *call.arguments)
    return _constants(call, steps, step, (ConstantProduct, scale), (ConstantSum, offset))


def _is_pixels(step: Step) -> bool:
    """Whether the result of a step is the model's input itself."""
    return step.kind is Kind.INPUT or (step.kind is Kind.IDENTITY and _is_pixels(step.inputs[0]))


def _normalization(call: Call, steps: Steps) -> Step:
    """Mean and deviation as constants, as they are now."""
    layer = call.operation
    _require(call, invert=False)
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(each), np.float32) for each in (layer.mean, layer.variance))
    factor = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return _constants(call, steps, call.inputs[0], (ConstantSum, -mean), (ConstantProduct, factor))


# Several tensors.


def _pairwise(kind: Any) -> Lower:
    """Sums and products of any number of tensors, two at a time, as a file computes them."""

    def lowered(call: Call, steps: Steps) -> Step:
        if len({len(shape) for shape in call.shapes}) > 1:
            raise Refusal("of tensors with different numbers of axes")
        first, *between, last = call.inputs
        maker = _Maker(call, steps, "", {})
        for number, each in enumerate(between, 1):
            first = maker.step(f"part{number}", Kind.ARITHMETIC, kind, [first, each])
        return maker.step("", Kind.ARITHMETIC, kind, [first, last])

    return lowered


def _average(call: Call, steps: Steps) -> Step:
    if len({len(shape) for shape in call.shapes}) > 1:
        raise Refusal("of tensors with different numbers of axes")
    total, *others = call.inputs
    maker = _Maker(call, steps, "", {})
    for number, each in enumerate(others, 1):
        total = maker.step(f"sum{number}", Kind.ARITHMETIC, layers.Add, [total, each])
    return maker.step("", Kind.ARITHMETIC, ConstantProduct, total, constant=1 / len(call.inputs))


def _joined(call: Call, steps: Steps) -> Step:
    axis = call.operation.axis
    if axis in (0, -len(call.shape)):
        raise Refusal("of batches")
    return _Maker(call, steps, "", {}).step("", Kind.JOIN, layers.Concatenate, call.inputs, axis=axis)


# Operators: `x + y`, `x / 255`, keras.ops.


def _operator(kind: Any, constants: Callable[[Any, bool], list[tuple[Any, Any]]]) -> Lower:
    """An operator of two tensors, or of a tensor and a constant, which stands first or second."""

    def lowered(call: Call, steps: Steps) -> Step:
        operands = [*call.arguments, *call.options.values()]
        if len(call.inputs) == 2 and len(operands) == 2:
            if kind is None:
                raise Refusal("of two tensors")
            if len({len(shape) for shape in call.shapes}) > 1:
                raise Refusal("of tensors with different numbers of axes")
            return _Maker(call, steps, "", {}).step("", Kind.ARITHMETIC, kind, operands)
        if len(call.inputs) != 1 or len(operands) != 2:
            raise Refusal("")
        first = not isinstance(operands[0], Step)
        value = operands[0 if first else 1]
        if isinstance(value, keras.Variable):
            raise Refusal("with a variable")
        constant = np.asarray(keras.ops.convert_to_numpy(value), np.float64)
        return _constants(call, steps, call.inputs[0], *constants(constant, first))

    return lowered


def _plus(constant: Any, first: bool) -> list[tuple[Any, Any]]:
    return [(ConstantSum, constant)]


def _minus(constant: Any, first: bool) -> list[tuple[Any, Any]]:
    return [(ConstantProduct, -1.0), (ConstantSum, constant)] if first else [(ConstantSum, -constant)]


def _times(constant: Any, first: bool) -> list[tuple[Any, Any]]:
    return [(ConstantProduct, constant)]


def _over(constant: Any, first: bool) -> list[tuple[Any, Any]]:
    if first:
        raise Refusal("of a constant by a tensor")
    with np.errstate(divide="ignore"):
        return [(ConstantProduct, 1 / constant)]


def _negative(call: Call, steps: Steps) -> Step:
    return _constants(call, steps, call.inputs[0], (ConstantProduct, -1.0))


def _function(name: str, **required: Any) -> Lower:
    """An activation as an operator."""

    def lowered(call: Call, steps: Steps) -> Step:
        _require(call, **required)
        return _activated(call, steps, call.inputs[0], getattr(activations, name))

    return lowered


def _leaky(call: Call, steps: Steps) -> Step:
    make = layers.LeakyReLU
    slope = call.operation.negative_slope
    return _Maker(call, steps, "", {}).step("", Kind.RESULT, make, call.inputs[0], negative_slope=slope)


def _mean(call: Call, steps: Steps) -> Step:
    """The mean over height and width."""
    (shape,), axis = call.shapes, call.operation.axis
    axes = sorted(each % len(shape) for each in (axis if isinstance(axis, tuple | list) else [axis] if axis else []))
    if len(shape) != 4 or axes != [1, 2]:
        raise Refusal(f"over the axes {axis}")
    keep = call.operation.keepdims
    pool = layers.GlobalAveragePooling2D
    return _Maker(call, steps, "", {}).step(
        "", Kind.RESULT, pool, call.inputs[0], data_format="channels_last", keepdims=keep
    )


def _moved(call: Call, steps: Steps) -> Step:
    """An operator that only picks or moves values, itself."""
    operation = call.operation
    part = Part(call.name, Kind.PASS, lambda: type(operation).from_config(operation.get_config()), call.policy)
    return steps.add(steps.part(operation, "", lambda: part), *call.arguments, **call.options)


def _stacked(call: Call, steps: Steps) -> Step:
    """Tensors beside each other: of one tensor's parts (the channels of pixels turned around) in that one's range."""
    if 0 in (call.operation.axis, call.operation.axis + len(call.shape)):
        raise Refusal("of batches")
    step = _moved(call, steps)
    if len({id(_origin(each)) for each in call.inputs}) > 1:
        step.part.kind = Kind.JOIN
    return step


def _origin(step: Step) -> Step:
    """The step whose values `step` passes on."""
    return _origin(step.inputs[0]) if step.kind is Kind.PASS and len(step.inputs) == 1 else step


AUGMENTING = (
    *("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomErasing"),
    *("RandomFlip", "RandomGaussianBlur", "RandomHue", "RandomInvert", "RandomPerspective"),
    *("RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness"),
    *("RandomTranslation", "RandomZoom"),
)
LAYERS: dict[type, Lower] = {
    **dict.fromkeys((getattr(layers, name) for name in AUGMENTING), _same(Kind.IDENTITY)),
    **dict.fromkeys((layers.Dropout, layers.SpatialDropout2D, layers.GaussianDropout), _same(Kind.IDENTITY)),
    **dict.fromkeys((layers.GaussianNoise, layers.AlphaDropout), _same(Kind.IDENTITY)),
    **dict.fromkeys((layers.Identity, layers.ActivityRegularization), _same(Kind.IDENTITY)),
    **dict.fromkeys((layers.ZeroPadding2D, layers.Cropping2D, layers.Flatten, layers.Reshape), _same(Kind.PASS)),
    **dict.fromkeys((layers.Permute, layers.RepeatVector), _same(Kind.PASS)),
    **dict.fromkeys((layers.MaxPooling2D, layers.AveragePooling2D), _channels_last(Kind.POOL)),
    layers.GlobalMaxPooling2D: _channels_last(Kind.POOL),
    layers.UpSampling2D: _channels_last(Kind.PASS, interpolation="nearest"),
    layers.GlobalAveragePooling2D: _channels_last(Kind.RESULT),
    layers.Conv2D: _kernel(QuantizedConv2D),
    layers.DepthwiseConv2D: _kernel(QuantizedDepthwiseConv2D),
    layers.Dense: _kernel(QuantizedDense),
    layers.SeparableConv2D: _separable,
    layers.BatchNormalization: _norm,
    layers.Activation: _activation_layer,
    layers.ReLU: _relu_layer,
    layers.LeakyReLU: _same(Kind.RESULT),
    layers.Softmax: _softmax_layer,
    layers.Rescaling: _rescaling,
    layers.Normalization: _normalization,
    layers.Add: _pairwise(layers.Add),
    layers.Multiply: _pairwise(layers.Multiply),
    layers.Subtract: _pairwise(layers.Subtract),
    layers.Average: _average,
    layers.Concatenate: _joined,
}
OPERATORS: dict[str, Lower] = {
    "Add": _operator(layers.Add, _plus),
    "Subtract": _operator(layers.Subtract, _minus),
    "Multiply": _operator(layers.Multiply, _times),
    "TrueDivide": _operator(None, _over),
    "Divide": _operator(None, _over),
    "Negative": _negative,
    "Relu": _function("relu"),
    "Relu6": _function("relu6"),
    "ReLU": _function("relu", negative_slope=0, max_value=None, threshold=0),
    "LeakyRelu": _leaky,
    "Sigmoid": _function("sigmoid"),
    "Tanh": _function("tanh"),
    "Silu": _function("silu"),
    "HardSigmoid": _function("hard_sigmoid"),
    "HardSilu": _function("hard_silu"),
    "Softmax": _function("softmax", axis=-1),
    "Mean": _mean,
    "Concatenate": _joined,
    "Stack": _stacked,
    **dict.fromkeys(("GetItem", "Reshape", "Squeeze", "ExpandDims", "Transpose"), _moved),
}


def refused(name: str, kind: str, why: str) -> UsageError:
    """The sentence for a layer that is not a part of an 8-bit file."""
    return UsageError(
        "quantize takes functional and Sequential models of convolutions, batch norms, sums, poolings and dense layers,"
        f" not yet quantized. Received: layer {name} of type {kind}{f', {why}' if why else ''}"
    )
