"""A network that 8 bits hurt: which layer it is, and what mends it."""

import json

import keras
import numpy as np
import pytest
from hurt_networks import hurt
from samples import silent

from keras_resnet.cli import main
from keras_resnet.compression.quantization.equalize import equalize
from keras_resnet.compression.quantization.sensitivity import QuantizationSimulator
from keras_resnet.data.load import load_dataset
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export import remedies
from keras_resnet.export.calibration import build_calibration
from keras_resnet.export.pipeline import ExportContext
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.sensitivity import diagnose
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions, build_tflite_options
from keras_resnet.run import Run
from keras_resnet.tasks.classification import Classification

SAME = Classification(()).agreement
HURT = "stage2_unit1_conv1"


@pytest.fixture(scope="module")
def data(trained):
    return load_dataset(trained.spec().data, silent)


@pytest.fixture(scope="module")
def hurt_run(trained, runs):
    """A run like `trained`, with the same answers, that int8 hurts."""
    run = Run.create(runs, trained.spec(), trained.classes(), "hurt")
    model = load_model(trained)
    hurt(model)
    run.write_json(run.metrics_file, trained.metrics())
    run.write_with(run.model_file, model.save)
    return run


@pytest.mark.slow
def test_equalizing_changes_no_answer_and_undoes_the_hurt(trained, data):
    model = load_model(trained)
    images = build_calibration(data).images
    before = np.asarray(model(images.astype("float32"), training=False))
    hurt(model)
    assert QuantizationSimulator(model, images, SAME).agreement_without(images) < 0.97
    assert equalize(model, images) == ["stage1_unit1_conv2", "stage2_unit1_conv2", "stage3_unit1_conv2"]
    after = np.asarray(model(images.astype("float32"), training=False))
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())
    assert QuantizationSimulator(model, images, SAME).agreement_without(images) > 0.97


def test_a_network_without_pairs_is_left_alone():
    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, keras.layers.Conv2D(2, 3)(pixels))
    assert equalize(model, np.zeros((2, 8, 8, 3), "uint8")) == []


def test_every_layer_is_a_part_of_the_simulation(trained, data):
    model = load_model(trained)
    parts = {part.layer for part in QuantizationSimulator(model, build_calibration(data).images, SAME).operations}
    assert {layer.name for layer in model.layers if "conv" in layer.name and layer.weights} <= parts
    assert {"stage1_unit1_add", "stage3_unit1_add", "pool", "logits"} <= parts


def test_the_diagnosis_names_the_hurt_layer_first(hurt_run):
    found = diagnose(hurt_run, 200, silent)
    assert found[0].layer == HURT and found[0].spread > 20
    assert found[0].agreement < found[2].agreement
    document = json.loads((hurt_run.exports / "diagnosis.json").read_text())
    assert document["layers"][0]["layer"] == HURT and document["agreement_of_all"] < 0.97
    assert (hurt_run.exports / "diagnosis.png").stat().st_size > 5000


@pytest.mark.slow
def test_auto_mends_it(hurt_run, runs, capsys):
    arguments = ["export", "hurt", "--tflite", "--quantize", "int8", "--auto", "--runs", str(runs), "--max-drop", "0.6"]
    code = main.run_command(arguments)
    out, err = capsys.readouterr()
    assert code == 0, err
    steps = json.loads((hurt_run.exports / "auto.json").read_text())
    assert [step["remedy"] for step in steps[2:]] == [
        "ranges by percentile",
        "ranges by mse",
        "rounded by litert-quantizer",
        "channels equalized",
    ]
    assert [step["verdict"] for step in steps] == ["FAILED"] * 5 + ["PASSED"] and steps[0]["drop"] > 0.02
    assert [step["scheme"] for step in steps[2:5]] == ["int8-percentile", "int8-mse", "int8-litert"]
    assert "effect of each remedy" in out and "channels equalized" in out
    assert (hurt_run.exports / "int8.tflite").is_file() and not (hurt_run.rejected / "int8.tflite").exists()


@pytest.mark.slow
def test_further_remedies(hurt_run, monkeypatch):
    """Without equalizing, layers in float32 or training with 8 bits have to mend it."""
    monkeypatch.setattr(remedies, "equalize", lambda model, images: [])
    wanted = ExportRequest(tflite=tuple(build_tflite_options(("int8",))), max_drop=0.6)
    context = ExportContext.prepare(hurt_run, wanted, silent)
    steps = remedies.try_remedies(context, wanted.tflite[0], wanted)
    in_float = [step.remedy.removesuffix(" in float32") for step in steps if step.remedy.endswith("in float32")]
    assert in_float[0] == HURT and [len(each.split(", ")) for each in in_float] == list(range(1, len(in_float) + 1))
    assert steps[-1].verdict.verdict == "PASSED"
    only_training = remedies.try_remedies(context, TFLiteOptions(SCHEMES["int8"], "int8"), wanted)
    assert only_training[-1].remedy == "trained on with 8 bits"
    assert only_training[-1].verdict.value > only_training[0].verdict.value


def test_bad_requests(trained, runs, capsys):
    for options, words in (
        (["--tflite", "--quantize", "float32", "--auto"], "--tflite --quantize int8. None is asked for"),
        (["--savedmodel", "--auto"], "--tflite --quantize int8. None is asked for"),
    ):
        assert main.run_command(["export", trained.name, "--runs", str(runs), *options]) == 2
        out, err = capsys.readouterr()
        assert out == "" and words in err.splitlines()[-1]
