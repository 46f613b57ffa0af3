"""OpenVINO's files, .tflite files that it runs, and 8-bit ONNX files, each against the plain runtime."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from exports import copied
from hurt_networks import hurt
from PIL import Image
from samples import silent

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.evaluation.evaluate import evaluation_batches, load_model
from keras_resnet.export.calibration import build_calibration
from keras_resnet.export.load import load_file
from keras_resnet.export.pipeline import export, load_run_data
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.settings import ExportSettings
from keras_resnet.runtime.openvino_model import OpenVINOModel
from keras_resnet.runtime.tflite_model import TFLiteModel

openvino = pytest.importorskip("openvino")
FILES = ("openvino-float16", "openvino-int8", "model-int8.onnx")


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """A run with such files alone, and their verdicts."""
    from keras_resnet.run import Run

    run = Run(shutil.copytree(trained.folder, tmp_path_factory.mktemp("openvino") / "resnet8-digits"))
    shutil.rmtree(run.exports, ignore_errors=True)
    wanted = [
        ExportRequest(formats=("openvino",), samples=200),
        ExportRequest(formats=("onnx",), schemes=("int8",), samples=200),
    ]
    verdicts = [each for request in wanted for each in export(run, request, silent)]
    return run, {verdict.file: verdict for verdict in verdicts}


@pytest.fixture(scope="module")
def validation(trained):
    """All validation images and their labels."""
    batches = [
        (np.asarray(images), np.asarray(labels))
        for images, labels in evaluation_batches(load_run_data(trained, silent))
    ]
    return tuple(np.concatenate(each) for each in zip(*batches, strict=True))


def compute_plainly(path, images):
    """The logits by a file's own runtime, without kresnet."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (found,) = session.run(["logits"], {"pixels": images.astype(np.float32)})
        return found
    return openvino.Core().compile_model(str(path / "model.xml"), "CPU")({"pixels": images})["logits"]


def test_each_file_is_written_with_its_verdict(written):
    run, verdicts = written
    assert tuple(verdicts) == FILES and all(verdict.passed for verdict in verdicts.values())
    assert [each["file"] for each in json.loads(run.verdicts_file.read_text())] == list(FILES)
    int8, float16 = (
        (run.exports / name / "model.bin").stat().st_size for name in ("openvino-int8", "openvino-float16")
    )
    assert 0.5 * float16 < int8 < 0.6 * float16


@pytest.mark.slow
def test_accuracy_control_leaves_layers_in_float(written, tmp_path):
    """Of a network that 8 bits hurt, until hardly a prediction for the calibration images changes."""
    run = copied(written[0], tmp_path / "hurt")
    model = load_model(run)
    hurt(model)
    run.write_with(run.model_file, model.save)

    def write(**options):
        settings = ExportSettings(formats=("openvino",), quantize=("int8",), max_drop=1.0, **options)
        (verdict,) = export(run, ExportRequest.from_settings(settings, run), silent)
        return verdict

    images = build_calibration(load_run_data(run, silent)).images
    expected = model.predict(images.astype(np.float32), verbose=0).argmax(axis=1)

    def kept(verdict):
        return (compute_plainly(run.exports / verdict.file, images).argmax(axis=1) == expected).mean()

    plain, controlled = write(), write(accuracy_control=True)
    assert controlled.file.endswith("openvino-int8-controlled") and controlled.bytes > 1.1 * plain.bytes
    assert kept(plain) < 0.97 and kept(controlled) >= 0.99


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ExportSettings(formats=("onnx",), quantize=("int8",)), "is for OpenVINO's int8 files: --openvino"),
        (ExportSettings(formats=("openvino",), quantize=("float16",)), "None is asked for"),
        (ExportSettings(), "None is asked for"),
    ],
)
def test_accuracy_control_is_refused_where_it_has_no_effect(trained, settings, words):
    with pytest.raises(UsageError, match=words):
        ExportRequest.from_settings(replace(settings, accuracy_control=True), trained)


@pytest.mark.parametrize("name", FILES)
def test_a_clean_script_gets_the_accuracy_of_the_verdict(written, name):
    run, verdicts = written
    verdict, path = verdicts[name], run.exports / name
    from keras_resnet.export.verify import draw_samples

    data = draw_samples(load_run_data(run, silent), verdict.samples)
    batches = [(np.asarray(images), np.asarray(labels)) for images, labels in evaluation_batches(data)]
    right = sum(int((compute_plainly(path, images).argmax(1) == labels).sum()) for images, labels in batches)
    assert right / verdict.samples == pytest.approx(verdict.value)


@pytest.mark.parametrize("name", FILES)
def test_any_number_of_images_at_a_time(written, validation, name):
    run, _ = written
    model, images = load_file(run.exports / name, threads=1), validation[0][:5]
    assert model.card.classes == tuple(map(str, range(10))) and model.threads == 1
    assert np.array_equal(model(images).argmax(1), np.concatenate([model(each[None]) for each in images]).argmax(1))


def test_eight_bits_are_eight_bits(written):
    run, _ = written
    import onnx

    graph = onnx.load(str(run.exports / "model-int8.onnx")).graph
    weights = {each.name: each for each in graph.initializer}
    operators = Counter(node.op_type for node in graph.node)
    assert operators["QuantizeLinear"] and operators["DequantizeLinear"] > operators["Conv"] > 5
    for node in (each for each in graph.node if each.op_type == "DequantizeLinear" and each.input[0] in weights):
        values, scale = (onnx.numpy_helper.to_array(weights[name]) for name in node.input[:2])
        assert values.ndim < 4 or (
            values.dtype == np.int8 and scale.shape == (values.shape[0],)
        )  # one for each channel
        assert values.dtype in (np.int8, np.uint8, np.int32)
        # Two products of such a weight and a uint8 value fit into 16 bits, in which processors without VNNI add them.
        assert values.ndim < 4 or 2 * 255 * np.abs(values.astype(int)).max() <= np.iinfo(np.int16).max
    network = openvino.Core().read_model(str(run.exports / "openvino-int8" / "model.xml"))
    assert sum(node.get_type_name() == "FakeQuantize" for node in network.get_ops()) > 5


def test_openvino_runs_tflite_files_as_they_are(exported, validation):
    run, _ = exported
    images = validation[0][:64]
    for name in ("float32.tflite", "int8.tflite", "dynamic-float-io-batches.tflite"):
        ours, theirs = TFLiteModel(run.exports / name)(images), OpenVINOModel(run.exports / name)(images)
        assert ours.shape == theirs.shape == (64, 10)
        assert (ours.argmax(1) == theirs.argmax(1)).mean() > 0.95
        # OpenVINO rounds 8-bit values by rules of its own, which differ from one processor to another.
        assert np.abs(ours - theirs).mean() < 0.03 * np.ptp(ours)


def test_the_edge_command_runs_openvino(exported, validation, capsys, tmp_path):
    from keras_resnet.runtime.cli import main

    (run, _), image = exported, tmp_path / "digit.png"
    Image.fromarray(validation[0][0].squeeze()).save(image)
    assert main(["predict", str(run.exports / "int8.tflite"), str(image), "--runtime", "openvino", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 5
    assert main(["predict", str(run.exports / "c_array" / "kresnet_model.c"), str(image), "--runtime", "openvino"]) == 2
    assert "the runtime openvino is for .tflite files" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [10, 1000, -10])
def test_a_damaged_network_is_refused(written, tmp_path, cut):
    run, _ = written
    folder = shutil.copytree(run.exports / "openvino-float16", tmp_path / "network")
    content = (folder / "model.xml").read_bytes()
    (folder / "model.xml").write_bytes(content[:cut])
    with pytest.raises(ExportError, match=r"model\.xml"):
        load_file(folder)


def test_a_network_of_others_is_refused(written, tmp_path):
    run, _ = written
    folder = shutil.copytree(run.exports / "openvino-float16", tmp_path / "network")
    text = (folder / "model.xml").read_text()
    (folder / "model.xml").write_text(text.replace("<kresnet>", "<other>").replace("</kresnet>", "</other>"))
    with pytest.raises(ExportError, match="was not exported by kresnet"):
        load_file(folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--openvino", "--quantize", "dynamic"],
            "of OpenVINO must be one of float16, float32, int8. Received: dynamic",
        ),
        (["--onnx", "--quantize", "int16x8"], "--quantize of ONNX must be one of float32, int8. Received: int16x8"),
        (
            ["--savedmodel", "--quantize", "int8"],
            "--quantize of SavedModel has no effect, because the files are always float32",
        ),
    ],
)
def test_bad_schemes(kresnet, trained, options, words):
    code, out, err = kresnet("export", trained.folder, *options)
    assert (code, out) == (2, "") and len(err) == 1 and words in err[0]


def test_a_missing_package_is_named(exported, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(UsageError, match="OpenVINO is not installed: pip install openvino"):
        OpenVINOModel(exported[0].exports / "int8.tflite")


def test_a_format_without_the_schemes_asked_for_writes_its_usual_files(trained):
    settings = ExportSettings(formats=("tflite", "onnx", "openvino"), quantize=("dynamic", "int8"))
    files = [each.name for each in ExportRequest.from_settings(settings, trained).files(trained)]
    assert files == ["dynamic.tflite", "int8.tflite", "model-int8.onnx", "openvino-int8"]
    settings = ExportSettings(formats=("tflite", "onnx"), quantize=("dynamic",))
    files = [each.name for each in ExportRequest.from_settings(settings, trained).files(trained)]
    assert files == ["dynamic.tflite", "model.onnx"]
