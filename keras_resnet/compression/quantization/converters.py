"""Converters of every Keras layer and operator that an 8-bit file can hold, and the refusal of all others."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from keras_resnet.compression.quantization import arithmetic
from keras_resnet.compression.quantization.activations import (
    convert_activation,
    convert_function,
    convert_leaky_relu,
    convert_softmax,
)
from keras_resnet.compression.quantization.graph import Graph, LayerPlan, Node, OpKind
from keras_resnet.compression.quantization.kernels import convert_batch_norm, convert_kernel, convert_separable
from keras_resnet.compression.quantization.layer_call import (
    Converter,
    LayerCall,
    NodeBuilder,
    UnsupportedCall,
    require_attributes,
)
from keras_resnet.compression.quantization.layers import QuantizedConv2D, QuantizedDense, QuantizedDepthwiseConv2D
from keras_resnet.errors import UsageError

layers = keras.layers
FLOAT_DTYPES = ("float32", "bfloat16", "float16")
# Methods that may be a subclass's own: they do not change what it computes.
HARMLESS_METHODS = {"__init__", "get_config", "__module__", "__doc__", "__qualname__", "__annotations__"}


def convert_call(call: LayerCall, graph: Graph) -> Node:
    """Add the nodes of `call` to `graph`; return the one that gives its result. Raises UnsupportedCall."""
    _require_plain(call)
    if call.base is not None:
        if extra := set(call.options) - {"training"}:
            raise UnsupportedCall(f"called with {', '.join(sorted(extra))}")
        if call.base in REPLACED_LAYERS and call.operation.activity_regularizer is not None:
            raise UnsupportedCall("with an activity regularizer")
        return LAYERS[call.base](call, graph)
    name = type(call.operation).__name__
    if isinstance(call.operation, keras.layers.Layer) or name not in OPERATORS:
        raise UnsupportedCall("")
    if not type(call.operation).__module__.startswith("keras."):
        raise UnsupportedCall("")
    return OPERATORS[name](call, graph)


def get_base_class(operation: keras.Operation) -> type[keras.Layer] | None:
    """Return the layer of Keras that `operation` computes as, if that is one of LAYERS. A subclass with methods of its
    own is none, unless it says by `computes_as` what it is."""
    kind = type(operation)
    while kind not in LAYERS:
        if stated := vars(kind).get("computes_as"):
            kind = stated
        elif len(kind.__bases__) == 1 and not set(vars(kind)) - HARMLESS_METHODS and kind.__bases__ != (object,):
            kind = kind.__bases__[0]
        else:
            return None
    return kind


def _require_plain(call: LayerCall) -> None:
    """Raise UnsupportedCall for dtypes that a file does not have, and for what Keras made of a layer since."""
    policy = call.policy
    computed = getattr(policy, "compute_dtype", policy)
    if getattr(policy, "quantization_mode", None) or getattr(call.operation, "quantization_mode", None):
        raise UnsupportedCall("quantized by Keras already")
    if getattr(call.operation, "lora_enabled", False):
        raise UnsupportedCall("with LoRA")
    if computed not in FLOAT_DTYPES and not isinstance(call.operation, layers.InputLayer):
        raise UnsupportedCall(f"in {computed}")


def unsupported_layer(name: str, kind: str, reason: str) -> UsageError:
    """Return the error for a layer that cannot be a part of an 8-bit file."""
    return UsageError(
        "quantize takes functional and Sequential models of convolutions, batch norms, sums, poolings and dense layers,"
        f" not yet quantized. Received: layer {name} of type {kind}{f', {reason}' if reason else ''}"
    )


def convert_unchanged(kind: OpKind, call: LayerCall, graph: Graph) -> Node:
    """Convert to one node, by a copy of the layer."""
    if kind is not OpKind.JOIN and len(call.inputs) != 1:
        raise UnsupportedCall("of several tensors")

    layer_class, config = call.base, call.config(name=call.name)
    assert layer_class is not None

    def plan() -> LayerPlan:
        return LayerPlan(call.name, kind, lambda: layer_class.from_config(config), call.policy)

    return graph.add_node(graph.plan_layer(call.operation, "", plan), *call.arguments, **call.options)


def convert_channels_last(kind: OpKind, required: dict[str, Any], call: LayerCall, graph: Graph) -> Node:
    """Convert to a copy of the layer if channels come last and attributes are as `required`."""
    require_attributes(call, data_format="channels_last", **required)
    return convert_unchanged(kind, call, graph)


def convert_relu(call: LayerCall, graph: Graph) -> Node:
    """Convert a layer that clips at 0, and at 6."""
    layer = call.operation
    require_attributes(call, threshold=0)
    if layer.max_value not in (None, 6) or (layer.negative_slope and layer.max_value is not None):
        raise UnsupportedCall(f"with max_value={layer.max_value}")
    return convert_unchanged(OpKind.RESULT if layer.negative_slope else OpKind.RELU, call, graph)


def convert_concatenate(call: LayerCall, graph: Graph) -> Node:
    """Convert a concatenation, of anything but batches."""
    axis = call.operation.axis
    if axis in (0, -len(call.shape)):
        raise UnsupportedCall("of batches")
    return NodeBuilder(call, graph).add("", OpKind.JOIN, layers.Concatenate, call.inputs, axis=axis)


def convert_mean(call: LayerCall, graph: Graph) -> Node:
    """Convert the mean over height and width."""
    (shape,), axis = call.shapes, call.operation.axis
    axes = sorted(each % len(shape) for each in (axis if isinstance(axis, tuple | list) else [axis] if axis else []))
    if len(shape) != 4 or axes != [1, 2]:
        raise UnsupportedCall(f"over the axes {axis}")
    return NodeBuilder(call, graph).add(
        "",
        OpKind.RESULT,
        layers.GlobalAveragePooling2D,
        call.inputs[0],
        data_format="channels_last",
        keepdims=call.operation.keepdims,
    )


def convert_move(call: LayerCall, graph: Graph) -> Node:
    """Convert an operator that only picks or moves values to itself."""
    operation = call.operation
    plan = LayerPlan(call.name, OpKind.PASS, lambda: type(operation).from_config(operation.get_config()), call.policy)
    return graph.add_node(graph.plan_layer(operation, "", lambda: plan), *call.arguments, **call.options)


def convert_stack(call: LayerCall, graph: Graph) -> Node:
    """Convert a stack of tensors: of one tensor's parts (the channels of pixels reversed) in that one's range."""
    if 0 in (call.operation.axis, call.operation.axis + len(call.shape)):
        raise UnsupportedCall("of batches")
    node = convert_move(call, graph)
    if len({id(_find_origin(each)) for each in call.inputs}) > 1:
        node.layer.kind = OpKind.JOIN
    return node


def _find_origin(node: Node) -> Node:
    """Return the node whose values `node` passes on."""
    return _find_origin(node.inputs[0]) if node.kind is OpKind.PASS and len(node.inputs) == 1 else node


AUGMENTATION_LAYERS = (
    *("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomErasing"),
    *("RandomFlip", "RandomGaussianBlur", "RandomHue", "RandomInvert", "RandomPerspective"),
    *("RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness"),
    *("RandomTranslation", "RandomZoom"),
)
_COPY_IDENTITY = partial(convert_unchanged, OpKind.IDENTITY)
_COPY_PASS = partial(convert_unchanged, OpKind.PASS)
LAYERS: dict[type[keras.Layer], Converter] = {
    **dict.fromkeys((getattr(layers, name) for name in AUGMENTATION_LAYERS), _COPY_IDENTITY),
    **dict.fromkeys((layers.Dropout, layers.SpatialDropout2D, layers.GaussianDropout), _COPY_IDENTITY),
    **dict.fromkeys((layers.GaussianNoise, layers.AlphaDropout), _COPY_IDENTITY),
    **dict.fromkeys((layers.Identity, layers.ActivityRegularization), _COPY_IDENTITY),
    **dict.fromkeys(
        (layers.ZeroPadding2D, layers.Cropping2D, layers.Flatten, layers.Reshape),
        _COPY_PASS,
    ),
    **dict.fromkeys((layers.Permute, layers.RepeatVector), _COPY_PASS),
    **dict.fromkeys((layers.MaxPooling2D, layers.AveragePooling2D), partial(convert_channels_last, OpKind.POOL, {})),
    layers.GlobalMaxPooling2D: partial(convert_channels_last, OpKind.POOL, {}),
    layers.UpSampling2D: partial(convert_channels_last, OpKind.PASS, {"interpolation": "nearest"}),
    layers.GlobalAveragePooling2D: partial(convert_channels_last, OpKind.RESULT, {}),
    layers.Conv2D: partial(convert_kernel, QuantizedConv2D),
    layers.DepthwiseConv2D: partial(convert_kernel, QuantizedDepthwiseConv2D),
    layers.Dense: partial(convert_kernel, QuantizedDense),
    layers.SeparableConv2D: convert_separable,
    layers.BatchNormalization: convert_batch_norm,
    layers.Activation: convert_activation,
    layers.ReLU: convert_relu,
    layers.LeakyReLU: partial(convert_unchanged, OpKind.RESULT),
    layers.Softmax: convert_softmax,
    layers.Rescaling: arithmetic.convert_rescaling,
    layers.Normalization: arithmetic.convert_normalization,
    layers.Add: partial(arithmetic.convert_pairwise, layers.Add),
    layers.Multiply: partial(arithmetic.convert_pairwise, layers.Multiply),
    layers.Subtract: partial(arithmetic.convert_pairwise, layers.Subtract),
    layers.Average: arithmetic.convert_average,
    layers.Concatenate: convert_concatenate,
}
# Layers that others replace, which do not take all of their options.
REPLACED_LAYERS = (
    *(layers.Add, layers.Multiply, layers.Subtract, layers.Average, layers.Concatenate),
    *(layers.Rescaling, layers.Normalization, layers.Softmax),
)
OPERATORS: dict[str, Converter] = {
    "Add": partial(arithmetic.convert_binary, layers.Add, arithmetic.add_constant),
    "Subtract": partial(arithmetic.convert_binary, layers.Subtract, arithmetic.subtract_constant),
    "Multiply": partial(arithmetic.convert_binary, layers.Multiply, arithmetic.multiply_constant),
    "TrueDivide": partial(arithmetic.convert_binary, None, arithmetic.divide_constant),
    "Divide": partial(arithmetic.convert_binary, None, arithmetic.divide_constant),
    "Negative": arithmetic.convert_negative,
    "Relu": partial(convert_function, "relu", {}),
    "Relu6": partial(convert_function, "relu6", {}),
    "ReLU": partial(convert_function, "relu", {"negative_slope": 0, "max_value": None, "threshold": 0}),
    "LeakyRelu": convert_leaky_relu,
    "Sigmoid": partial(convert_function, "sigmoid", {}),
    "Tanh": partial(convert_function, "tanh", {}),
    "Silu": partial(convert_function, "silu", {}),
    "HardSigmoid": partial(convert_function, "hard_sigmoid", {}),
    "HardSilu": partial(convert_function, "hard_silu", {}),
    "Softmax": partial(convert_function, "softmax", {"axis": -1}),
    "Mean": convert_mean,
    "Concatenate": convert_concatenate,
    "Stack": convert_stack,
    **dict.fromkeys(("GetItem", "Reshape", "Squeeze", "ExpandDims", "Transpose"), convert_move),
}
