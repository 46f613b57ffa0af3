"""Quantization-aware training: what the network computes in training is what its 8-bit file computes."""

import json
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from samples import silent
from trainings import finished, same_log, same_weights, start, step_of, wait_for

import keras_resnet
from keras_resnet.cli import main
from keras_resnet.compression.plan import QAT, spec_for_compression
from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer
from keras_resnet.compression.quantization.freeze import prepare_for_conversion
from keras_resnet.compression.quantization.layers import QuantizedNorm, kernel_ranges, round_kernel
from keras_resnet.compression.quantization.quantize import copy_weights, quantize
from keras_resnet.config.spec import Normalization
from keras_resnet.errors import UsageError
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.formats.tflite import write_tflite
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
from keras_resnet.models import build
from keras_resnet.models.layers import Layers
from keras_resnet.models.names import parse_model_name
from keras_resnet.run import Run
from keras_resnet.training.fused_batch_norm import FusedBatchNormalization

SIZE = 16
CHANCE = np.random.default_rng(0)


def network(name, size=SIZE, bricks=None):
    """One of the catalog as after a training: no batch norm is at its start, no unit an identity."""
    bricks, chance = bricks or Layers(keras), np.random.default_rng(0)
    model = build.build_classifier(
        bricks, parse_model_name(name), classes=10, input_shape=(size, size, 3), normalization=Normalization()
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shapes = [weight.shape for weight in layer.get_weights()]
            layer.set_weights([chance.uniform(0.5, 1.5, shape) for shape in shapes])
    return model


def digits(size=SIZE):
    """Real images (1797, size, size, 3) and labels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    grey = np.kron(images.reshape(-1, 8, 8, 1) * 255 / 16, np.ones((1, size // 8, size // 8, 3)))
    return grey.astype("float32"), labels


def fitted(model, epochs=1, size=SIZE, rate=0.01, steps=40):
    """The model after a short `fit`, compiled as a user's script does it."""
    images, labels = digits(size)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(images[: 32 * steps], labels[: 32 * steps], batch_size=32, epochs=epochs, verbose=0)
    return model


def answers_of(file, images):
    """What LiteRT makes of uint8 `images`: logits in steps of the file's scale, and the step."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file), num_threads=2)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = given["quantization"]
    found = []
    for image in images:
        interpreter.set_tensor(taken["index"], image[None].astype("uint8"))
        interpreter.invoke()
        found.append((interpreter.get_tensor(given["index"]).astype("float32") - zero) * scale)
    return np.concatenate(found), scale


def test_a_kernel_has_255_values_for_each_output():
    kernel = CHANCE.normal(size=(3, 3, 4, 5)).astype("float32") * [1, 2, 3, 1e-7, 0]
    rounded = np.asarray(round_kernel(keras.ops.convert_to_tensor(kernel.astype("float32"))))
    largest = np.asarray(kernel_ranges(keras.ops.convert_to_tensor(kernel.astype("float32"))))
    steps = rounded / (largest / 127)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    assert np.abs(steps).max() <= 127.001 and len(np.unique(rounded[..., 0])) > 20
    assert (np.abs(rounded - kernel).max(axis=(0, 1, 2))[:3] <= largest[:3] / 254 * 1.001).all()


def test_scaling_channels_and_rounding_commute():
    """Why batch norm needs no folding in training."""
    kernel = CHANCE.normal(size=(3, 3, 4, 5)).astype("float32")
    scale = CHANCE.uniform(0.5, 2, 5).astype("float32")
    one, other = (np.asarray(round_kernel(keras.ops.convert_to_tensor(k))) for k in (kernel * scale, kernel))
    np.testing.assert_allclose(one, other * scale, atol=1e-6)


def test_a_range_follows_the_batches():
    quantizer = FakeQuantizer(momentum=0.9)
    images = keras.ops.convert_to_tensor(CHANCE.uniform(-1, 3, (4, 5)).astype("float32"))
    np.testing.assert_array_equal(quantizer(images, training=False), images)  # nothing seen yet
    quantizer(images, training=True)
    low, high = float(np.min(images)), float(np.max(images))
    assert (float(quantizer.low), float(quantizer.high)) == (low, high)
    quantizer(2 * images, training=True)
    np.testing.assert_allclose([quantizer.low, quantizer.high], [1.1 * low, 1.1 * high], rtol=1e-5)
    before = np.asarray(quantizer(images, training=False))
    assert len(np.unique(before)) <= 256 and np.abs(before - images).max() < 1.1 * (high - low) / 500
    quantizer.freeze()
    np.testing.assert_allclose(quantizer(images), before, atol=1.1 * (high - low) / 250)
    assert float(quantizer(images * 0 + 100).numpy().max()) == pytest.approx(1.1 * high, rel=0.01)


@pytest.mark.parametrize("name", ["resnet20", "resnet20v2"])
def test_a_copy_begins_as_its_original(name):
    model = network(name)
    copy = quantize(model)
    images = digits()[0][:8]
    ours, theirs = (np.asarray(each(images, training=False)) for each in (copy, model))
    assert np.abs(ours - theirs).max() < 0.05 * np.abs(theirs).max()
    names = [layer.name for layer in copy.layers]
    assert sorted(n for n in names if not n.endswith("_range")) == sorted(layer.name for layer in model.layers)
    assert any(isinstance(layer, QuantizedNorm) for layer in copy.layers) == (name == "resnet20v2")
    other = network(name)
    copy_weights(other, copy)
    np.testing.assert_array_equal(copy.get_layer("stem_conv").kernel, other.get_layer("stem_conv").kernel)


def test_a_norm_of_its_own_computes_in_mixed_precision():
    """In validation, which Keras casts otherwise than training, it gives what it gives in float32, but for the rounding
    of its result to bfloat16."""
    mixed = quantize(network("resnet20v2", bricks=Layers(keras, "mixed_bfloat16")))
    images = digits()[0][:32]
    mixed(images, training=True)
    served = quantize(network("resnet20v2"))
    served.set_weights(mixed.get_weights())
    assert np.isfinite(np.asarray(mixed(images, training=False), np.float32)).all()
    norms = [layer.name for layer in served.layers if isinstance(layer, QuantizedNorm)]
    for name in norms:
        ours, theirs = mixed.get_layer(name), served.get_layer(name)
        values = keras.ops.cast(CHANCE.normal(0, 1, (4, 2, 2, ours.gamma.shape[0])), "bfloat16")
        got, expected = ours(values, training=False), theirs(keras.ops.cast(values, "float32"), training=False)
        assert got.dtype == "bfloat16"
        np.testing.assert_allclose(keras.ops.cast(got, "float32"), expected, rtol=2**-8)
    assert norms


# Fast ones here, all kinds with -m slow.
FILES = [
    pytest.param("resnet8", SIZE, {"MUL": 1, "ADD": 4}, id="resnet8", marks=pytest.mark.slow),
    pytest.param("resnet20", SIZE, {"MUL": 1, "ADD": 10}, id="resnet20", marks=pytest.mark.slow),
    pytest.param("resnet20v2", SIZE, {"MUL": 7}, id="resnet20v2", marks=pytest.mark.slow),
    pytest.param("resnet50", 64, {"MUL": 1, "ADD": 17, "CONV_2D": 53}, id="resnet50", marks=pytest.mark.slow),
    pytest.param("seresnet50", 64, {"LOGISTIC": 16, "MUL": 17}, id="seresnet50", marks=pytest.mark.slow),
    pytest.param("resnet50d", 64, {"AVERAGE_POOL_2D": 3}, id="resnet50d", marks=pytest.mark.slow),
    pytest.param("resnext50_32x4d", 64, {"CONV_2D": 53}, id="resnext50", marks=pytest.mark.slow),
    pytest.param("vgg11", 32, {"CONV_2D": 8, "FULLY_CONNECTED": 3}, id="vgg11", marks=pytest.mark.slow),
    pytest.param("plain20", SIZE, {"CONV_2D": 19}, id="plain20", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "size", "operators"), FILES)
def test_the_file_computes_what_the_network_does(name, size, operators, tmp_path):
    """Trained in bfloat16, saved, loaded, converted: integers only, and the same answers on real images."""
    bricks = Layers(keras, "mixed_bfloat16", normalizer=FusedBatchNormalization)
    plain = network(name, size, bricks)
    rate = 0.001 if name.startswith("vgg") else 0.01
    # Long enough for answers that are not chance between two like logits.
    epochs = 10 if name == "resnet8" else 4
    trained = fitted(quantize(fitted(plain, epochs=epochs, size=size, rate=rate)), size=size, rate=rate / 2)
    served = quantize(network(name, size))
    served.set_weights(trained.get_weights())
    served.save(tmp_path / "served.keras")
    loaded = keras.saving.load_model(tmp_path / "served.keras", compile=False)
    images, labels = digits(size)
    images, labels = images[-200:], labels[-200:]
    expected = np.asarray(served.predict(images, verbose=0))
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    file = tmp_path / "qat.tflite"
    write_tflite(loaded, TFLiteOptions(SCHEMES["qat"], "uint8"), None, file)
    contents = read_contents(file.read_bytes())
    assert not contents.float_dtypes and not contents.custom
    assert {kind: contents.operators[kind] for kind in operators} == operators
    got, step = answers_of(file, images)
    agreement = (got.argmax(1) == expected.argmax(1)).mean()
    print(name, "agreement", agreement, "accuracy", (got.argmax(1) == labels).mean(), "step", step)
    assert agreement >= 0.99


def test_a_dead_channel_leaves_no_float(tmp_path):
    model = network("resnet8")
    norm = model.get_layer("stage2_unit1_norm2")
    gamma, *rest = norm.get_weights()
    norm.set_weights([np.where(np.arange(len(gamma)) % 3 == 0, 0, gamma), *rest])
    copy = fitted(quantize(model), steps=3, rate=1e-6)
    expected = np.asarray(copy.predict(digits()[0][:50], verbose=0))
    logits = copy.get_layer("logits_range")
    step = float(logits.high - logits.low) / 255
    # A constant range may round what lies between two steps the other way.
    np.testing.assert_allclose(prepare_for_conversion(copy)(digits()[0][:50]), expected, atol=1.01 * step)
    write_tflite(copy, TFLiteOptions(SCHEMES["qat"], "int8"), None, tmp_path / "x.tflite")
    assert not read_contents((tmp_path / "x.tflite").read_bytes()).float_dtypes


def test_what_cannot_be_quantized():
    pixels = keras.Input((8, 8, 3))
    odd = keras.Model(pixels, keras.layers.LayerNormalization(name="odd")(pixels))
    for model, words in ((odd, "layer odd of type LayerNormalization"), (quantize(network("resnet8")), "not yet")):
        with pytest.raises(UsageError, match=words):
            keras_resnet.quantize(model)


@pytest.mark.slow
def test_compress_on_two_replicas_in_bfloat16(trained, runs):
    """A run made from a run; its file is judged by the float model it came from."""
    options = ["--devices", "cpu:2", "--precision", "mixed_bfloat16", "--epochs", "2", "--name", "eight-bits"]
    base = [sys.executable, "-m", "keras_resnet"]
    command = [*base, "compress", trained.name, "--qat", "--runs", str(runs), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["parent"] == trained.name and told["before"] == trained.metrics()["value"] and told["value"] > 0.93
    run = Run(runs / "eight-bits")
    assert run.summary()["network"] == "resnet8, 8 bits"
    with pytest.raises(UsageError, match="already"):
        spec_for_compression(run, QAT, set(), silent)
    assert run.spec().compress.parent == str(trained.folder.resolve())
    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import TFLiteRequest

    files = tuple(TFLiteRequest(is_qat=True).build())
    (verdict,) = export(run, ExportRequest(tflite=files, max_drop=0.03), silent)
    assert verdict.verdict == "PASSED" and verdict.own_agreement >= 0.98 and verdict.calibration_sha256 is None
    assert verdict.drop == pytest.approx(trained.metrics()["value"] - verdict.value)
    for schemes, learned in ((("int8",), True), (("qat",), False)):
        with pytest.raises(UsageError, match="trained with 8 bits"):
            TFLiteRequest(is_qat=learned).build(schemes)


def test_bad_compress_requests(trained, runs, capsys):
    for options, code, words in (
        ([trained.name], 2, "choose how to compress"),
        (["absent", "--qat"], 1, "no run called 'absent'"),
        ([trained.name, "--qat", "--set", "compress.qat=int4"], 2, "compress.qat must be one of none, native, tfmot"),
        ([trained.name, "--qat", "--name", trained.name], 2, "--name must be a plain name that is not taken"),
    ):
        assert main._main(["compress", "--runs", str(runs), *options]) == code
        out, err = capsys.readouterr()
        assert out == "" and words in err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "way",
    [
        ("--qat", "--precision", "mixed_bfloat16"),
        ("--qat", "tfmot"),
        ("--prune", "0.5"),
        ("--cluster", "8"),
    ],
    ids=" ".join,
)
def test_killed_and_resumed(trained, runs, tmp_path, way):
    """Compression, killed three times, ends with the same bits."""
    home = tmp_path
    parent = str(trained.folder.resolve())
    options = [*way, "--steps", "120", "--checkpoint-every", "7", "--deterministic", "--runs", str(home)]
    finished(["compress", parent, *options, "--name", "whole"])
    run = Run(home / "killed")
    for target in (14, 49, 84):
        known = run.spec_file.is_file()
        process = start(
            ["train", "--resume", "killed", "--runs", str(home)]
            if known
            else ["compress", parent, *options, "--name", "killed"]
        )
        wait_for(lambda target=target: step_of(run) >= target, process)
        time.sleep(0.1)
        process.kill()
        process.communicate()
    finished(["train", "--resume", "killed", "--runs", str(home)])
    same_weights(Run(home / "whole"), run)
    same_log(Run(home / "whole"), run)


def branching(kill=lambda model: None):
    """A network with a branch of which `kill` makes something dead."""
    layers = keras.layers
    pixels = keras.Input((8, 8, 3))
    stem = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(layers.Rescaling(1 / 64, -2.0)(pixels))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(stem)
    x = layers.ReLU()(layers.BatchNormalization(name="norm1")(x))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv2")(x)
    x = layers.ReLU()(layers.Add()([stem, layers.BatchNormalization(name="norm2")(x)]))
    model = keras.Model(pixels, layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D()(x)))
    for name in ("norm1", "norm2"):
        norm = model.get_layer(name)
        norm.set_weights([np.random.default_rng(1).uniform(0.5, 1.5, weight.shape) for weight in norm.get_weights()])
    kill(model)
    return model


def filled(layer, weight, value):
    """Sets one weight of one layer to a number."""

    def kill(model):
        variable = getattr(model.get_layer(layer), weight)
        variable.assign(np.full(variable.shape, value, "float32"))

    return kill


def dead_statistics(model):
    """As moving statistics become behind what is dead: no mean, no variance."""
    for weight, value in (("moving_mean", 0), ("moving_variance", 0), ("gamma", 1)):
        filled("norm2", weight, value)(model)
    filled("norm1", "beta", -1e3)(model)


DEAD = {
    "a ReLU": filled("norm1", "beta", -1e3),
    "a ReLU and the statistics behind it": dead_statistics,
    "all scales of a norm": filled("norm2", "gamma", 0),
    "all weights of a convolution": filled("conv2", "kernel", 0),
    "almost all weights": filled("conv2", "kernel", 1e-12),
    "the beginning": filled("stem", "bias", -1e3),
    "all weights of a dense layer": filled("logits", "kernel", 0),
}
READ = """
import sys, numpy
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
details = [each for each in interpreter.get_tensor_details() if each["dtype"] in (numpy.int8, numpy.uint8)]
print(min(scale for each in details for scale in each["quantization_parameters"]["scales"]))
"""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if place % 3 else ()) for place, name in enumerate(DEAD)]
)
def test_what_is_dead_has_a_usable_scale(name, tmp_path):
    """The file is first opened in a child: LiteRT 2.3 ends the process for scales that XNNPACK refuses."""
    copy = quantize(branching(DEAD[name]))
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype("float32")
    copy.trainable = False
    copy(images, training=True)
    expected = np.asarray(copy(images, training=False))
    file = tmp_path / "x.tflite"
    write_tflite(copy, TFLiteOptions(SCHEMES["qat"], "uint8"), None, file)
    child = subprocess.run([sys.executable, "-c", READ, str(file)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert float(child.stdout) > 1e-7
    assert not read_contents(file.read_bytes()).float_dtypes
    got, step = answers_of(file, images)
    np.testing.assert_allclose(got, expected, atol=2.01 * step)


def test_what_has_seen_no_images_is_not_converted():
    copy = quantize(network("resnet8"))
    with pytest.raises(UsageError, match="resnet8 has seen no images: train or calibrate it first"):
        prepare_for_conversion(copy)
    copy(digits()[0][:8], training=True)
    prepare_for_conversion(copy)
