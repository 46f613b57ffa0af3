"""Detectors made smaller and faster: trained with 8 bits, pruned, diagnosed."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from samples import finding

from keras_resnet.cli import main
from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer
from keras_resnet.compression.quantization.quantize import build_compressed_model, quantize
from keras_resnet.compression.quantization.sensitivity import QuantizationSimulator
from keras_resnet.compression.tfmot import qat
from keras_resnet.compression.tfmot.tf_keras_model import (
    TfKerasModel,
    build_tf_keras_network,
    copy_to_keras,
    copy_to_tf_keras,
)
from keras_resnet.config.spec import CompressSpec
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.formats.tflite import write_tflite
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
from keras_resnet.models.layers import Layers
from keras_resnet.run import Run
from keras_resnet.tasks import get_task

CLASSES = ("a", "b", "c")
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3)).astype("float32")


def network():
    """A small segmenter at its start, but for its batch norms, some of which begin with nothing."""
    model, chance = get_task(finding(), CLASSES).build_model(Layers(keras), finding()), np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([chance.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def answers_of(content, images):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=content).get_signature_runner()
    steps = {name: each["quantization"] for name, each in runner.get_output_details().items()}
    found = [runner(pixels=image[None].astype("uint8")) for image in images]
    return {
        name: (np.concatenate([each[name] for each in found]).astype("float32") - zero) * scale
        for name, (scale, zero) in steps.items()
    }, {name: scale for name, (scale, _) in steps.items()}


@pytest.mark.slow
def test_the_file_computes_what_the_network_does(tmp_path):
    """With heads at their start, where all scores of a level have the same bias, which a converter keeps as one number
    and rounds by the scale of the first channel. What levels say is joined in one range."""
    quantized = quantize(network())
    for _ in range(8):
        quantized(PIXELS, training=True)
    ranges = {layer.name for layer in quantized.layers if isinstance(layer, FakeQuantizer)}
    assert {"scores_range", "distances_range", "coefficients_range", "prototypes_range"} <= ranges
    assert not any(name.startswith("scores1") for name in ranges)
    expected = quantized(PIXELS, training=False)
    write_tflite(quantized, TFLiteOptions(SCHEMES["qat"], "uint8"), None, tmp_path / "x.tflite")
    content = (tmp_path / "x.tflite").read_bytes()
    contents = read_contents(content)
    assert not contents.float_dtypes and not contents.custom
    assert "RESIZE_NEAREST_NEIGHBOR" in contents.operators and "TILE" not in contents.operators
    got, steps = answers_of(content, PIXELS)
    for name, values in got.items():
        difference = np.abs(values - np.asarray(expected[name])) / steps[name]
        assert difference.mean() < 1.5 and difference.max() < 12, name


@pytest.mark.slow
def test_tfmot_trains_the_same_network():
    model, spec = network(), finding()
    twin, names = build_tf_keras_network(spec, get_task(spec, CLASSES))
    copy_to_tf_keras(model, twin)
    ours, theirs = model(PIXELS), TfKerasModel(twin, spec.data.normalization, 0, names)(PIXELS)
    for name, values in ours.items():
        np.testing.assert_allclose(theirs[name], values, atol=1e-5)
    compress = CompressSpec(parent="found", qat="tfmot")
    quantized = qat.quantize(twin, compress)
    trained = TfKerasModel(quantized, spec.data.normalization, 0, names)
    for _ in range(8):
        trained(PIXELS, training=True)
    served = build_compressed_model(replace(spec, compress=compress), get_task(spec, CLASSES), Layers(keras))
    copy_to_keras(quantized, qat.clustered_kernels(quantized), served)
    qat.copy_ranges(quantized, served)
    ours, theirs = served(PIXELS), trained(PIXELS)
    for name, values in ours.items():
        values, others = np.asarray(values), np.asarray(theirs[name])
        assert np.abs(values - others).mean() < 3 * (others.max() - others.min()) / 255, name


@pytest.mark.slow
def test_compress_and_export(segmented, capsys):
    """With 8 bits; the file is judged by the network that it came from."""
    runs = ["--runs", str(segmented.folder.parent)]
    options = ["--qat", "--epochs", "2", "--name", "eight"]
    code = main.run_command(["compress", "found", *options, *runs])
    assert code == 0, capsys.readouterr()
    run = Run.find(segmented.folder.parent, "eight")
    last = run.read_log()[-1]
    assert last["val_mask mAP"] == pytest.approx(run.metrics()["value"], abs=1e-3)
    capsys.readouterr()
    code = main.run_command(["export", "eight", "--tflite", "--max-drop", "5", *runs, "--json"])
    (verdict,) = json.loads(capsys.readouterr().out)
    assert code == 0 and verdict["scheme"] == "qat" and not [kind for kind in verdict["dtypes"] if "FLOAT" in kind]
    assert verdict["own_agreement"] > 0.95 and verdict["value"] == pytest.approx(run.metrics()["value"], abs=0.02)


def test_every_layer_is_a_part_of_the_simulation():
    """And what they do together is told by what the task takes for the same answer."""
    seen = []

    def agreement(ours, theirs):
        seen.append((ours, theirs))
        return 0.25

    model = network()
    simulation = QuantizationSimulator(model, PIXELS, agreement)
    names = {part.layer for part in simulation.operations}
    assert {"stem_conv", "lateral3_conv", "sum3", "scores3", "scores", "prototypes"} <= names
    assert simulation.agreement_without(PIXELS) == 0.25
    (ours, theirs), expected = seen[0], model(PIXELS, training=False)
    for name, values in expected.items():
        deviation = np.std(values)
        # With nothing switched on only the normalized pixels are rounded, as they are in any file.
        assert np.abs(theirs[name] - np.asarray(values)).mean() < 0.01 * deviation
        assert 0.01 * deviation < np.abs(ours[name] - theirs[name]).mean() < 0.3 * deviation


@pytest.mark.slow
def test_the_diagnosis_knows_every_layer(segmented, capsys):
    runs = ["--runs", str(segmented.folder.parent)]
    assert main.run_command(["diagnose", "found", "--samples", "12", "--json", *runs]) == 0
    found = json.loads(capsys.readouterr().out)
    names = {each["layer"] for each in found}
    assert {"stem_conv", "lateral3_conv", "sum3", "scores3", "scores", "prototypes"} <= names
    assert all(0 <= each["agreement"] <= 1 and each["error"] >= 0 for each in found)
    assert max(each["error"] for each in found) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--prune", "0.5", "--qat", "tfmot"], ("found-pruned50", "found-pruned50-qat-tfmot")),
        (["--shrink", "0.25", "--cluster", "16"], ("found-shrunk25", "found-shrunk25-clustered16")),
    ],
)
def test_further_ways(segmented, capsys, options, names):
    runs = ["--runs", str(segmented.folder.parent)]
    assert main.run_command(["compress", "found", *options, "--epochs", "1", *runs]) == 0, capsys.readouterr().err
    made = [Run.find(segmented.folder.parent, name) for name in names]
    assert all(run.metrics()["metric"] == "mask mAP" for run in made)
    if "--prune" in options:
        assert made[-1].metrics()["sparsity"] > 0.49
    assert load_model(made[-1]).count_params() > 0
    capsys.readouterr()
    main.run_command(["export", names[-1], "--tflite", "--max-drop", "100", "--json", *runs])
    verdicts = json.loads(capsys.readouterr().out)
    assert all(each["own_agreement"] > 0.9 for each in verdicts)


@pytest.mark.slow
def test_remedies_are_tried(segmented, capsys):
    runs = ["--runs", str(segmented.folder.parent)]
    main.run_command(["export", "found", "--tflite", "--quantize", "int8", "--auto", "--max-drop", "0", *runs])
    steps = json.loads((segmented.exports / "auto.json").read_text())
    assert {step["metric"] for step in steps} == {"mask mAP"}
    assert steps[-1]["verdict"] == "PASSED" or steps[-1]["remedy"] == "trained on with 8 bits"
