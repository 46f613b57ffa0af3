"""Files on devices: what a process at the other end of two pipes computes, and what happens where it fails."""

import json
import re
import shlex
import shutil
import sys
import time
import venv
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.errors import ExportError
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.devices import find_device
from keras_resnet.export.devices.base import RunSettings
from keras_resnet.export.devices.places import UsablePlaces, find_places
from keras_resnet.export.devices.runner.runtime_log import RuntimeLog
from keras_resnet.export.load import load_file
from keras_resnet.run import Run

BROKEN = Path(__file__).parents[1] / "support" / "broken_device.py"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(exported):
    return load_file(exported[0].exports / "int8.tflite")


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """fault → --on of a device that has it."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return lambda fault: shlex.join([sys.executable, str(BROKEN), fault, str(tmp_path)])


def run_on(where, model, pixels, **settings):
    """(outputs of `pixels` in three batches, the measurement) of the device `where`, and what was logged."""
    lines = []
    with find_device(where).open(model, RunSettings(**settings), lines.append) as session:
        outputs = np.concatenate([session(part) for part in np.array_split(pixels, 3)])
        return outputs, session.measure(pixels[:4]), lines


@pytest.mark.parametrize("where", ["local", shlex.join(["env", sys.executable])])
def test_a_device_computes_what_this_cpu_does(model, pixels, where):
    outputs, measurement, _ = run_on(where, model, pixels, threads=1)
    np.testing.assert_array_equal(outputs, model(pixels))
    facts, (latency,) = measurement.facts, measurement.cost.latencies
    assert (facts.where, facts.accelerator, facts.emulated) == (where, "cpu", False)
    assert latency.threads == 1 and 0 < latency.p50 <= latency.p90 <= latency.p99
    assert measurement.cost.first_ms > facts.load_ms > 0 and measurement.cost.peak_mib > 0
    assert facts.repeat_difference == 0 and facts.repeats_agree and facts.runtime.startswith("ai-edge-litert 2")


def test_a_compiled_model_computes_the_same(model, pixels):
    outputs, measurement, _ = run_on("local", model, pixels, runtime="compiled-model")
    np.testing.assert_array_equal(outputs, model(pixels))
    assert not measurement.facts.fully_accelerated


def test_a_broken_connection_is_made_again(model, pixels, broken):
    outputs, _, lines = run_on(broken("dies once"), model, pixels)
    np.testing.assert_array_equal(outputs, model(pixels))
    (line,) = lines
    assert "broke after 1 batch (" in line and line.endswith("connecting again")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("lying checksum", "the outputs arrived damaged: the checksum is another one"),
        ("other shape", "the runner sent outputs that cannot be read: their number is another one than"),
        ("fewer numbers", "the runner sent outputs that cannot be read: their number is another one than"),
        ("other outputs", "outputs are logits (5 × 2); those of the file are logits (10)"),
        ("other part", "the runner answered part 1 where part 0 was asked"),
        ("older runner", "its runner speaks version 0 of the protocol, this kresnet version 1"),
        ("other file", "the runtime cannot open the file"),
        ("no such field", "the runner sent measurements that cannot be read: 'load_ms'"),
        ("chatters", "something else than the runner's answer arrived, 'Welcome to Debian"),
    ],
)
def test_a_fault_is_one_sentence(model, pixels, broken, fault, words):
    with pytest.raises(ExportError) as caught:
        run_on(broken(fault), model, pixels)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", ["greets", "greets in the same line"])
def test_what_a_login_prints_is_left_out_and_logged(model, pixels, broken, fault):
    where, lines = broken(fault), []
    np.testing.assert_array_equal(run_on(where, model, pixels)[0], model(pixels))
    UsablePlaces.test(find_places(DeviceSettings(on=(where,))), lines.append)
    assert lines == [f"left out what {where} printed before it answered: Welcome to Debian"]


def test_a_slow_device_is_not_waited_for(model, pixels, broken, monkeypatch):
    monkeypatch.setattr("keras_resnet.export.devices.runner_session.PAUSES", ())
    with pytest.raises(ExportError, match="the device is gone after 0 batches: no answer within 8 seconds"):
        run_on(broken("slow"), model, pixels, timeout=8.0)


def test_what_a_script_started_ends_with_it(model, pixels, tmp_path, monkeypatch):
    """It would hold the pipes open."""
    monkeypatch.setattr("keras_resnet.export.devices.runner_session.PAUSES", ())
    script = tmp_path / "to-the-board.sh"
    script.write_text("#!/bin/sh\nsleep 100\n")
    script.chmod(0o700)
    start = time.monotonic()
    with pytest.raises(ExportError, match="no answer within 2 seconds"):
        run_on(f"{script} python3", model, pixels, timeout=2.0)
    assert time.monotonic() - start < 50


def test_a_device_that_dies_again_and_again_is_given_up(model, pixels, broken, monkeypatch):
    monkeypatch.setattr("keras_resnet.export.devices.runner_session.PAUSES", (0.0,))
    with pytest.raises(ExportError, match="the device is gone after 0 batches: "):
        run_on(broken("dies always"), model, pixels)


def test_a_full_disk_of_the_device_is_one_sentence(model, pixels, broken, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "device"))
    with pytest.raises(ExportError, match=r"the file cannot be kept at .*: No space left on device"):
        run_on(broken("disk full"), model, pixels, keep=True)
    assert not [path for path in (tmp_path / "device").rglob("*") if path.is_file()]


def test_nothing_stays_unless_it_is_kept(model, pixels, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "device").mkdir()
    run_on("local", model, pixels)
    assert [path.name for path in tmp_path.rglob("*")] == ["device"]
    run_on("local", model, pixels, keep=True)
    (kept,) = (tmp_path / "device").rglob("*.tflite")
    assert kept.read_bytes() == model.content
    kept.write_bytes(model.content[:-1] + b"x")  # by somebody else: it is sent again
    np.testing.assert_array_equal(run_on("local", model, pixels, keep=True)[0], model(pixels))
    assert kept.read_bytes() == model.content


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("sh -c 'echo Permission denied >&2; exit 255'", "it ended with exit code 255: Permission denied"),
        (
            "sh -c 'printf \"unknown command\\n\\nsee --help\\n\" >&2; exit 1'",
            "it ended with exit code 1: unknown command; see --help",
        ),
        ("sh -c 'seq 9 >&2; exit 1'", "it ended with exit code 1: 9"),
        (
            "sh -c 'echo This account is not available; exit 1'",
            "it ended with exit code 1: This account is not available",
        ),
        ("true", "it ended with exit code 0"),
        ("sh -c 'exit 7'", "it ended with exit code 7"),
        ("sh -c 'kill -9 $$'", "it crashed (SIGKILL)"),
    ],
)
def test_what_cannot_be_reached_says_why(model, pixels, where, words):
    with pytest.raises(ExportError) as caught:
        run_on(where, model, pixels)
    assert str(caught.value) == words


def test_a_device_without_litert_says_how_to_get_it(model, pixels, tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    with pytest.raises(ExportError, match=r"NumPy is not installed for .*bare/bin/python.*--install"):
        run_on(str(tmp_path / "bare" / "bin" / "python"), model, pixels)


@pytest.fixture
def run(exported, tmp_path):
    """A copy of the run, for what writes to it."""
    return Run(shutil.copytree(exported[0].folder, tmp_path / "runs" / "digits"))


def test_the_command_verifies_on_devices(run, kresnet, broken):
    before, runs = len(run.verdicts()), run.folder.parent
    file, on = run.exports / "int8.tflite", ["--on", "local", "--on", broken("dies once"), "--samples", "100"]
    code, out, err = kresnet("verify", file, "--runs", runs, *on, "--json", "--max-drop", "5")
    rows = json.loads(out)
    assert code == 0 and [row["device"]["where"] for row in rows] == ["local", on[3]], err
    assert rows[0]["value"] == rows[1]["value"] and rows[0]["cpu_agreement"] == rows[1]["cpu_agreement"] == 1
    assert rows[0]["drops"] == rows[1]["drops"] and rows[0]["samples"] == 100
    assert len(run.verdicts()) == before and [row["device"]["where"] for row in run.device_verdicts()] == [
        "local",
        on[3],
    ]
    assert "On devices" in run.report_file.read_text() and "local" in (run.exports / "model_card.md").read_text()
    code, out, _ = kresnet("verify", file, "--runs", runs, "--on", "local", "--samples", "100")
    assert len(run.device_verdicts()) == 2 and "as this CPU" in out


@pytest.mark.slow
def test_an_export_opens_the_data_and_evaluates_the_keras_model_once(run, kresnet, monkeypatch):
    from keras_resnet.export import pipeline, verify

    calls = []
    for module, name in ((pipeline, "load_training_data"), (pipeline, "load_model"), (verify, "load_model")):
        genuine = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *given, genuine=genuine, name=name: (calls.append(name), genuine(*given))[1]
        )
    options = ["--on", "local", "--samples", "100", "--max-drop", "5", "--runs", run.folder.parent]
    code, out, err = kresnet("export", run.name, "--quantize", "float32", *options)
    assert code == 0 and calls == ["load_training_data", "load_model"], err
    (verdict,) = run.device_verdicts()
    (own,) = (row for row in run.verdicts() if row["file"] == "float32.tflite")
    assert verdict["file"] == own["file"] and verdict["samples"] == 100 and "as this CPU" in out
    assert (verdict["value"], verdict["model_value"]) == (own["value"], own["model_value"])


def test_one_file_that_fails_fails_the_command(run, kresnet, broken):
    on = ["--on", "local", "--on", "false", "--on", broken("restless"), "--samples", "40", "--max-drop", "50"]
    code, out, err = kresnet("verify", run.exports / "int8.tflite", "--runs", run.folder.parent, *on)
    assert code == 1 and "false could not be reached: it ended with exit code 1" in err[-1]
    assert "gives other outputs each time for the same image" in err[-1] and "PASSED" in out and "FAILED" in out
    assert on[5] in [row["device"]["where"] for row in run.device_verdicts()]


@pytest.mark.parametrize("command", [["verify"], ["export", "--quantize", "float32"]], ids=" ".join)
def test_a_device_that_cannot_be_reached_is_tried_once_before_data_are_read(run, kresnet, monkeypatch, command):
    monkeypatch.setattr("keras_resnet.export.pipeline.load_training_data", lambda *given: pytest.fail("data were read"))
    for module in ("pipeline", "verify"):
        name = f"keras_resnet.export.{module}.load_model"
        monkeypatch.setattr(name, lambda *given: pytest.fail("a model was loaded"))
    tries, written = run.folder / "tries", run.verdicts_file.read_bytes()
    where = f"sh -c 'echo tried >> {tries}; echo no route to host >&2; exit 255'"
    code, out, err = kresnet(*command, run.name, "--runs", run.folder.parent, "--on", where)
    assert (code, out) == (1, "") and tries.read_text() == "tried\n" and run.verdicts_file.read_bytes() == written
    assert err[-1] == f"kresnet: {where} could not be reached: it ended with exit code 255: no route to host"


@pytest.mark.slow
def test_a_device_that_goes_is_given_up_and_others_go_on(run, kresnet, broken, monkeypatch):
    monkeypatch.setattr("keras_resnet.export.devices.runner_session.PAUSES", (0.0,))
    on = ["--on", "false", "--on", broken("goes"), "--on", "local", "--samples", "40", "--max-drop", "50"]
    code, out, err = kresnet("verify", run.name, "--runs", run.folder.parent, *on, "--json")
    rows = json.loads(out)
    assert code == 1 and len(rows) > 2 and {row["device"]["where"] for row in rows} == {"local"}
    assert err[-1].count("false could not be reached: ") == err[-1].count("nothing else is run there") == 1


def test_what_a_browser_needs_here_is_asked_before_data_are_read(run, kresnet, monkeypatch):
    monkeypatch.setattr("keras_resnet.export.devices.chromium.PROGRAMS", ())
    monkeypatch.setattr("keras_resnet.export.demo.page.require_litert_js", lambda: None)
    monkeypatch.setattr("keras_resnet.export.pipeline.load_training_data", lambda *given: pytest.fail("data were read"))
    code, _, err = kresnet("verify", run.name, "--runs", run.folder.parent, "--on", "chromium")
    assert code == 1 and "no file can be run on chromium: there is no Chromium on PATH" in err[-1]


def test_a_file_of_another_format_is_refused_before_data_are_read(run, kresnet, monkeypatch):
    monkeypatch.setattr("keras_resnet.export.pipeline.load_training_data", lambda *given: pytest.fail("data were read"))
    monkeypatch.setattr("keras_resnet.export.evaluate.load_file", lambda file: object())
    (run.exports / "model.onnx").write_bytes(b"an ONNX file")
    code, out, err = kresnet("verify", run.exports / "model.onnx", "--runs", run.folder.parent, "--on", "local")
    assert (code, out) == (2, "") and err == [
        "kresnet: devices run TFLite files alone. Received: model.onnx; without --on and its options, kresnet verify"
        " runs it on this machine's CPU"
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--accelerator", "gpu"], "--accelerator (cpu, gpu or npu) is for files that run on devices: name"),
        (["--minutes", "3"], "--minutes is for files that run on devices: name one, such as this machine: --on local"),
        (["--on", "local", "--accelerator", "tpu"], "--accelerator must be one of cpu, gpu, npu"),
        (["--on", "tflm:gpu"], "--accelerator of tflm must be one of cpu. Received: gpu"),
        (["--on", "local", "--runtime", "onnx"], "--runtime must be one of interpreter, compiled-model"),
        (["--on", "local", "--threads", "0"], "--threads"),
        (["--on", "local", "--keep"], "--keep is for machines that a command reaches; none of --on is one"),
        (["--on", "ssh://pi@host", "--port", "80"], "--port is for browsers; none of --on is one"),
        (["--on", "chromium", "--host", "0.0.0.0"], "--host is for browsers; none of --on is one"),
        (["--on", "ssh://"], "--on must be ssh://USER@HOST or ssh://USER@HOST:PORT. Received: ssh://"),
        (["--on", "local", "--allow-fallback"], "--allow-fallback has an effect only with a GPU or an NPU"),
    ],
)
def test_a_wrong_request_is_exit_code_2(exported, runs, kresnet, options, words):
    code, out, err = kresnet("verify", exported[0].exports / "int8.tflite", "--runs", runs, *options)
    assert (code, out) == (2, "") and words in err[-1]


def test_an_export_without_tflite_files_has_nothing_for_devices(exported, kresnet, monkeypatch):
    monkeypatch.setattr("keras_resnet.export.pipeline.load_run_data", lambda *_: pytest.fail("data were read"))
    run = exported[0]
    code, out, err = kresnet(
        "export", run.name, "--onnx", "--on", "ssh://nobody@nowhere.invalid", "--runs", run.folder.parent
    )
    assert (code, out) == (2, "")
    assert err[-1] == "kresnet: --on runs TFLite files on devices: --tflite. None is asked for"


def test_accelerators_that_are_not_there_are_a_sentence_each(run, kresnet, monkeypatch, tmp_path):
    """For all files of a run at once; on the CPU of the same device they run."""
    monkeypatch.setenv("VK_ICD_FILENAMES", str(tmp_path / "none.json"))
    files = [run.exports / name for name in ("int8.tflite", "float32.tflite")]
    monkeypatch.setattr("keras_resnet.export.run_on_devices.list_files", lambda run: files)
    on = ["--on", "local:gpu,local:npu,local", "--samples", "20", "--max-drop", "50", "--json", "--allow-fallback"]
    code, out, err = kresnet("verify", run.name, "--runs", run.folder.parent, *on)
    assert code == 1 and [row["device"]["accelerator"] for row in json.loads(out)] == ["cpu", "cpu"]
    gpu, npu = re.findall(r"no file can be run on local, .*?; --accelerator cpu runs files on its CPU", err[-1])
    assert "local, GPU: no GPU was found: LiteRT asked Vulkan (Metal on a Mac, Direct3D on Windows) for one" in gpu
    assert "local, NPU: no NPU was found: LiteRT found no dispatch library and compiler plugin of a vendor" in npu
    assert err[-1].count("was found") == 2 and "operators" not in err[-1]


def test_an_accelerator_is_looked_for_before_data_are_read(run, kresnet, monkeypatch):
    monkeypatch.setattr("keras_resnet.export.pipeline.load_training_data", lambda *given: pytest.fail("data were read"))
    monkeypatch.setattr("keras_resnet.export.verify.load_model", lambda *given: pytest.fail("a model was loaded"))
    code, out, err = kresnet("verify", run.name, "--runs", run.folder.parent, "--on", "local:npu")
    assert (code, out) == (1, "") and re.fullmatch(
        r"kresnet: no file can be run on local, NPU: no NPU was found: .*[^.]; --accelerator cpu runs files on its CPU",
        err[-1],
    )


@pytest.mark.parametrize(
    ("lines", "accelerator", "words"),
    [
        (["INFO: [gpu_registry.cc:9] GPU accelerator could not be loaded and registered."], "gpu", "no GPU was found"),
        (["WARNING: [a.cc:1] No dispatch library found in /vendor/lib64"], "npu", r"that it can load$"),
        (
            ["No compiler plugin found", "Could not load shared library /a/libX.so: libY.so: no such file."],
            "npu",
            r"that it can load; libX\.so cannot be loaded: libY\.so: no such file\.$",
        ),
        (["No compiler plugin found"], "gpu", None),
        (["No compiler plugin found", "No adapters found"], "cpu", None),
    ],
)
def test_the_log_says_which_accelerator_is_missing(monkeypatch, lines, accelerator, words):
    log = RuntimeLog.__new__(RuntimeLog)
    monkeypatch.setattr(RuntimeLog, "lines", lambda self: lines)
    assert re.search(words, log.explain_missing(accelerator)) if words else log.explain_missing(accelerator) == ""


def test_a_host_with_a_full_disk_keeps_its_verdicts(run, kresnet, monkeypatch):
    before = run.verdicts_file.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("keras_resnet.run.run.Run.write_json", full)
    on = ["--on", "local", "--samples", "40", "--max-drop", "50"]
    code, _, err = kresnet("verify", run.exports / "int8.tflite", "--runs", run.folder.parent, *on)
    assert code == 1 and "No space left on device" in err[-1] and run.verdicts_file.read_bytes() == before
