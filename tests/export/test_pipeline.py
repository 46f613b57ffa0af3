"""Export: every kind of file, the verdict on the file that was written, and what becomes of one that failed."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from PIL import Image
from samples import silent

from keras_resnet import progress
from keras_resnet.errors import ExportError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export import pipeline, writing
from keras_resnet.export.accelerators import ACCELERATORS
from keras_resnet.export.convert import convert
from keras_resnet.export.evaluate import RunLookup, evaluate_target, inspect_file, verify_file
from keras_resnet.export.flatbuffer import pack_model, unpack_model
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Conversion
from keras_resnet.export.load import load_file
from keras_resnet.export.pipeline import ExportContext, RunWriter
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions, build_tflite_options
from keras_resnet.export.verdict import Budget
from keras_resnet.metrics.result import Metrics
from keras_resnet.run import Run
from keras_resnet.runtime.c_array import read_c_array, write_c_array
from keras_resnet.runtime.tflite_model import TFLiteModel


def copied(run, tmp_path):
    return Run(shutil.copytree(run.folder, tmp_path / "copy"))


def test_every_file_passes_and_is_told_of(exported):
    run, verdicts = exported
    names = ("float32", "int8", "int8-mixed", "int8-litert", "dynamic-float-io-batches")
    assert set(verdicts) == {f"{name}.tflite" for name in names} | {"saved_model", "model.onnx", "c_array"}
    assert {row["file"] for row in run.verdicts()} == set(verdicts)
    for row in run.verdicts():
        assert row["verdict"] != "FAILED" and row["value"] >= 0.94 and row["agreement"] >= 0.98
        assert row["metric"] == "top1" and row["details"]["top5"] >= row["value"] and row["samples"] == 200
        low, high = row["drop_interval"]
        assert (row["verdict"] == "PASSED") == (high <= row["max_drop"]) == (row["images_to_settle"] is None)
        assert row["drop"] == pytest.approx(row["model_value"] - row["value"]) and row["drop_metric"] == "top1"
        assert low <= row["drop"] <= high and row["worst_class_drop"] >= row["drop"] - 1e-9
        cost = row["cost"]
        assert [each["threads"] for each in cost["latencies"]][-1] == os.cpu_count() and cost["peak_mib"] > 1
        assert all(0 < each["p50"] <= each["p90"] <= each["p99"] for each in cost["latencies"])
    assert verdicts["float32.tflite"].agreement == 1.0 and verdicts["float32.tflite"].largest_difference < 1e-3
    assert verdicts["int8.tflite"].bytes < 0.45 * verdicts["float32.tflite"].bytes
    assert not list(run.exports.glob(".*"))


def test_files_hold_what_their_form_says(exported):
    run, verdicts = exported
    dtypes = {name: set(verdict.dtypes) for name, verdict in verdicts.items() if verdict.dtypes}
    assert "INT8" not in dtypes["float32.tflite"] and "INT8" in dtypes["dynamic-float-io-batches.tflite"]
    for name in ("int8.tflite", "c_array"):
        assert not [each for each in dtypes[name] if each.startswith("FLOAT")]
    other = verdicts["int8-litert.tflite"]
    assert (
        "FLOAT32" in dtypes[other.file] and other.operators["CONV_2D"] == verdicts["int8.tflite"].operators["CONV_2D"]
    )
    # Floats at its end; those of the converter are integers with a scale.
    assert TFLiteModel(run.exports / other.file).quantization == {"logits": (0.0, 0)}
    assert TFLiteModel(run.exports / "int8.tflite").quantization["logits"][0] > 0
    whole, mixed = verdicts["int8.tflite"], verdicts["int8-mixed.tflite"]
    assert mixed.dtypes["FLOAT32"] > 4 and mixed.operators["CONV_2D"] == whole.operators["CONV_2D"]
    # Before each of the two layers kept.
    assert mixed.operators["DEQUANTIZE"] == 2 and "DEQUANTIZE" not in whole.operators


@pytest.mark.slow
def test_every_scheme(trained, tmp_path):
    """Within three points: which images some scheme loses is chance, of another processor for example."""
    forms = tuple(build_tflite_options(("all",)))
    verdicts = pipeline.export(copied(trained, tmp_path), ExportRequest(tflite=forms, max_drop=3), silent)
    found = {verdict.scheme: verdict for verdict in verdicts}
    assert {verdict.verdict for verdict in verdicts} == {"PASSED"}
    assert {name for name, verdict in found.items() if "FLOAT16" in verdict.dtypes} == {"float16"}
    assert {name for name, verdict in found.items() if "INT16" in verdict.dtypes} == {"int16x8"}
    assert found["int8-float-io"].dtypes["FLOAT32"] == 2 and "FLOAT32" not in found["int8"].dtypes


@pytest.mark.parametrize(
    ("name", "dtype", "zero"), [("int8.tflite", np.uint8, 0), ("c_array/kresnet_model.c", np.int8, -128)]
)
def test_raw_pixels_go_straight_in(exported, name, dtype, zero):
    model = TFLiteModel(exported[0].exports / name)
    assert model._input["dtype"] == dtype and tuple(model._input["shape"]) == (1, 8, 8, 3)
    np.testing.assert_allclose(model._input["quantization"], (1.0, zero), rtol=1e-3)
    assert model.pixels_from == zero


def test_any_number_of_images_at_a_time(exported, pixels):
    model = load_file(exported[0].exports / "dynamic-float-io-batches.tflite")
    together = model(pixels)
    one_by_one = np.concatenate([model(image[None]) for image in pixels])
    np.testing.assert_array_equal(together.argmax(1), one_by_one.argmax(1))


def test_a_fixed_batch_is_filled_up(exported, pixels, tmp_path):
    from keras_resnet.export.formats.tflite import write_tflite
    from keras_resnet.export.tflite_metadata import write_metadata

    run, _ = exported
    file = tmp_path / "batch4.tflite"
    write_tflite(load_model(run), TFLiteOptions(SCHEMES["float32"], "uint8", batch=4), None, file)
    write_metadata(file, load_file(run.exports / "float32.tflite").card, 0.0)
    expected = load_file(run.exports / "float32.tflite")(pixels[:10])
    np.testing.assert_allclose(load_file(file)(pixels[:10]), expected, atol=1e-4)


def test_the_card_is_in_every_file(exported):
    run, verdicts = exported
    for name in verdicts:
        path = run.exports / name
        told = inspect_file(path)
        assert told["labels"] == list(run.classes()) and told["run"] == run.name
        assert (told["resize"], told["image_size"]) == (8, 8) and told["normalization"][
            "applied"
        ] == "by the model itself, to raw pixels"
    assert inspect_file(run.exports / "int8.tflite")["calibration_sha256"] == verdicts["int8.tflite"].calibration_sha256
    calibration = json.loads((run.exports / "calibration.json").read_text())
    assert calibration["sha256"] == verdicts["int8.tflite"].calibration_sha256 and calibration["images"] == 202


def test_a_file_scores_what_its_verdict_says(exported, runs):
    run, verdicts = exported
    again = verify_file(run.exports / "int8.tflite", Budget(0.01), RunLookup(runs), silent, 200)
    first = verdicts["int8.tflite"]
    assert (again.value, again.drop, again.agreement) == (first.value, first.drop, first.agreement)
    of_run = evaluate_target(run.name, "validation", RunLookup(runs), silent)
    assert of_run["value"] == of_run["metrics"]["top1"] == run.metrics()["value"]
    assert of_run["metrics"]["macro_recall"] == run.metrics()["macro_recall"]
    whole = evaluate_target(str(run.exports / "int8.tflite"), "validation", RunLookup(runs), silent)
    assert whole["samples"] == 360 and whole["value"] >= 0.94


def test_a_saved_model_serves_encoded_images(exported, pixels):
    """In a clean process, from the JSON that TensorFlow Serving's REST interface takes to the one it gives."""
    run, _ = exported
    encoded = []
    for image in pixels[:5]:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        encoded.append({"images": {"b64": base64.b64encode(buffer.getvalue()).decode()}})
    code = (
        "import base64, json, sys\nimport tensorflow as tf\n"
        "request = json.load(sys.stdin)\n"
        "serve = tf.saved_model.load(sys.argv[1]).signatures[request['signature_name']]\n"
        "images = tf.constant([base64.b64decode(each['images']['b64']) for each in request['instances']])\n"
        "given = {name: value.numpy().tolist() for name, value in serve(images=images).items()}\n"
        "print(json.dumps({'predictions': [dict(zip(given, each)) for each in zip(*given.values())]}))"
    )
    request = json.dumps({"signature_name": "serve_bytes", "instances": encoded})
    command = [sys.executable, "-c", code, str(run.exports / "saved_model")]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=True)
    answers = json.loads(done.stdout)["predictions"]
    expected = load_file(run.exports / "float32.tflite")(pixels[:5])
    np.testing.assert_allclose([each["logits"] for each in answers], expected, atol=1e-3)
    np.testing.assert_allclose([sum(each["probabilities"]) for each in answers], 1, atol=1e-5)


def test_c_source_compiles_to_the_same_bytes(exported, tmp_path):
    run, _ = exported
    source = run.exports / "c_array" / "kresnet_model.c"
    assert read_c_array(source)[4:8] == b"TFL3"
    if compiler := shutil.which("cc"):
        main = '#include <stdio.h>\n#include "kresnet_model.h"\n'
        main += "int main(void) { fwrite(kresnet_model, 1, kresnet_model_len, stdout); return 0; }\n"
        (tmp_path / "main.c").write_text(main)
        built = [
            compiler,
            "-I",
            str(source.parent),
            str(tmp_path / "main.c"),
            str(source),
            "-o",
            str(tmp_path / "main"),
        ]
        subprocess.run(built, check=True)
        assert subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout == read_c_array(source)
    torn = tmp_path / "kresnet_model.c"
    torn.write_text(source.read_text()[:-40])
    with pytest.raises(ExportError, match="does not hold a whole file"):
        read_c_array(torn)


def test_c_array_round_trip(tmp_path):
    content = bytes(range(256)) * 3 + b"\x00"
    assert read_c_array(write_c_array(content, tmp_path)) == content


def test_a_file_that_lost_too_much_is_kept_apart(exported, tmp_path, monkeypatch):
    run, _ = exported
    copy = copied(run, tmp_path)
    genuine = writing.verify

    def against_a_better_model(file, reference, *budget, **options):
        correct = np.ones_like(reference.evaluation.metrics.correct)
        by_class = dict.fromkeys(reference.evaluation.metrics.by_class, 1.0)
        perfect = replace(reference.evaluation, metrics=Metrics({"top1": 1.0}, by_class, correct=correct))
        return genuine(file, replace(reference, evaluation=perfect), *budget, **options)

    monkeypatch.setattr(writing, "verify", against_a_better_model)
    wanted = ExportRequest(tflite=(TFLiteOptions(SCHEMES["float32"], "uint8"),), formats=("c-array",), max_drop=0)
    verdicts = pipeline.export(copy, wanted, silent)
    assert {v.verdict for v in verdicts} == {"FAILED"}
    assert sorted(p.name for p in copy.rejected.iterdir()) == ["c_array", "float32.tflite"]
    assert not (copy.exports / "float32.tflite").exists() and not (copy.exports / "c_array").exists()
    rejected = {row["file"] for row in copy.verdicts() if row["verdict"] == "FAILED"}
    assert rejected == {"rejected/float32.tflite", "rejected/c_array"}
    assert "int8.tflite" in {row["file"] for row in copy.verdicts()}


def test_a_failed_conversion_names_its_log(exported, tmp_path):
    run, log = exported[0], tmp_path / "int8.log"
    conversion = Conversion(load_file(run.exports / "float32.tflite").card)
    (tmp_path / "model.keras").write_bytes(b"not a model")
    with pytest.raises(ExportError, match=f"failed .exit code 1.; its output is in {log}"):
        convert(tmp_path / "model.keras", get_format("savedmodel"), conversion, tmp_path / "out", log)
    assert "Traceback" in log.read_text() and not (tmp_path / "out").exists()


def test_the_folder_is_all_a_device_needs(exported, tmp_path):
    """The script runs by itself, on reference outputs and on an image file."""
    run, _ = exported
    folder = run.exports
    assert (folder / "labels.txt").read_text() == run.labels_file.read_text()
    card = (folder / "model_card.md").read_text()
    assert "int8.tflite" in card and "resnet8" in card and "Labels: 0, 1, 2" in card
    script = (folder / "classify.py").read_text()
    assert len(script.splitlines()) < 150  # short enough to be read before it is used
    code = "import sys; sys.modules['keras_resnet'] = sys.modules['tensorflow'] = None; sys.argv = sys.argv[1:]; {}"
    code = code.format(f"exec(compile({script!r}, 'classify.py', 'exec'))")
    done = []
    for arguments in (["--golden", str(folder / "golden.npz")], [str(tmp_path / "x.png")]):
        Image.fromarray(np.zeros((9, 12), np.uint8)).save(tmp_path / "x.png")
        command = [sys.executable, "-c", code, "classify.py", str(folder / "int8.tflite"), *arguments]
        done.append(subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout)
    assert "16 of 16 predictions as expected; largest difference of a logit: 0" in done[0]
    assert "x.png: " in done[1] and done[1].count("%") == 5


def test_prediction_needs_no_tensorflow(exported, tmp_path):
    run, _ = exported
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "x.png")
    arguments = ["predict", str(run.exports / "int8.tflite"), str(tmp_path / "x.png"), "--json"]
    code = (
        "import sys\nfrom keras_resnet.cli import main as commands\n"
        f"code = commands.run_command({arguments!r})\n"
        "assert code == 0 and not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert len(answer["predictions"]) == 5
    shares = [p["probability"] for p in answer["predictions"]]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1.0001


def count_scales(file):
    """The most scales that one tensor has."""
    tensors = unpack_model(file.read_bytes()).subgraphs[0].tensors
    return max(len(each.quantization.scale) for each in tensors if each.quantization.scale is not None)


def test_accelerators(exported, kresnet, tmp_path, runs):
    run, _ = exported
    edge_tpu = ACCELERATORS["edgetpu"]
    found = edge_tpu.check(run.exports / "int8.tflite", tmp_path)
    assert 0.8 < found.accepted < 1 and all("pads channels (shortcut A)" in why for why in found.refused)
    from keras_resnet.config.spec import NetworkSpec, Normalization
    from keras_resnet.export.formats.tflite import write_tflite
    from keras_resnet.models import build
    from keras_resnet.models.layers import Layers

    network = NetworkSpec(8, shortcut="B", zero_gamma=False)
    model = build.build_classifier(
        Layers(keras), network, classes=3, input_shape=(8, 8, 3), normalization=Normalization()
    )
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    write_tflite(model, TFLiteOptions(SCHEMES["int8"], "int8"), images, tmp_path / "b.tflite")
    assert edge_tpu.check(tmp_path / "b.tflite", tmp_path).refused == ()
    newer = unpack_model((tmp_path / "b.tflite").read_bytes())
    next(each for each in newer.operatorCodes if each.builtinCode == schema.BuiltinOperator.CONV_2D).version = 6
    (tmp_path / "newer.tflite").write_bytes(pack_model(newer))
    refused = edge_tpu.check(tmp_path / "newer.tflite", tmp_path).refused
    assert refused and all("version 6 of the operator; its compiler knows up to 5" in why for why in refused)
    one_scale = TFLiteOptions(SCHEMES["int8"], "int8", per_tensor=True)
    write_tflite(model, one_scale, images, tmp_path / "per-tensor.tflite")
    assert one_scale.name == "int8-per-tensor-int8-io" and TFLiteOptions.from_dict(one_scale.to_dict()) == one_scale
    assert count_scales(tmp_path / "per-tensor.tflite") == 1 < count_scales(tmp_path / "b.tflite")
    write_tflite(model, TFLiteOptions(SCHEMES["float32"], "uint8"), None, tmp_path / "float.tflite")
    assert any("not in 8 bits" in why for why in edge_tpu.check(tmp_path / "float.tflite", tmp_path).refused)
    for options, words in (
        (["--tflite", "--target", "ethos-u55-129"], "Did you mean 'ethos-u55-128'"),
        (["--tflite", "--quantize", "float32", "--target", "edgetpu"], "None is asked for"),
    ):
        code, out, err = kresnet("export", run.name, "--runs", runs, *options)
        assert (code, out) == (2, "") and words in err[-1]


@pytest.mark.slow
def test_ethos_takes_all(exported, tmp_path):
    pytest.importorskip("ethosu", reason="needs the extra ethos")
    found = ACCELERATORS["ethos-u55-128"].check(exported[0].exports / "int8.tflite", tmp_path)
    assert found.accepted == 1 and found.refused == () and found.estimates["sram_kib"] > 0
    assert (tmp_path / found.compiled).stat().st_size > 1000


def test_an_export_shows_which_file_it_is_at(monkeypatch, tmp_path):
    shown = []

    def display(total, words, unit):
        shown.append(words)
        return nullcontext(lambda steps, words: None)

    files = [SimpleNamespace(name=name, format=SimpleNamespace(runs_here=True)) for name in ("a.tflite", "b.onnx")]
    run = SimpleNamespace(verdict_rows=list, unverified=list, exports=tmp_path)
    context = ExportContext(run, None, None, None, None, None, silent)
    monkeypatch.setattr(RunWriter, "writing", lambda writer, target: nullcontext(lambda: None))
    monkeypatch.setattr(ExportContext, "_verify", lambda context, writing: writing.writer.file.name)
    former = progress.set_display(display)
    try:
        result = context.export_all(SimpleNamespace(files=lambda run: files))
    finally:
        progress.set_display(former)
    assert result.verdicts == ["a.tflite", "b.onnx"]
    assert shown == ["exporting a.tflite, file 1 of 2", "exporting b.onnx, file 2 of 2"]
