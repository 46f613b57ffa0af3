"""An ordinary Keras model made into one that trains as its 8-bit file will compute."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_resnet.bricks import Bricks, deep_graphs
from keras_resnet.errors import UsageError
from keras_resnet.progress import waiting
from keras_resnet.quantization.layers import (
    SIGMOID_RANGE,
    SMALLEST_SHARE,
    FakeQuantizer,
    QuantizedConv2D,
    QuantizedDense,
    QuantizedNorm,
    QuantizedRescaling,
    kernel_ranges,
)
from keras_resnet.spec import Spec
from keras_resnet.tasks import task_of

layers = keras.layers
# Their results have the range of what they are given.
PASSING = (
    *(layers.InputLayer, layers.ZeroPadding2D, layers.MaxPooling2D, layers.AveragePooling2D),
    *(layers.UpSampling2D, layers.Cropping2D, layers.Flatten, layers.Reshape, layers.Dropout),
)
RANGED = (
    *(layers.Conv2D, layers.Dense, layers.BatchNormalization, layers.ReLU, layers.Add, layers.Multiply),
    *(layers.GlobalAveragePooling2D, layers.Activation, layers.Concatenate),
)
RANGE = "range"


def quantize(model: Any, keep_zeros: bool = False) -> Any:
    """A copy of the functional `model`, pixels 0–255 in, that computes with 8-bit weights and activations.

    Same layers by the same names, same weights, and a `FakeQuantizer` after each result that the file will round:
    "NAME_range". Train it a few epochs with a small learning rate, by `fit` or by a loop of your own, in any precision
    and under any strategy of tf.distribute; `kresnet export` or TensorFlow's converter (see `frozen`) makes an int8
    file of it without calibration. With `keep_zeros` weights that are zero stay so. Raises UsageError for a layer that
    it does not know.
    """
    known = (*PASSING, *RANGED, layers.Rescaling)
    for layer in model.layers:
        if not isinstance(layer, known) or isinstance(layer, FakeQuantizer | QuantizedConv2D):
            raise UsageError(
                f"quantize takes functional models of convolutions, batch norms, sums, poolings and dense layers, not"
                f" yet quantized. Received: layer {layer.name} of type {type(layer).__name__}"
            )

    def copy(layer: Any) -> Any:
        kind = _kind_of(layer)
        zeros = {"keep_zeros": True} if keep_zeros and issubclass(kind, QuantizedConv2D | QuantizedDense) else {}
        return kind.from_config(layer.get_config() | zeros)

    def apply(layer: Any, *arguments: Any, **options: Any) -> Any:
        outputs = layer(*arguments, **options)
        original = model.get_layer(layer.name)
        if not _needs_range(original):
            return outputs
        fixed = SIGMOID_RANGE if _is(original, "sigmoid") else None
        quantizer = FakeQuantizer(fixed, dtype=layer.dtype_policy, name=f"{layer.name}_{RANGE}")
        return quantizer(outputs)

    with deep_graphs():
        quantized = keras.models.clone_model(model, clone_function=copy, call_function=apply)
    copy_weights(model, quantized)
    return quantized


def network_of(spec: Spec, classes: tuple[str, ...], bricks: Bricks, any_size: bool = False) -> Any:
    """The network of `spec` (see `Classification.build`), quantized where `spec.compress` says so."""
    with waiting("building the network"):
        model = task_of(spec, classes).build(bricks, spec, any_size=any_size)
        return quantize(model, spec.compress.sparsity > 0) if spec.compress.learned else model


def copy_weights(plain: Any, quantized: Any) -> None:
    """Give a quantized model the weights of the model it was made from, or of one built alike; ranges stay."""
    for layer in plain.layers:
        if layer.weights:
            theirs = layer.get_weights()
            target = quantized.get_layer(layer.name)
            target.set_weights([*theirs, *target.get_weights()[len(theirs) :]])


def frozen(quantized: Any) -> Any:
    """`quantized` itself, ranges made constants, dead channels lifted and biases told apart, as TensorFlow's converter
    wants them."""
    for layer in quantized.layers:
        if isinstance(layer, QuantizedConv2D | QuantizedDense):
            layer.keep_zeros = False  # which concerns gradients, and is in the converter's way
        if isinstance(layer, QuantizedConv2D):
            _lift_dead_channels(layer)
            _tell_biases_apart(layer)
        quantizer = layer.product if isinstance(layer, QuantizedNorm) else layer
        if isinstance(quantizer, FakeQuantizer):
            quantizer.freeze()
    return quantized


def _lift_dead_channels(convolution: Any) -> None:
    """Raise batch norm scales that are (almost) zero, under which the folded kernel of a channel has no range and the
    converter leaves the convolution in float, to what is still nothing beside the other channels."""
    following = [node.operation for node in convolution._outbound_nodes]
    if len(following) != 1 or not isinstance(following[0], layers.BatchNormalization):
        return
    norm = following[0]
    gamma, variance = (np.asarray(each) for each in (norm.gamma, norm.moving_variance))
    unit = np.asarray(kernel_ranges(convolution.kernel)) / np.sqrt(variance + norm.epsilon)
    least = SMALLEST_SHARE * np.max(np.abs(gamma) * unit) / unit
    norm.gamma.assign(np.where(np.abs(gamma) < least, np.where(gamma < 0, -least, least), gamma))


def _tell_biases_apart(convolution: Any) -> None:
    """Change the last bit of one of several biases that are all the same: the converter keeps those as one number, and
    rounds it by the scale of the first channel for all."""
    if not convolution.use_bias:
        return
    bias = np.asarray(convolution.bias)
    if len(bias) > 1 and (bias == bias[0]).all():
        convolution.bias.assign(np.concatenate([np.nextafter(bias[:1], np.float32(np.inf)), bias[1:]]))


def _kind_of(layer: Any) -> Any:
    """What `layer` becomes."""
    if isinstance(layer, layers.Conv2D):
        return QuantizedConv2D
    if isinstance(layer, layers.Dense):
        return QuantizedDense
    if isinstance(layer, layers.Rescaling):
        return QuantizedRescaling
    if isinstance(layer, layers.BatchNormalization) and not _follows_kernel(layer):
        return QuantizedNorm
    return type(layer)


def _needs_range(layer: Any) -> bool:
    """Whether the file rounds what `layer` gives: not where the next operation is fused into this one."""
    if not isinstance(layer, RANGED):
        return False
    following = [node.operation for node in layer._outbound_nodes]
    if isinstance(layer, layers.ReLU) or not following:
        return True
    if all(_joins(each) for each in following):
        return False  # a file keeps what it joins in one range
    fused: tuple[type, ...] = (layers.ReLU,)
    if isinstance(layer, layers.Conv2D | layers.Dense):
        fused = (layers.ReLU, layers.BatchNormalization)
    return not all(isinstance(each, fused) or _is(each, "relu") for each in following)


def _joins(layer: Any) -> bool:
    """Whether the values that `layer` is given become a part of joined ones."""
    if isinstance(layer, layers.Reshape):
        following = [node.operation for node in layer._outbound_nodes]
        return bool(following) and all(map(_joins, following))
    return isinstance(layer, layers.Concatenate)


def _is(layer: Any, activation: str) -> bool:
    return isinstance(layer, layers.Activation) and layer.activation.__name__ == activation


def _follows_kernel(layer: Any) -> bool:
    """Whether the batch norm's scale can be a part of the kernel before it."""
    before = [parent.operation for parent in layer._inbound_nodes[0].parent_nodes]
    return len(before) == 1 and isinstance(before[0], layers.Conv2D | layers.Dense) and _only_for(before[0], layer)


def _only_for(layer: Any, follower: Any) -> bool:
    return [node.operation for node in layer._outbound_nodes] == [follower]
