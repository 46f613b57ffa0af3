"""Sums, products and constants as an 8-bit file computes them: two tensors, or one and a constant, at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_resnet.compression.quantization.layer_calls import Call, Lower, Maker, Refusal, require, require_same_rank
from keras_resnet.compression.quantization.layers import ConstantProduct, ConstantSum, QuantizedRescaling
from keras_resnet.compression.quantization.steps import Kind, Part, Step, Steps

layers = keras.layers
# A Rescaling at the input that takes pixels 0–255 to more than this normalizes no pixels.
NORMALIZED = 16.0


def rescaling(call: Call, steps: Steps) -> Step:
    """The normalization of pixels, where it reads them and makes small numbers of them; else a product and a sum."""
    layer, step = call.operation, call.inputs[0]
    scale, offset = (np.asarray(each, np.float32) for each in (layer.scale, layer.offset))
    reads = _is_pixels(step) and 255 * float(np.abs(scale).max()) <= NORMALIZED
    if reads:
        config = call.config(name=call.name)

        def part() -> Part:
            make = lambda: QuantizedRescaling.from_config(config)  # noqa: E731
            return Part(call.name, Kind.NORMALIZE, make, call.policy)

        step = steps.add(steps.part(layer, "", part), *call.arguments)
    else:
        step = _constants(call, steps, step, (ConstantProduct, scale), (ConstantSum, offset))
    if (step.kind is Kind.NORMALIZE) != reads:
        raise Refusal("of pixels and of other values")
    return step


def _is_pixels(step: Step) -> bool:
    """Whether the result of a step is the model's input itself."""
    return step.kind is Kind.INPUT or (step.kind is Kind.IDENTITY and _is_pixels(step.inputs[0]))


def normalization(call: Call, steps: Steps) -> Step:
    """Mean and deviation as constants, as they are now."""
    layer = call.operation
    require(call, invert=False)
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(each), np.float32) for each in (layer.mean, layer.variance))
    factor = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return _constants(call, steps, call.inputs[0], (ConstantSum, -mean), (ConstantProduct, factor))


def _constants(call: Call, steps: Steps, step: Step, *parts: tuple[Any, Any]) -> Step:
    """Products and sums with constants, one after another: pairs of a layer and its constant. Those that change nothing
    are left out."""
    maker = Maker(call, steps)
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


def pairwise(kind: Any) -> Lower:
    """Sums and products of any number of tensors, two at a time, as a file computes them."""

    def lowered(call: Call, steps: Steps) -> Step:
        require_same_rank(call)
        first, *between, last = call.inputs
        maker = Maker(call, steps)
        for number, each in enumerate(between, 1):
            first = maker.step(f"part{number}", Kind.ARITHMETIC, kind, [first, each])
        return maker.step("", Kind.ARITHMETIC, kind, [first, last])

    return lowered


def average(call: Call, steps: Steps) -> Step:
    """Sums, and a product with a constant."""
    require_same_rank(call)
    total, *others = call.inputs
    maker = Maker(call, steps)
    for number, each in enumerate(others, 1):
        total = maker.step(f"sum{number}", Kind.ARITHMETIC, layers.Add, [total, each])
    return maker.step("", Kind.ARITHMETIC, ConstantProduct, total, constant=1 / len(call.inputs))


def operator(kind: Any, constants: Callable[[Any, bool], list[tuple[Any, Any]]]) -> Lower:
    """An operator of two tensors, or of a tensor and a constant, which stands first or second."""

    def lowered(call: Call, steps: Steps) -> Step:
        operands = [*call.arguments, *call.options.values()]
        if len(call.inputs) == 2 and len(operands) == 2:
            if kind is None:
                raise Refusal("of two tensors")
            require_same_rank(call)
            return Maker(call, steps).step("", Kind.ARITHMETIC, kind, operands)
        if len(call.inputs) != 1 or len(operands) != 2:
            raise Refusal("")
        first = not isinstance(operands[0], Step)
        value = operands[0 if first else 1]
        if isinstance(value, keras.Variable):
            raise Refusal("with a variable")
        constant = np.asarray(keras.ops.convert_to_numpy(value), np.float64)
        return _constants(call, steps, call.inputs[0], *constants(constant, first))

    return lowered


def plus(constant: Any, first: bool) -> list[tuple[Any, Any]]:
    """x + c."""
    return [(ConstantSum, constant)]


def minus(constant: Any, first: bool) -> list[tuple[Any, Any]]:
    """x - c, or c - x."""
    return [(ConstantProduct, -1.0), (ConstantSum, constant)] if first else [(ConstantSum, -constant)]


def times(constant: Any, first: bool) -> list[tuple[Any, Any]]:
    """x * c."""
    return [(ConstantProduct, constant)]


def over(constant: Any, first: bool) -> list[tuple[Any, Any]]:
    """x / c. Raises Refusal for c / x."""
    if first:
        raise Refusal("of a constant by a tensor")
    with np.errstate(divide="ignore"):
        return [(ConstantProduct, 1 / constant)]


def negative(call: Call, steps: Steps) -> Step:
    """-x."""
    return _constants(call, steps, call.inputs[0], (ConstantProduct, -1.0))
