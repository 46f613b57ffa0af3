"""Filters removed, weights made zero or shared, and 8 bits by tensorflow-model-optimization: each does what it says."""

import json
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from samples import silent

from keras_resnet.compression.filter_pruning import prune_filters
from keras_resnet.compression.plan import plan_compression, spec_for_compression
from keras_resnet.compression.quantization.quantize import build_compressed_model
from keras_resnet.compression.sparsity import check_sparsity, get_compressed_layers
from keras_resnet.compression.tfmot import qat
from keras_resnet.compression.tfmot.tf_keras_model import (
    TfKerasModel,
    build_tf_keras_network,
    copy_to_keras,
    copy_to_tf_keras,
)
from keras_resnet.config.spec import CompressSpec, DataSpec, NetworkSpec, Spec, StartSpec
from keras_resnet.data import pipeline
from keras_resnet.data.load import load_dataset
from keras_resnet.errors import TrainingError, UsageError, WeightsError
from keras_resnet.evaluation.evaluate import load_keras_file, load_model
from keras_resnet.models import build
from keras_resnet.models.layers import Layers
from keras_resnet.models.parameters import count_parameters
from keras_resnet.pretrained.weights import Weights
from keras_resnet.run import Run
from keras_resnet.tasks import get_task

SHAPE = (16, 16, 3)


def network(**options):
    model = build.build_classifier(
        Layers(keras), NetworkSpec(zero_gamma=False, **options), classes=4, input_shape=SHAPE
    )
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.uniform(0.2, 1, w.shape).astype("float32") - 0.4 * (w.ndim > 1) for w in model.get_weights()]
    )
    return model


@pytest.mark.parametrize(
    "options",
    [{"depth": 8}, {"depth": 11, "preactivation": True}, {"depth": 11, "block": "bottleneck"}, {"depth": 50}],
    ids=["basic", "preactivation", "bottleneck", "imagenet"],
)
def test_filters_that_weigh_nothing_are_removed_without_a_trace(options):
    """Half the filters inside units give zeros; the network without them computes the same."""
    wide = network(**options)
    small = network(**options, keep_ratio=0.5)
    rng = np.random.default_rng(1)
    for layer in small.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.filters < wide.get_layer(layer.name).filters:
            norm = wide.get_layer(layer._outbound_nodes[0].operation.name)
            dead = rng.permutation(norm.gamma.shape[0])[layer.filters :]
            for variable in (norm.gamma, norm.beta):
                values = np.array(variable)
                values[dead] = 0
                variable.assign(values)
    weights = Weights({layer.name: layer.get_weights() for layer in wide.layers if layer.weights}, None)
    assert " of " in prune_filters(small, weights) and small.count_params() < 0.75 * wide.count_params()
    images = rng.uniform(-1, 1, (4, *SHAPE)).astype("float32")
    expected = np.asarray(wide(images))
    np.testing.assert_allclose(small(images), expected, atol=1e-4 * np.abs(expected).max())


def test_filters_are_not_taken_from_another_network():
    other = network(depth=14)
    weights = Weights({layer.name: layer.get_weights() for layer in other.layers if layer.weights}, None)
    short = {name: values for name, values in weights.layers.items() if "unit2" not in name}
    with pytest.raises(WeightsError, match="hold nothing for"):
        prune_filters(network(depth=14, keep_ratio=0.5), Weights(short, None))


def model_with(kernel):
    model = keras.Sequential([keras.Input((4, 4, 4)), keras.layers.Conv2D(2, 1, use_bias=False, name="conv")])
    model.get_layer("conv").kernel.assign(np.asarray(kernel, np.float32).reshape(1, 1, 4, 2))
    return model


def test_what_is_claimed_is_counted():
    half = model_with([[1, 0], [0, 2], [0, 0], [1, 2]])
    kept = check_sparsity(half, CompressSpec(sparsity=0.5, pattern="2:4"))
    assert kept.sparsity == kept.min_sparsity == 0.5 and kept.summary == "50.0% of the weights are zero"
    assert check_sparsity(half, CompressSpec(clusters=3)).clusters == 3
    assert check_sparsity(half, CompressSpec(qat="tfmot", clusters=2)).clusters == 2  # of each output
    assert check_sparsity(half, CompressSpec()).as_dict() == {}
    for kernel, claim, words in (
        ([[1, 1], [0, 2], [0, 0], [1, 2]], CompressSpec(sparsity=0.9), "conv has 37.50% zeros, not 90%"),
        (
            [[1, 0], [1, 0], [1, 0], [0, 2]],
            CompressSpec(sparsity=0.5, pattern="2:4"),
            "more than 2 weights in 1 groups",
        ),
        ([[1, 2], [3, 4], [5, 6], [7, 8]], CompressSpec(clusters=4), "conv has 8 different weights, not 4"),
    ):
        with pytest.raises(TrainingError, match=words):
            check_sparsity(model_with(kernel), claim)


def test_steps_are_taken_in_the_order_that_keeps_them():
    steps = plan_compression(shrink=0.25, prune=0.8, cluster=16, qat="tfmot")
    assert [step.suffix for step in steps] == ["shrunk25", "pruned80", "clustered16", "qat-tfmot"]
    assert [step.suffix for step in plan_compression(pattern="2:4", qat="native")] == ["2to4", "qat"]
    for options, words in (
        ({}, "choose how to compress"),
        ({"shrink": 1.0}, "--shrink must be the share of filters to remove"),
        ({"prune": 80.0}, "--prune must be the share of weights"),
        ({"prune": 0.7, "pattern": "2:4"}, "--prune must be 0.5 with --pattern 2:4"),
        ({"cluster": 1}, "--cluster must be how many"),
    ):
        with pytest.raises(UsageError, match=words):
            plan_compression(**options)


def test_nothing_is_undone(trained):
    (cluster_16,) = plan_compression(cluster=16)
    shared = spec_for_compression(trained, cluster_16, set(), silent)
    assert shared.compress == CompressSpec(parent=str(trained.folder.resolve()), clusters=16)
    assert shared.start == StartSpec(weights=str(trained.model_file.resolve()))
    for options, words in (
        ({"training.precision": "mixed_bfloat16"}, "training.precision must be float32 for pruning"),
        ({"training.ema": 0.9}, "training.ema must be left out"),
        ({"training.patience": 2}, "training.patience must be left out"),
        ({"training.recompute": True}, "training.recompute must be left out"),
        ({"optimizer.name": "muon"}, "muon moves the zeros"),
        ({"compress.qat": "native"}, "compress.qat must be tfmot for clustered weights"),
    ):
        with pytest.raises(UsageError, match=words):
            for key, value in options.items():
                shared.override(key, value)


def pipeline_images(data):
    return np.asarray(next(iter(pipeline.evaluation_batches(data.splits["validation"], data.image_size, 64)))[0])


def filled_twin(trained):
    """The spec of a run; its twin with its weights; 64 real images, uint8."""
    spec = Spec.from_json(trained.spec().to_json())
    network, _ = build_tf_keras_network(spec, get_task(spec, trained.classes()))
    copy_to_tf_keras(load_model(trained), network)
    data = load_dataset(spec.data, silent)
    return spec, network, pipeline_images(data)


def test_the_twin_computes_the_same(trained):
    spec, network, images = filled_twin(trained)
    twin = TfKerasModel(network, spec.data.normalization, count_parameters(network.weights))
    np.testing.assert_allclose(twin(images), load_model(trained)(images.astype("float32")), atol=1e-4)
    assert twin.parameters == sum(part["parameters"] for part in trained.analysis()["parts"])


@pytest.mark.slow
def test_what_tfmot_trained_with_8_bits_comes_home(trained):
    """Its fake-quantized network and ours give the same answers, by the same ranges."""
    compress = CompressSpec(parent=str(trained.folder), qat="tfmot")
    spec, network, images = filled_twin(trained)
    quantized = qat.quantize(network, compress)
    twin = TfKerasModel(quantized, spec.data.normalization, 0)
    for _ in range(30):  # ranges are moving averages
        twin(images, training=True)
    served = build_compressed_model(replace(spec, compress=compress), get_task(spec, trained.classes()), Layers(keras))
    copy_to_keras(quantized, qat.clustered_kernels(quantized), served)
    qat.copy_ranges(quantized, served)
    theirs, ours = np.asarray(twin(images)), np.asarray(served(images.astype("float32")))
    step = (theirs.max() - theirs.min()) / 255
    assert (theirs.argmax(-1) == ours.argmax(-1)).mean() >= 0.98
    assert np.abs(theirs - ours).mean() < 3 * step


def test_tfmot_says_what_it_cannot_quantize():
    data = DataSpec(image_size=16, fit="crop", channels=3)
    spec = Spec(network=NetworkSpec(depth=11, preactivation=True), data=data)
    with pytest.raises(UsageError, match=r"cannot quantize resnet11v2: .* --qat native can"):
        qat.quantize(build_tf_keras_network(spec, get_task(spec, ("a", "b")))[0], CompressSpec(qat="tfmot"))


@pytest.mark.slow
def test_pruned_clustered_and_quantized(trained, runs):
    """One command, three runs; each keeps what the ones before it did, in the model and in the file."""
    base = [sys.executable, "-m", "keras_resnet", "compress", trained.name, "--runs", str(runs), "--json"]
    ways = ["--prune", "0.5", "--cluster", "8", "--qat", "tfmot", "--epochs", "2", "--learning-rate", "0.01"]
    done = subprocess.run([*base, *ways, "--name", "pcqat"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    names = [f"{trained.name}-pruned50", f"{trained.name}-pruned50-clustered8", "pcqat"]
    assert told["runs"] == names and told["parent"] == names[1]
    assert told["value"] > 0.8 and told["sparsity"] >= 0.5 and told["clusters"] <= 8
    assert Run(runs / "pcqat").network_summary == "resnet8, 50% zeros, 8 weights a kernel, 8 bits"
    kernels = {}
    for name in names:
        layers = get_compressed_layers(load_keras_file(runs / name / "model.keras"))
        kernels[name] = [np.asarray(layer.kernel) for layer in layers]
        assert len(layers) == 7 and all((kernel == 0).mean() >= 0.499 for kernel in kernels[name])
    assert all(len(np.unique(kernel)) <= 8 for kernel in kernels[names[1]])
    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import TFLiteRequest

    files = tuple(TFLiteRequest(is_qat=True).build())
    (verdict,) = export(Run(runs / "pcqat"), ExportRequest(tflite=files, max_drop=20), silent)
    assert verdict.all_integer and verdict.own_agreement >= 0.98 and verdict.gzip_bytes < 0.7 * verdict.bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "claim", "value"),
    [(("--prune", "0.5"), "sparsity", 0.5), (("--cluster", "8"), "clusters", 8), (("--qat", "tfmot"), "samples", 360)],
    ids=["prune", "cluster", "qat"],
)
def test_tfmot_over_two_replicas(trained, runs, way, claim, value):
    """MirroredStrategy, which tfmot allows: the same claims hold. In a process of its own, which can be divided."""
    base = [sys.executable, "-m", "keras_resnet", "compress", trained.name, "--runs", str(runs), "--json"]
    done = subprocess.run([*base, *way, "--devices", "cpu:2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert "as asked: cpu:2" in done.stderr
    assert told["value"] > 0.8 and told[claim] == pytest.approx(value, abs=0.01)
