"""`kresnet compress --qat`: replicas, precision, requests that are refused, kills."""

import json
import subprocess
import sys
import time

import pytest
from samples import silent
from trainings import finished, same_log, same_weights, start, step_of, wait_for

from keras_resnet.api import functions
from keras_resnet.cli import main
from keras_resnet.compression.plan import QAT, spec_for_compression
from keras_resnet.errors import DataError, TrainingInterrupted, TrainingStopped, UsageError
from keras_resnet.run import Run


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
    (verdict,) = export(run, ExportRequest(tflite=files, max_drop=3), silent)
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
        ([trained.name, "--qat", "--name", trained.name], 2, "--name must be new: "),
    ):
        assert main.run_command(["compress", "--runs", str(runs), *options]) == code
        out, err = capsys.readouterr()
        assert out == "" and words in err.splitlines()[-1]


@pytest.mark.slow
def test_a_run_that_began_with_8_bits_has_no_float_model(runs, tfds_home, kresnet):
    """Which its export says."""
    options = ["--depth", "8", "--set", "compress.qat=native", "--steps", "3", "--name", "from-8"]
    code, _, err = kresnet("train", *options, "--data-dir", tfds_home, "--runs", runs)
    assert code == 0, err
    code, _, err = kresnet("export", "from-8", "--tflite", "--runs", runs, "--max-drop", "100")
    assert code == 0, err
    (line,) = [each for each in err if each.startswith("the Keras model of from-8: ")]
    assert line.endswith("; trained with 8 bits from its start, so that there is no float model to compare files with")


@pytest.mark.parametrize(
    ("error", "failing", "options", "left"),
    [
        (TrainingInterrupted, 1, [], "when {0}-shrunk25 has finished, kresnet compress {0}-shrunk25 --prune 0.5 --qat"),
        (
            TrainingStopped,
            2,
            ["--name", "new"],
            "when {0}-pruned50 has finished, kresnet compress {0}-pruned50 --qat --name new",
        ),
        (DataError, 2, ["--name", "new"], "kresnet compress {0} --prune 0.5 --qat --name new"),
        (DataError, 1, [], None),
        (TrainingInterrupted, 3, [], None),
    ],
)
def test_what_is_left_of_several_steps_is_named(trained, runs, monkeypatch, capsys, error, failing, options, left):
    """Of a step that did not even begin, the step itself."""
    calls = []

    def compress_once(parent, *rest):
        calls.append(parent)
        if len(calls) == failing:
            raise error("ended")
        return parent

    monkeypatch.setattr(functions, "_compress_once", compress_once)
    steps = ["--shrink", "0.25", "--prune", "0.5", "--qat"]
    code = main.run_command(["compress", trained.name, *steps, *options, "--runs", str(runs)])
    lines = capsys.readouterr().err.splitlines()
    assert code == error("").exit_code and lines[-1] == "kresnet: ended"
    expected = [] if left is None else [f"left to do: {left.format(trained.name)}"]
    assert [line for line in lines if line.startswith("left to do")] == expected


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
