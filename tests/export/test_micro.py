"""What is said of TensorFlow Lite Micro at export is what tflite-micro does."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from samples import silent

from keras_resnet.cli.export import _is_for_microcontrollers
from keras_resnet.cli.verdict_tables import print_verdicts
from keras_resnet.export import micro_needs
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.devices.places import find_places
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.micro_needs import NOT_INSTALLED, measure_needs
from keras_resnet.export.micro_operators import KERNELS, find_unsupported, name_method, write_resolver
from keras_resnet.export.settings import ExportSettings
from keras_resnet.reporting.microcontroller import describe_all_needs
from keras_resnet.run import Run

# As micro_mutable_op_resolver.h of tflite-micro declares them: those of our files, and those that follow no rule.
METHODS = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "BATCH_TO_SPACE_ND": "AddBatchToSpaceNd",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "CUMSUM": "AddCumSum",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "DEQUANTIZE": "AddDequantize",
    "FULLY_CONNECTED": "AddFullyConnected",
    "L2_POOL_2D": "AddL2Pool2D",
    "LOGISTIC": "AddLogistic",
    "LOG_SOFTMAX": "AddLogSoftmax",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MUL": "AddMul",
    "PAD": "AddPad",
    "PADV2": "AddPadV2",
    "QUANTIZE": "AddQuantize",
    "RELU6": "AddRelu6",
    "RESHAPE": "AddReshape",
    "RESIZE_NEAREST_NEIGHBOR": "AddResizeNearestNeighbor",
    "SPLIT_V": "AddSplitV",
    "STRIDED_SLICE": "AddStridedSlice",
    "SVDF": "AddSvdf",
    "TRANSPOSE_CONV": "AddTransposeConv",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}


@pytest.fixture(scope="module")
def tflm():
    """The module that runs TensorFlow Lite Micro."""
    return pytest.importorskip("tflite_micro.python.tflite_micro.runtime")


@pytest.fixture(scope="module")
def content(exported):
    """The bytes of an int8 file."""
    return (exported[0].exports / "int8.tflite").read_bytes()


@pytest.fixture(scope="module")
def needs(content):
    """What it needs."""
    return measure_needs(content, read_contents(content), 1)


# Too small an arena ends the process.
RUN = """
import sys
import numpy as np
from tflite_micro.python.tflite_micro.runtime import Interpreter
interpreter = Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))
interpreter.set_input(np.load(sys.argv[3])[:1], 0)
interpreter.invoke()
print(interpreter.get_output(0).tolist())
"""


def test_an_arena_of_the_bytes_told_is_enough_and_none_smaller_is(tflm, exported, needs, pixels, tmp_path):
    np.save(tmp_path / "pixels.npy", pixels)

    def run(size):
        file = exported[0].exports / "int8.tflite"
        command = [sys.executable, "-c", RUN, str(file), str(size), str(tmp_path / "pixels.npy")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    exact, ample = run(needs.arena_bytes), run(10 * needs.arena_bytes)
    assert exact.returncode == 0 and exact.stdout and exact.stdout == ample.stdout
    assert run(needs.arena_bytes - 64).returncode != 0  # the first byte may be aligned or not


def test_large_images_need_more_than_large_files(tflm, tmp_path):
    """A convolution over 512 × 512 pixels, in a file of few bytes."""
    import keras
    import tensorflow as tf

    inputs = keras.Input((512, 512, 3), batch_size=1)
    model = keras.Model(inputs, keras.layers.Conv2D(16, 3, strides=2, padding="same")(inputs))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[np.random.default_rng(0).random((1, 512, 512, 3), np.float32)]]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    content = converter.convert()
    needs = measure_needs(content, read_contents(content), 1)
    assert needs.arena_bytes > 512 * 512 * 3 > 10 * len(content)


def exact_logits(reference):
    """What the last layer of a file gives before it is rounded, in steps of its output."""
    (layer,) = [op for op in reference._get_ops_details() if op["op_name"] == "FULLY_CONNECTED"]
    details = {each["index"]: each for each in reference.get_tensor_details()}
    taken, weights, bias = (int(index) for index in layer["inputs"])
    (scale, zero), (step, middle) = details[taken]["quantization"], details[int(layer["outputs"][0])]["quantization"]
    pixels, kernel = (reference.get_tensor(index).astype(np.int64) for index in (taken, weights))
    sums = kernel @ (pixels.ravel() - zero) + reference.get_tensor(bias)
    return sums * float(scale) * details[weights]["quantization_parameters"]["scales"].astype(float) / step + middle


def test_outputs_equal_those_of_reference_kernels_bit_for_bit(tflm, exported, pixels):
    """But where a number of the last layer is halfway between two steps: TensorFlow Lite Micro rounds twice there."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from keras_resnet.export.load import load_file

    content = load_file(exported[0].exports / "c_array").content
    kernels = OpResolverType.BUILTIN_REF
    reference = Interpreter(
        model_content=content, experimental_op_resolver_type=kernels, experimental_preserve_all_tensors=True
    )
    reference.allocate_tensors()
    micro = tflm.Interpreter.from_bytes(content)
    taken, given = reference.get_input_details()[0], reference.get_output_details()[0]
    equal = []
    for image in pixels[:20]:
        shifted = (image[None].astype(np.int16) - 128).astype(np.int8)
        reference.set_tensor(taken["index"], shifted)
        reference.invoke()
        micro.set_input(shifted, 0)
        micro.invoke()
        found, expected = micro.get_output(0)[0], reference.get_tensor(given["index"])[0]
        halfway = np.abs(exact_logits(reference) % 1 - 0.5) < 0.01
        np.testing.assert_array_equal(found[~halfway], expected[~halfway])
        np.testing.assert_allclose(found, expected, atol=1)
        equal.append(found == expected)
    assert np.mean(equal) > 0.95


def test_methods_are_named_as_the_library_has_them():
    assert {operator: name_method(operator) for operator in METHODS} == METHODS
    assert write_resolver(["CONV_2D", "ADD"]) == (
        "static tflite::MicroMutableOpResolver<2> resolver;",
        "resolver.AddAdd();",
        "resolver.AddConv2D();",
    )
    assert write_resolver(["CONV_2D", "TILE"]) == () and find_unsupported(["CONV_2D", "TILE"]) == ("TILE",)


def test_each_kernel_is_in_the_library(tflm):
    library = importlib.util.find_spec("tflite_micro.python.tflite_micro._runtime").origin
    with open(library, "rb") as file:
        symbols = set(re.findall(rb"\d+Register_([A-Z0-9_]+)Ev", file.read()))
    assert {symbol.decode() for symbol in symbols} >= KERNELS


def test_verdicts_tell_it_of_8_bit_files_of_fixed_batch(exported, tflm):
    run, verdicts = exported
    rows = {row["file"]: row for row in run.verdicts()}
    told = {name for name, verdict in verdicts.items() if verdict.micro}
    assert {"int8.tflite", "c_array"} <= told and told.isdisjoint({"float32.tflite", "savedmodel", "onnx.onnx"})
    assert not any("dynamic" in name for name in told)
    for name in ("int8.tflite", "c_array"):
        needs = rows[name]["micro"]
        assert needs["arena_bytes"] > 4096 and needs["flash_bytes"] == rows[name]["bytes"]
        assert set(needs["operators"]) == set(rows[name]["operators"])


def test_header_card_and_report_say_the_same(exported, tflm):
    run, verdicts = exported
    needs = verdicts["c_array"].micro
    header = (run.exports / "c_array" / "kresnet_model.h").read_text()
    arena = f"arena: {needs.arena_bytes:,} bytes"
    assert f"// {arena}\n" in header and "".join(f"// {line}\n" for line in needs.resolver) in header
    card = (run.exports / "model_card.md").read_text()
    assert "\n".join(("```cpp", *needs.resolver, "```")) in card and f"arena {needs.arena_bytes:,} bytes" in card
    lines = describe_all_needs([verdict.as_dict() for verdict in verdicts.values()])
    assert sum("arena" in line and "c_array" in line for line in lines) == 1
    assert sum(line.startswith("arena: measured with reference kernels") for line in lines) == 1


def test_without_the_package_all_but_the_arena_is_told(content, monkeypatch):
    monkeypatch.setattr(micro_needs.importlib.util, "find_spec", lambda name: None)
    needs = measure_needs(content, read_contents(content), 1)
    assert needs.arena_bytes is None and needs.arena_unknown == NOT_INSTALLED and needs.resolver
    (memory, _) = describe_all_needs([{"file": "int8.tflite", "micro": asdict(needs)}])
    assert memory.endswith(f"arena unknown, because {NOT_INSTALLED}")


def test_a_file_that_cannot_be_run_is_no_failure(content, monkeypatch):
    """Neither a damaged one, nor one that takes any number of images."""
    contents = read_contents(content)
    assert measure_needs(content, contents, None) is None
    damaged = measure_needs(content[: len(content) // 2], contents, 1)
    assert damaged.arena_bytes is None and damaged.arena_unknown


def test_the_verdict_of_a_whole_run(kresnet, exported, tflm, tmp_path):
    run = Run(shutil.copytree(exported[0].folder, tmp_path / exported[0].name))
    file = run.exports / "int8.tflite"
    code, printed, _ = kresnet("verify", file, "--on", "tflm", "--samples", 30, "--runs", tmp_path, "--json")
    (row,) = json.loads(printed)
    assert code == 0 and row["cpu_agreement"] >= 0.9 and row["latency_ms"] is None
    (at_export,) = [each["micro"] for each in run.verdicts() if each["file"] == "int8.tflite"]
    assert row["device"]["arena_bytes"] == pytest.approx(at_export["arena_bytes"], abs=64)  # by alignment
    assert row["device"]["runtime"].startswith("tflite-micro")
    (kept,) = run.device_verdicts()
    assert kept["device"]["where"] == "tflm"


@pytest.mark.slow
def test_a_segmenter_gets_a_verdict(kresnet, segmented, tflm, tmp_path):
    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import build_tflite_options

    run = Run(shutil.copytree(segmented.folder, tmp_path / segmented.name))
    tflite = tuple(build_tflite_options(("int8",)))
    (verdict,) = export(run, ExportRequest(tflite=tflite, max_drop=100, samples=8), silent)
    options = ("--samples", 8, "--max-drop", 100, "--runs", tmp_path)
    code, printed, errors = kresnet("verify", run.exports / "int8.tflite", "--on", "tflm", *options, "--json")
    (row,) = json.loads(printed)
    assert code == 0 and verdict.micro.unsupported == () and row["cpu_agreement"] > 0.9, errors


def named(out):
    """The files whose operators the C++ in `out` registers."""
    return {line.partition(": static")[0] for line in out.splitlines() if ": static tflite::Micro" in line}


def test_the_terminal_tells_it_where_microcontrollers_are_asked_for(exported, capsys):
    verdicts = [exported[1][name] for name in ("float32.tflite", "int8.tflite", "c_array")]
    for shown, asked, files in (
        (verdicts[:2], False, set()),
        (verdicts[:2], True, {"int8.tflite"}),
        (verdicts, False, {"c_array"}),
        (verdicts, True, {"int8.tflite", "c_array"}),
    ):
        print_verdicts("", shown, False, asked)
        out = capsys.readouterr().out
        assert named(out) == files and ("TensorFlow Lite Micro" in out) == bool(files)


@pytest.mark.parametrize(
    ("target", "on", "asked"),
    [
        ((), (), False),
        (("edgetpu", "qualcomm-sm8750"), ("local",), False),
        (("edgetpu", "ethos-u55-128"), (), True),
        ((), ("local", "tflm"), True),
    ],
)
def test_which_chips_are_microcontrollers(target, on, asked):
    assert _is_for_microcontrollers(ExportSettings(target=target), find_places(DeviceSettings(on))) == asked


def test_inspect_tells_it_of_8_bit_files(exported, kresnet, needs):
    folder = exported[0].exports
    code, out, _ = kresnet("inspect", folder / "int8.tflite")
    assert code == 0 and named(out) == {"int8.tflite"} and f"flash {needs.flash_bytes:,} bytes" in out
    assert not re.search(r"\d\.\d{8}", out)  # six digits of a mean or a scale
    code, out, _ = kresnet("inspect", folder / "float32.tflite")
    assert code == 0 and "Micro" not in out
    code, out, _ = kresnet("inspect", folder / "int8.tflite", "--json")
    assert json.loads(out)["micro"] == json.loads(json.dumps(asdict(needs)))
    assert json.loads(kresnet("inspect", folder / "model.onnx", "--json")[1])["micro"] is None
