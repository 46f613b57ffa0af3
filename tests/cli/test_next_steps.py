"""What commands say at their end, and what a training takes that was asked for nothing."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from device_verdicts import put_at_chance

from keras_resnet.cli.export import _ask_for_images, _list_remedies
from keras_resnet.cli.next_steps import log_next_steps
from keras_resnet.export.settings import ExportSettings
from keras_resnet.run import Run
from keras_resnet.training import spec_request
from keras_resnet.training.spec_request import build_spec


def test_steps_stand_below_each_other(capsys):
    log_next_steps(("export", "writes"), ("demo", "shows"), runs="my runs")
    err = capsys.readouterr().err.splitlines()
    assert err == ["next: kresnet export --runs 'my runs'  writes", "      kresnet demo --runs 'my runs'    shows"]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_training_ends_with_what_comes_next(kresnet, trained, monkeypatch, as_json):
    from keras_resnet.training import train as training

    home = ["--runs", trained.folder.parent]
    monkeypatch.setattr(training, "train", lambda *arguments: trained)
    code, out, err = kresnet("train", "--depth", "8", *home, *["--json"] * as_json)
    said = "\n".join(err)
    assert code == 0 and out
    assert as_json != bool(
        re.search(rf"next: kresnet export --runs {trained.folder.parent}  +\w.*\n  +kresnet demo", said)
    )


@pytest.mark.parametrize("standing", ["unclear", "not above"])
def test_of_a_model_at_chance_no_export_is_recommended(kresnet, exported, monkeypatch, tmp_path, standing):
    """And what is advised makes a run of a name like that of this one."""
    from keras_resnet.training import train as training

    run = Run(shutil.copytree(exported[0].folder, tmp_path / "mine"))
    put_at_chance(run, standing)
    rows = [{**row, "step": 12} for row in run.read_log()]
    run.log_file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    monkeypatch.setattr(training, "train", lambda *arguments: run)
    _, _, err = kresnet("train", "--depth", "8", "--runs", tmp_path)
    said = "\n".join(err)
    assert "kresnet export" not in said and "kresnet demo" not in said
    assert f"next: kresnet report mine --open --runs {tmp_path}  what the model gets wrong" in said
    (command,) = [line for line in err if line.strip().startswith("kresnet train --depth 8")]
    assert f" --name mine-2 --runs {tmp_path}" in command
    shutil.rmtree(run.exports)
    assert not any("kresnet export" in line for line in kresnet("report", "mine", "--runs", tmp_path)[2])


@pytest.mark.parametrize("together", [True, False])
def test_the_result_is_printed_once_where_both_outputs_are_one(trained, together):
    """As in `kresnet train 2>&1 | tee log`; apart, the table is what standard output has."""
    script = (
        "import sys; from pathlib import Path; from keras_resnet.cli.train import _print_result;"
        " from keras_resnet.run import Run; _print_result(Run(Path(sys.argv[1])), None, False)"
    )
    errors = subprocess.STDOUT if together else subprocess.PIPE
    command = [sys.executable, "-c", script, str(trained.folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, check=True)
    assert ("top-1 accuracy" in done.stdout) != together


@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_workers_one_tells_it(kresnet, trained, monkeypatch, rank):
    from keras_resnet.training import train as training

    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": rank}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    monkeypatch.setattr(training, "train", lambda *arguments: trained)
    code, _, err = kresnet("train", "--runs", trained.folder.parent)
    told = {line.partition(":")[0] for line in err}
    assert code == 0 and {"network", "next"} & told == ({"network", "next"} if rank == 0 else set())


def test_a_report_without_exports_says_so(kresnet, trained, tmp_path):
    bare = Run(shutil.copytree(trained.folder, tmp_path / "bare", ignore=shutil.ignore_patterns("exports")))
    code, out, err = kresnet("report", "bare", "--runs", tmp_path)
    assert code == 0 and out.strip() == str(bare.report_file)
    assert "nothing has been exported yet" in err[0] and f"next: kresnet export bare --runs {tmp_path}" in err[1]
    bare.verdicts_file.parent.mkdir(exist_ok=True)


def test_a_report_with_exports_does_not(kresnet, exported):
    run, _ = exported
    assert kresnet("report", run.folder)[2] == []


def told_of(options, tmp_path):
    told = []
    return build_spec(options, tmp_path, told.append), [line for line in told if line.startswith("network: ")]


@pytest.mark.parametrize(
    ("options", "depth", "words"),
    [
        ({}, 20, "network: resnet20 (the default for digits, which have 8 pixels a side"),
        ({"data": "digits", "epochs": 3}, 20, "--depth 50 or --model chooses another"),
        ({"depth": 50}, 50, None),
        ({"model": "resnet50"}, 50, None),
        ({"settings": ("network.depth=50",)}, 50, None),
        ({"settings": ("network.width=0.5",)}, 50, None),
        ({"recipe": "torchvision-v1"}, 50, None),
        ({"data": "photos"}, 50, "network: resnet50 (the default; --depth or --model chooses another)"),
        ({"task": "detect"}, 50, "network: resnet"),
    ],
    ids=str,
)
def test_a_network_is_chosen_where_none_is_asked_for(tmp_path, options, depth, words):
    spec, told = told_of(options, tmp_path)
    assert (spec.network.depth == depth or "task" in options) and len(told) == bool(words)
    assert not words or words in told[0]


def test_the_command_of_a_report_names_the_network():
    """Whatever the default is, what was trained can be trained again."""
    from keras_resnet.run.command import training_command

    for options in ({}, {"depth": 50}):
        spec, _ = told_of(options, None)
        words = training_command(spec).split()
        again = {"depth": int(words[words.index("--depth") + 1])}
        assert told_of(again, None)[0].network == spec.network
    assert spec_request.DIGITS_DEPTH == 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "adamw, learning rate 0.002, 15 epochs, loss bce"),
        ({"epochs": 2, "optimizer": "sgd"}, "learning rate 0.002, loss bce"),
        ({"steps": 9, "settings": ("optimizer.learning_rate=0.1",)}, "adamw, loss bce"),
    ],
)
def test_a_default_that_an_option_replaces_is_not_printed(options, said, tmp_path):
    lines = []
    build_spec({"task": "multilabel", **options}, tmp_path, lines.append)
    assert f"training: {said} (the defaults of --task multilabel)" in lines


def test_too_few_images_come_first(capsys):
    """One of 24 images is four points: no remedy can be seen to help."""
    lost = SimpleNamespace(file="int8.tflite", passed=False, samples=24, max_drop=0.01)
    for drop, interval, asked in (
        (1 / 24, (-0.07, 0.14), True),
        (0.125, (0.005, 0.3), True),
        (0.3, (0.1, 0.5), False),
    ):
        first = _ask_for_images([SimpleNamespace(**vars(lost), drop=drop, drop_interval=interval)], None)
        assert first.startswith("more validation images: on 24 images the drop of int8.tflite may be") == asked
    log_next_steps(("diagnose RUN", "finds"), first="more images")
    assert capsys.readouterr().err.splitlines() == ["next: more images", "      kresnet diagnose RUN  finds"]


@pytest.mark.parametrize(("file_fails", "device_loses"), [(False, False), (True, False), (False, True)])
def test_advice_on_accuracy_is_for_files_that_lost_it(kresnet, exported, monkeypatch, file_fails, device_loses):
    """A device that cannot be reached is no matter of calibration images or of 8 bits."""
    from keras_resnet.api import exporting
    from keras_resnet.export.request import ExportResult
    from keras_resnet.export.run_on_devices import DeviceResult

    run, verdicts = exported
    verdict = verdicts["int8.tflite"]
    if file_fails:
        verdict = replace(verdict, verdict="failed", drop=0.1, drop_interval=(0.05, 0.2))
    reasons = ["int8.tflite lost 9 points on local"] if device_loses else []
    on_device = SimpleNamespace(file="int8.tflite", has_lost_accuracy=device_loses, list_reasons=lambda: reasons)
    unreachable = "ssh://pi@nowhere could not be reached: it ended with exit code 255: no route to host"
    devices = DeviceResult([on_device], [unreachable])
    outcome = exporting.ExportOutcome(ExportResult([verdict]), [], [], devices)
    monkeypatch.setattr(exporting, "export_run", lambda *given: outcome)
    monkeypatch.setattr("keras_resnet.cli.device_tables.print_device_verdicts", lambda *given, **named: None)
    code, _, err = kresnet("export", run.folder, "--quantize", "int8", "--on", "local")
    said = "\n".join(err)
    assert code == 1 and unreachable in err[-1]
    assert ("kresnet diagnose" in said) == ("kresnet compress" in said) == (file_fails or device_loses)


@pytest.mark.parametrize(
    ("name", "options", "remedies"),
    [
        ("int8.tflite", {}, ["--tflite --quantize int8 --auto"]),
        ("int8.tflite", {"auto": True}, []),
        ("model-int8.onnx", {}, []),
        ("openvino-int8", {}, ["--openvino --quantize int8 --accuracy-control"]),
    ],
)
def test_remedies_are_those_of_the_format_that_lost(name, options, remedies, tmp_path):
    run, file = Run(tmp_path / "mine"), tmp_path / "mine/exports/rejected" / name
    if name == "openvino-int8":
        file.mkdir(parents=True)
        (file / "model.xml").touch()
    commands = [command for command, _ in _list_remedies(run, [f"rejected/{name}"], ExportSettings(**options))]
    exports = [command.removeprefix("export mine ") for command in commands if command.startswith("export")]
    assert exports == remedies and commands[0] == "diagnose mine"
