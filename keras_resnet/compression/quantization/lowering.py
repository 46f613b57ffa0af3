"""What each Keras layer and operator is in an 8-bit file: steps that the file has an operator for, or a refusal."""

from __future__ import annotations

from typing import Any

import keras

from keras_resnet.compression.quantization import arithmetic
from keras_resnet.compression.quantization.activations import activation, function, leaky, softmax
from keras_resnet.compression.quantization.kernels import kernel, norm, separable
from keras_resnet.compression.quantization.layer_calls import Call, Lower, Maker, Refusal, require
from keras_resnet.compression.quantization.layers import QuantizedConv2D, QuantizedDense, QuantizedDepthwiseConv2D
from keras_resnet.compression.quantization.steps import Kind, Part, Step, Steps
from keras_resnet.errors import UsageError

layers = keras.layers
FLOATS = ("float32", "bfloat16", "float16")
# Methods that may be a subclass's own: they do not change what it computes.
HARMLESS = {"__init__", "get_config", "__module__", "__doc__", "__qualname__", "__annotations__"}


def lower(call: Call, steps: Steps) -> Step:
    """Add the steps of `call`; the last one gives its result. Raises Refusal."""
    _require_plain(call)
    if call.base is not None:
        if extra := set(call.options) - {"training"}:
            raise Refusal(f"called with {', '.join(sorted(extra))}")
        if call.base in REPLACED and call.operation.activity_regularizer is not None:
            raise Refusal("with an activity regularizer")
        return LAYERS[call.base](call, steps)
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


def refused(name: str, kind: str, why: str) -> UsageError:
    """The sentence for a layer that is not a part of an 8-bit file."""
    return UsageError(
        "quantize takes functional and Sequential models of convolutions, batch norms, sums, poolings and dense layers,"
        f" not yet quantized. Received: layer {name} of type {kind}{f', {why}' if why else ''}"
    )


def same(kind: Kind) -> Lower:
    """One step, by a copy of the layer."""

    def lowered(call: Call, steps: Steps) -> Step:
        layer = call.operation
        if kind is not Kind.JOIN and len(call.inputs) != 1:
            raise Refusal("of several tensors")

        def part() -> Part:
            config = call.config(name=call.name)
            return Part(call.name, kind, lambda: call.base.from_config(config), call.policy)

        return steps.add(steps.part(layer, "", part), *call.arguments, **call.options)

    return lowered


def channels_last(kind: Kind, **required: Any) -> Lower:
    """The same, where channels come last and attributes are as `required`."""

    def lowered(call: Call, steps: Steps) -> Step:
        require(call, data_format="channels_last", **required)
        return same(kind)(call, steps)

    return lowered


def relu(call: Call, steps: Steps) -> Step:
    """A layer that cuts off at 0, and at 6."""
    layer = call.operation
    require(call, threshold=0)
    if layer.max_value not in (None, 6) or (layer.negative_slope and layer.max_value is not None):
        raise Refusal(f"with max_value={layer.max_value}")
    return same(Kind.RESULT if layer.negative_slope else Kind.RELU)(call, steps)


def joined(call: Call, steps: Steps) -> Step:
    """Tensors one after another."""
    axis = call.operation.axis
    if axis in (0, -len(call.shape)):
        raise Refusal("of batches")
    return Maker(call, steps).step("", Kind.JOIN, layers.Concatenate, call.inputs, axis=axis)


def mean(call: Call, steps: Steps) -> Step:
    """The mean over height and width."""
    (shape,), axis = call.shapes, call.operation.axis
    axes = sorted(each % len(shape) for each in (axis if isinstance(axis, tuple | list) else [axis] if axis else []))
    if len(shape) != 4 or axes != [1, 2]:
        raise Refusal(f"over the axes {axis}")
    keep = call.operation.keepdims
    pool = layers.GlobalAveragePooling2D
    return Maker(call, steps).step("", Kind.RESULT, pool, call.inputs[0], data_format="channels_last", keepdims=keep)


def moved(call: Call, steps: Steps) -> Step:
    """An operator that only picks or moves values, itself."""
    operation = call.operation
    part = Part(call.name, Kind.PASS, lambda: type(operation).from_config(operation.get_config()), call.policy)
    return steps.add(steps.part(operation, "", lambda: part), *call.arguments, **call.options)


def stacked(call: Call, steps: Steps) -> Step:
    """Tensors beside each other: of one tensor's parts (the channels of pixels turned around) in that one's range."""
    if 0 in (call.operation.axis, call.operation.axis + len(call.shape)):
        raise Refusal("of batches")
    step = moved(call, steps)
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
    **dict.fromkeys((getattr(layers, name) for name in AUGMENTING), same(Kind.IDENTITY)),
    **dict.fromkeys((layers.Dropout, layers.SpatialDropout2D, layers.GaussianDropout), same(Kind.IDENTITY)),
    **dict.fromkeys((layers.GaussianNoise, layers.AlphaDropout), same(Kind.IDENTITY)),
    **dict.fromkeys((layers.Identity, layers.ActivityRegularization), same(Kind.IDENTITY)),
    **dict.fromkeys((layers.ZeroPadding2D, layers.Cropping2D, layers.Flatten, layers.Reshape), same(Kind.PASS)),
    **dict.fromkeys((layers.Permute, layers.RepeatVector), same(Kind.PASS)),
    **dict.fromkeys((layers.MaxPooling2D, layers.AveragePooling2D), channels_last(Kind.POOL)),
    layers.GlobalMaxPooling2D: channels_last(Kind.POOL),
    layers.UpSampling2D: channels_last(Kind.PASS, interpolation="nearest"),
    layers.GlobalAveragePooling2D: channels_last(Kind.RESULT),
    layers.Conv2D: kernel(QuantizedConv2D),
    layers.DepthwiseConv2D: kernel(QuantizedDepthwiseConv2D),
    layers.Dense: kernel(QuantizedDense),
    layers.SeparableConv2D: separable,
    layers.BatchNormalization: norm,
    layers.Activation: activation,
    layers.ReLU: relu,
    layers.LeakyReLU: same(Kind.RESULT),
    layers.Softmax: softmax,
    layers.Rescaling: arithmetic.rescaling,
    layers.Normalization: arithmetic.normalization,
    layers.Add: arithmetic.pairwise(layers.Add),
    layers.Multiply: arithmetic.pairwise(layers.Multiply),
    layers.Subtract: arithmetic.pairwise(layers.Subtract),
    layers.Average: arithmetic.average,
    layers.Concatenate: joined,
}
# In whose place others stand, which do not take all that the layer does.
REPLACED = (
    *(layers.Add, layers.Multiply, layers.Subtract, layers.Average, layers.Concatenate),
    *(layers.Rescaling, layers.Normalization, layers.Softmax),
)
OPERATORS: dict[str, Lower] = {
    "Add": arithmetic.operator(layers.Add, arithmetic.plus),
    "Subtract": arithmetic.operator(layers.Subtract, arithmetic.minus),
    "Multiply": arithmetic.operator(layers.Multiply, arithmetic.times),
    "TrueDivide": arithmetic.operator(None, arithmetic.over),
    "Divide": arithmetic.operator(None, arithmetic.over),
    "Negative": arithmetic.negative,
    "Relu": function("relu"),
    "Relu6": function("relu6"),
    "ReLU": function("relu", negative_slope=0, max_value=None, threshold=0),
    "LeakyRelu": leaky,
    "Sigmoid": function("sigmoid"),
    "Tanh": function("tanh"),
    "Silu": function("silu"),
    "HardSigmoid": function("hard_sigmoid"),
    "HardSilu": function("hard_silu"),
    "Softmax": function("softmax", axis=-1),
    "Mean": mean,
    "Concatenate": joined,
    "Stack": stacked,
    **dict.fromkeys(("GetItem", "Reshape", "Squeeze", "ExpandDims", "Transpose"), moved),
}
