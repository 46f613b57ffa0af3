"""Layers for processors without AVX-512: Keras' own in everything but speed. test_fused_batch_norm.py compares the
batch norm."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from parallel_checks import SPEC
from parallel_checks import trained as trained_by

from keras_resnet.machine import onednn, processor
from keras_resnet.training import avx2_layers, kernel_gradients, resolve
from keras_resnet.training.avx2_layers import FastBatchNormalization, FastConvolution, FastReLU
from keras_resnet.training.distribute import Devices
from keras_resnet.training.fused_batch_norm import FusedBatchNormalization
from keras_resnet.training.resolve import training_layers


def spy(monkeypatch, name, module=avx2_layers):
    """The calls of a function of the module, which still runs."""
    calls, real = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *given: calls.append(given) or real(*given))
    return calls


def differentiated(layer, images, weights, graph=True):
    """Outputs, and gradients by images, kernel and bias, by a graph that knows the shape of `images` or without one."""

    def run(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=True)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * weights)
        return outputs, *tape.gradient(loss, [images, *(each.value for each in layer.trainable_variables)])

    return [np.asarray(each) for each in (tf.function(run) if graph else run)(images)]


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((8, 7, 9, 64), {"kernel_size": 3, "padding": "same"}),
        ((9, 9, 8, 64), {"kernel_size": 3, "strides": 2, "padding": "same"}),
        ((8, 10, 12, 64), {"kernel_size": 3, "strides": 2, "padding": "valid"}),
        ((8, 11, 10, 64), {"kernel_size": (3, 5), "strides": 3, "padding": "valid"}),
        ((8, 9, 14, 64), {"kernel_size": (7, 1), "strides": 2, "padding": "same"}),
        ((8, 3, 3, 64), {"kernel_size": 7, "padding": "same"}),
        ((8, 5, 5, 64), {"kernel_size": (2, 4), "padding": "same"}),
    ],
)
# All rows in one convolution, and one, two or three in each.
@pytest.mark.parametrize("size", [2**30, 8 * 64 * 4 * 9, 1])
def test_gradients_by_convolution_are_those_of_keras(monkeypatch, shape, options, size):
    monkeypatch.setattr(kernel_gradients, "MAX_KERNEL_SIZE", size)
    compare(monkeypatch, "differentiate_by_convolution", shape, {"filters": 64, **options})


@pytest.mark.parametrize(
    ("shape", "options"),
    [((2, 3, 4, 512), {}), ((1, 5, 6, 512), {"strides": 2}), ((3, 4, 5, 512), {"strides": 3, "padding": "same"})],
)
def test_gradients_by_product_are_those_of_keras(monkeypatch, shape, options):
    compare(monkeypatch, "differentiate_by_product", shape, {"filters": 1024, "kernel_size": 1, **options})


def test_gradients_without_a_graph_are_those_of_a_graph(monkeypatch):
    calls, images = spy(monkeypatch, "differentiate_by_convolution"), tf.random.normal((8, 6, 5, 64))
    layer = FastConvolution(64, 3)
    ours, theirs = (differentiated(layer, images, 1.0, graph) for graph in (False, True))
    assert len(calls) == 2
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=0, atol=1e-5 * np.abs(their).max())


def compare(monkeypatch, gradient, shape, options):
    calls, chance = spy(monkeypatch, gradient), np.random.default_rng(0)
    stock, fast = (kind(**options) for kind in (keras.layers.Conv2D, FastConvolution))
    for layer in (stock, fast):
        layer.build(shape)
    fast.set_weights(stock.get_weights())
    images = tf.constant(chance.normal(1, 2, shape), tf.float32)
    weights = tf.constant(chance.normal(size=stock.compute_output_shape(shape)), tf.float32)
    results = list(zip(*(differentiated(layer, images, weights) for layer in (fast, stock)), strict=True))
    assert len(calls) == 1 and len(results) == 4
    for ours, theirs in results:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((7, 6, 6, 64), {"filters": 64, "kernel_size": 3}),
        ((8, 6, 6, 63), {"filters": 64, "kernel_size": 3}),
        ((8, 6, 6, 64), {"filters": 63, "kernel_size": 3}),
        ((8, 6, 6, 64), {"filters": 64, "kernel_size": 1}),
        ((8, 6, 6, 64), {"filters": 64, "kernel_size": 3, "dilation_rate": 2}),
        ((8, 6, 6, 128), {"filters": 128, "kernel_size": 3, "groups": 2}),
        ((8, 6, 6, 64), {"filters": 64, "kernel_size": 3, "dtype": "mixed_bfloat16"}),
    ],
)
def test_other_convolutions_are_left_to_tensorflow(monkeypatch, shape, options):
    calls = [spy(monkeypatch, name) for name in ("differentiate_by_convolution", "differentiate_by_product")]
    layer = FastConvolution(**options)
    differentiated(layer, tf.ones(shape), 1.0)
    assert calls == [[], []]


def test_channels_first_are_left_to_tensorflow(monkeypatch):
    """Which computes them on a CPU by oneDNN alone."""
    calls = spy(monkeypatch, "_convolve", kernel_gradients)
    for data_format, shape in (("channels_first", (8, 64, 6, 64)), ("channels_last", (8, 6, 6, 64))):
        layer = FastConvolution(64, 3, data_format=data_format)
        tf.function(layer).get_concrete_function(tf.TensorSpec(shape))
        assert bool(calls) == (data_format == "channels_last")


def test_a_batch_of_unknown_size_is_left_to_tensorflow(monkeypatch):
    calls = spy(monkeypatch, "differentiate_by_convolution")
    model = keras.Sequential([keras.Input((6, 6, 64)), FastConvolution(64, 3), FastBatchNormalization(), FastReLU()])

    @tf.function(input_signature=[tf.TensorSpec((None, 6, 6, 64))])
    def differentiate(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images, training=True))
        return tape.gradient(loss, [each.value for each in model.trainable_variables])

    assert all(np.isfinite(each).all() for each in differentiate(tf.random.normal((9, 6, 6, 64))))
    assert not calls


@pytest.mark.parametrize("shape", [(4, 3, 5, 8), (None, 3, 5, 8), (None, None, None, 8)])
def test_rectified_is_what_keras_rectifies(shape):
    """Behind a batch norm, behind another layer that changes the shape, and alone; its kernel is TensorFlow's for both
    where the batch norm is."""
    values = np.random.default_rng(0).normal(size=(4, 3, 5, 8)).astype("float32")
    norm = FastBatchNormalization(axis=-1)
    norm.build((4, 3, 5, 8))
    befores = {"norm": lambda x: norm(x, training=True), "flat": keras.layers.Flatten(), "none": lambda x: x}
    for before in befores.values() if None not in shape[1:] else (befores["norm"], befores["none"]):
        functions = [
            tf.function(lambda x, relu=relu, before=before: relu(before(x)), [tf.TensorSpec(shape)])
            for relu in (FastReLU(), keras.layers.ReLU())
        ]
        ours, theirs = (function(values) for function in functions)
        np.testing.assert_array_equal(ours, theirs)
        assert (np.asarray(ours) == 0).any()
        shapes = [function.get_concrete_function().structured_outputs.shape for function in functions]
        assert shapes[0].as_list() == shapes[1].as_list()
    np.testing.assert_array_equal(FastReLU()(values), np.maximum(values, 0))


def test_tensorflow_computes_batch_norm_and_relu_in_one_kernel():
    """As it does with the layers of Keras' form: its optimizer sees one behind the other."""
    norm, relu = FastBatchNormalization(), FastReLU()
    norm.build((2, 4, 4, 16))
    graph = (
        tf.function(lambda x: relu(norm(x, training=True))).get_concrete_function(tf.TensorSpec((2, 4, 4, 16))).graph
    )
    (rectified,) = (each for each in graph.get_operations() if each.type == "Relu")
    assert rectified.inputs[0].op.type == "FusedBatchNormV3"


def test_training_is_that_of_keras(monkeypatch):
    calls, models = spy(monkeypatch, "differentiate_by_convolution"), []
    for fast in (True, False):
        monkeypatch.setattr(resolve.onednn, "lacks_avx512", lambda fast=fast: fast)
        models.append(trained_by(Devices(tf.distribute.get_strategy(), "one"), SPEC, 5).model)
    ours, theirs = models
    kinds = [FastConvolution, FastBatchNormalization, FastReLU]
    assert [type(ours.get_layer(f"stem_{name}")) for name in ("conv", "norm", "relu")] == kinds
    assert [type(theirs.get_layer(f"stem_{name}")) for name in ("conv", "norm", "relu")] == [
        keras.layers.Conv2D,
        FusedBatchNormalization,
        keras.layers.ReLU,
    ]
    assert calls and all(len(each) == 4 for each in calls)
    for our, their in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("flags", "variable", "uses"),
    [
        ("avx avx2", "1", True),
        ("avx2", "True", True),
        ("avx2 avx512f", "1", False),
        ("avx", "1", False),
        ("avx2", "0", False),
        ("avx2", None, False),
    ],
)
def test_they_are_used_with_onednn_on_processors_without_avx512(monkeypatch, tmp_path, flags, variable, uses):
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    monkeypatch.setattr(processor, "PROCESSOR_FILE", tmp_path / "cpuinfo")
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    if variable:
        monkeypatch.setenv(onednn.VARIABLE, variable)
    assert (training_layers("float32").convolution is FastConvolution) == uses
    for other in (
        training_layers("mixed_bfloat16"),
        training_layers("float32", kind="GPU"),
        training_layers("float32", 2),
    ):
        assert other.convolution is None and other.rectifier is None


@pytest.mark.parametrize(
    ("key", "value", "uses"),
    [
        ("training.seed", 1, True),
        ("training.precision", "mixed_bfloat16", False),
        ("compress.qat", "native", False),
        ("compress.clusters", 16, False),
    ],
)
def test_a_training_says_that_it_uses_them(monkeypatch, key, value, uses):
    monkeypatch.setattr(resolve.onednn, "lacks_avx512", lambda: True)
    monkeypatch.setattr(resolve.onednn, "has_amx", lambda: False)
    lines = []
    resolve._resolve_precision(SPEC.override(key, value), Devices(tf.distribute.get_strategy(), "one"), lines.append)
    assert [line.partition(":")[0] for line in lines] == ["precision", *["layers"] * uses]
