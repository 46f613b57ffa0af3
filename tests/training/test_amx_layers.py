"""The convolution for processors with AMX: Keras' own in everything but speed. Its gradients are tested on any
processor; test_avx2_layers.py tests what it shares with the layers for AVX2."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from parallel_checks import SPEC
from parallel_checks import trained as trained_by
from trainings import interrupt_after

from keras_resnet.errors import TrainingInterrupted
from keras_resnet.machine import onednn, processor
from keras_resnet.models.build import build_classifier
from keras_resnet.models.layers import Layers
from keras_resnet.models.names import parse_model_name
from keras_resnet.run import Run
from keras_resnet.training import amx_layers, resolve
from keras_resnet.training.amx_layers import AmxConvolution
from keras_resnet.training.distribute import Devices
from keras_resnet.training.fused_batch_norm import FusedBatchNormalization
from keras_resnet.training.resolve import training_layers
from keras_resnet.training.train import resume, train

# The spacing of bfloat16, relative to a number: results that are rounded to it differ by no more.
SPACING = 2**-7


def spy(monkeypatch):
    calls, real = [], amx_layers.differentiate_by_product
    monkeypatch.setattr(amx_layers, "differentiate_by_product", lambda *given: calls.append(given) or real(*given))
    return calls


def differentiated(layer, images, weights):
    """Outputs, and gradients by images and kernel."""

    @tf.function
    def run(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=True)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * weights)
        return outputs, *tape.gradient(loss, [images, layer.kernel.value])

    return [np.asarray(each, "float32") for each in run(images)]


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 3, 4, 24), {}),
        ((3, 8, 6, 40), {"strides": 2}),
        ((2, 5, 7, 16), {"strides": 2, "padding": "same"}),
        ((2, 7, 5, 16), {"strides": 3}),
        ((1, 6, 6, 8), {"strides": (3, 2), "padding": "same"}),
    ],
)
def test_gradients_are_those_of_keras(monkeypatch, shape, options):
    """Beside Keras' layer in float32, for images and kernels that bfloat16 has exactly."""
    calls, chance = spy(monkeypatch), np.random.default_rng(0)
    ours = AmxConvolution(48, 1, dtype="mixed_bfloat16", use_bias=False, **options)
    theirs = keras.layers.Conv2D(48, 1, dtype="float32", use_bias=False, **options)
    for layer in (ours, theirs):
        layer.build(shape)
    exact = lambda values: tf.cast(tf.cast(values, tf.bfloat16), tf.float32)  # noqa: E731
    theirs.set_weights([exact(each) for each in ours.get_weights()])
    images = exact(chance.normal(1, 2, shape))
    weights = exact(chance.normal(size=theirs.compute_output_shape(shape)))
    results = list(zip(*(differentiated(layer, images, weights) for layer in (ours, theirs)), strict=True))
    assert len(calls) == 1 and len(results) == 3
    for our, their in results:
        np.testing.assert_allclose(our, their, rtol=SPACING, atol=SPACING * np.abs(their).max() / 4)


@pytest.mark.parametrize(
    "options",
    [{"kernel_size": 3}, {"dtype": "float32"}, {"groups": 2}, {"use_bias": True}],
    ids=lambda options: next(iter(options)),
)
def test_other_convolutions_are_left_to_tensorflow(monkeypatch, options):
    calls = spy(monkeypatch)
    layer = AmxConvolution(16, **{"kernel_size": 1, "dtype": "mixed_bfloat16", "use_bias": False, **options})
    layer.build((2, 6, 6, 8))
    differentiated(layer, tf.ones((2, 6, 6, 8)), 1.0)
    assert not calls


def test_gradients_of_biases_are_summed_in_float32():
    """As TensorFlow sums them where it computes the gradient of the kernel beside that of the bias."""
    layer = AmxConvolution(16, 1, dtype="mixed_bfloat16")
    layer.build((8, 64, 64, 8))

    @tf.function
    def differentiate(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.cast(layer(images), tf.float32))
        return tape.gradient(loss, [layer.kernel.value, layer.bias.value])

    for gradient in differentiate(tf.ones((8, 64, 64, 8))):
        np.testing.assert_allclose(gradient, np.full(gradient.shape, 8 * 64 * 64), rtol=SPACING)


def test_gradients_of_a_network_are_those_of_keras(monkeypatch):
    """Of each kernel: the values that reach it are the same to the bit, so no rounding adds up."""
    calls, gradients = spy(monkeypatch), []
    images, labels = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32"), np.arange(4)
    network = replace(parse_model_name("resnet29"), block="bottleneck", shortcut="B")
    for convolution in (AmxConvolution, None):
        keras.utils.set_random_seed(0)
        layers = Layers(keras, "mixed_bfloat16", FusedBatchNormalization, convolution)
        model = build_classifier(layers, network, classes=4, input_shape=(32, 32, 3))

        @tf.function
        def differentiate(images, model=model):
            with tf.GradientTape() as tape:
                outputs = model(images, training=True)
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, outputs)
            return tape.gradient(loss, [each.value for each in model.trainable_variables])

        gradients.append(differentiate(images))
    assert len(calls) == 21  # nine units of two 1 × 1 convolutions, and three projections
    for our, their in zip(*gradients, strict=True):
        np.testing.assert_allclose(our, their, rtol=SPACING, atol=SPACING * np.abs(their).max() / 4)


def test_training_uses_it_and_the_saved_model_does_not(monkeypatch):
    monkeypatch.setattr(onednn, "lacks_avx512", lambda: False)
    spec = SPEC.override("training.precision", "mixed_bfloat16")
    for has_amx, kind in ((True, AmxConvolution), (False, keras.layers.Conv2D)):
        monkeypatch.setattr(onednn, "has_amx", lambda has_amx=has_amx: has_amx)
        trainer = trained_by(Devices(tf.distribute.get_strategy(), "one"), spec, 2)
        assert type(trainer.model.get_layer("stem_conv")) is kind
        assert all(np.isfinite(each).all() for each in trainer.model.get_weights())


@pytest.mark.parametrize(
    ("flags", "variable", "uses"),
    [
        ("avx2 avx512f amx_bf16", "1", True),
        ("avx2 avx512f amx_bf16", None, True),
        ("avx2 avx512f amx_bf16", "yes", True),
        ("avx2 avx512f amx_bf16", "0", False),
        ("avx2 avx512f amx_bf16", "False", False),
        ("avx2 avx512f avx512_bf16", "1", False),
    ],
)
def test_it_is_used_with_onednn_on_processors_with_amx(monkeypatch, tmp_path, flags, variable, uses):
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    monkeypatch.setattr(processor, "PROCESSOR_FILE", tmp_path / "cpuinfo")
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    if variable:
        monkeypatch.setenv(onednn.VARIABLE, variable)
    assert (training_layers("mixed_bfloat16").convolution is AmxConvolution) == uses
    for other in (
        training_layers("float32"),
        training_layers("mixed_bfloat16", kind="GPU"),
        training_layers("mixed_bfloat16", 2),
    ):
        assert other.convolution is None


@pytest.mark.parametrize(
    ("key", "value", "uses"),
    [
        ("training.precision", "mixed_bfloat16", True),
        ("training.precision", "float32", False),
    ],
)
def test_a_training_says_that_it_uses_it(monkeypatch, key, value, uses):
    monkeypatch.setattr(onednn, "has_amx", lambda: True)
    monkeypatch.setattr(onednn, "lacks_avx512", lambda: False)
    lines = []
    resolve._resolve_precision(SPEC.override(key, value), Devices(tf.distribute.get_strategy(), "one"), lines.append)
    assert any("train faster on CPUs with AMX" in line for line in lines) == uses


def test_a_resumed_training_says_it_too(quick_spec, tmp_path, monkeypatch):
    """It may go on where there is another processor."""
    spec = quick_spec.override("training.precision", "mixed_bfloat16").override("training.epochs", 2)
    lines = []
    for has_amx in (False, True):
        monkeypatch.undo()
        monkeypatch.setattr(onednn, "lacks_avx512", lambda: False)
        monkeypatch.setattr(onednn, "has_amx", lambda has_amx=has_amx: has_amx)
        if has_amx:
            resume(Run.find(tmp_path, "cut"), lines.append)
        else:
            interrupt_after(1, monkeypatch)
            with pytest.raises(TrainingInterrupted):
                train(spec, tmp_path, "cut", lines.append)
        said = [line for line in lines if line.startswith("layers: kresnet's own for 1 × 1 convolutions")]
        assert len(said) == has_amx
