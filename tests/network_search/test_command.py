"""`kresnet search` and `keras_resnet.search`: what is refused, and a search of seconds from its start to its file."""

import json
import os
import sys
from types import SimpleNamespace

import pytest
from samples import COLOURS, paint
from trainings import interrupt_after

import keras_resnet as kr
from keras_resnet.cli import main
from keras_resnet.errors import UsageError
from keras_resnet.network_search.training import Trainer
from keras_resnet.run import Run
from keras_resnet.run.lock import lock_run

BUDGET = "macs<=3M,size<=100kB"
# Few networks, and seconds of training.
TINY = ("--model", "resnet8", "--width", "0.5", "--image-size", "8", "--channels", "1,3", "--epochs", "2")


@pytest.fixture(scope="module")
def searched(tfds_home, tmp_path_factory):
    """The options of a search that has come to its end, and its runs folder."""
    home = tmp_path_factory.mktemp("searched")
    options = ["search", "--data", "digits", "--data-dir", tfds_home, "--budget", BUDGET, *TINY, "--runs", str(home)]
    assert main.run_command([*options, "--trials", "1"]) == 0
    return options, home


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "digits"], "search needs --budget"),
        (["--budget", "size<=1MB"], "search needs --data"),
        (["--data", "digits", "--budget", "latency<=fast"], "a number above 0 with a unit"),
        (["--data", "digits", "--budget", "size<=1MB", "--trials", "0"], "--trials must be 1 or more. Received: 0"),
        (["--data", "digits", "--budget", "size<=1MB", "--hours", "0"], "--hours must be above 0. Received: 0"),
        (["--data", "digits", "--budget", "size<=1MB", "--trials", "1", "--hours", "1"], "give one of them"),
        (["--data", "digits", "--budget", "size<=1MB", "--model", "resnet8", "--depth", "8"], "takes no --depth"),
        (["--data", "digits", "--budget", "size<=1MB", "--dry-run", "--trials", "1"], "--dry-run trains nothing"),
        (
            ["--data", "digits", "--budget", "size<=1MB", "--format", "c-array", "--on", "local"],
            "--on runs TFLite files",
        ),
        (["--data", "digits", "--budget", "size<=1MB", "--on", "local", "--on", "tflm"], "--on once"),
        (
            ["--data", "digits", "--budget", "latency<=1ms", "--on", "tflm"],
            "limits latency, which means nothing on tflm",
        ),
        (["--data", "digits", "--budget", "memory<=1MB", "--on", "tflm"], "limits memory, which means nothing on tflm"),
        (["--data", "digits", "--budget", "size<=1MB", "--width", "0.5,0"], "--width must be above 0. Received: 0.0"),
        (["--data", "digits", "--budget", "size<=1MB", "--channels", "0"], "--channels must be 1 to 64. Received: 0"),
        (
            ["--data", "digits", "--budget", "size<=1MB", "--channels", "1,65"],
            "--channels must be 1 to 64. Received: 65",
        ),
        (["--data", "digits", "--budget", "size<=1MB", "--name", "../other"], "the plain name of a new folder"),
        (["--data", "digits", "--budget", "arena<=1MB", "--quantize", "float32"], "arena is for int8 TFLite files"),
        (["--data", "digits", "--budget", "size<=1MB", "--quantize", "int9"], "--quantize must be one of"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(kresnet, tmp_path, options, words):
    code, out, err = kresnet("search", *options, "--runs", tmp_path / "runs")
    assert code == 2 and not out and len(err) == 1 and words in err[0]
    assert not list(tmp_path.iterdir())


def test_data_that_are_not_there(kresnet, tmp_path):
    code, _, err = kresnet("search", "--data", tmp_path / "photos", "--budget", "size<=1MB")
    assert code == 1 and err[-1].endswith("no such file or folder")


def test_without_optuna(kresnet, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = kresnet("search", "--data", "digits", "--budget", "size<=1MB", "--runs", tmp_path)
    assert code == 2
    assert err == ["kresnet: search needs optuna, which is not installed: pip install 'kresnet[search]'"]


def test_an_accelerator_that_is_not_there_ends_the_search_before_any_training(kresnet, tfds_home, tmp_path):
    """Nothing has to be measured for a budget of multiply-adds."""
    options = ["--data", "digits", "--data-dir", tfds_home, "--budget", "macs<=3M", *TINY, "--runs", tmp_path]
    code, out, err = kresnet("search", *options, "--on", "local:npu")
    assert code == 1 and not out and "no file can be run on local, NPU: " in err[-1]
    assert not list(tmp_path.glob("*/spec.json")), "nothing was trained"


def test_a_budget_that_no_network_keeps(kresnet, tfds_home, tmp_path):
    options = ["--data", "digits", "--data-dir", tfds_home, "--budget", "macs<=1k", *TINY, "--runs", tmp_path]
    code, out, err = kresnet("search", *options)
    assert code == 1 and not out
    assert "no network is within macs<=1k; the smallest, resnet8 × 0.5, 8 px, gray: macs 0.1" in err[-1]
    assert not list(tmp_path.iterdir()), "nothing was trained, and the name is free"


def test_too_few_images_to_calibrate_with_are_said_before_any_training(kresnet, tmp_path):
    paint(tmp_path / "few", 8, classes={"blue": COLOURS["blue"], "red": COLOURS["red"]})
    options = ("--data", tmp_path / "few", "--budget", "macs<=3M", *TINY, "--runs", tmp_path / "runs")
    code, out, err = kresnet("search", *options)
    assert code == 1 and not out and "calibration takes 20 images or more. Received: 1" in err[-1]
    assert "(training images of few, " in err[-1] and not list((tmp_path / "runs").glob("*"))


def test_it_says_that_it_is_for_one_label_per_image(kresnet, tmp_path):
    code, _, err = kresnet("search", "--task", "detect", "--data", "shapes", "--budget", "size<=1MB")
    assert code == 2 and "A search is for image classification with one label per image." in err[-1]


def test_the_command_and_python_print_what_there_is(kresnet, tfds_home, tmp_path, monkeypatch):
    """With trainings and exports that take no time."""
    begun, latencies = [], (SimpleNamespace(p50=1.0),)
    verdict = {"value": 0.9, "model_value": 0.9, "words": "PASSED", "passed": True, "bytes": 5e4, "latency_ms": 1.0}
    cost = SimpleNamespace(latencies=latencies, peak_mib=1.0)
    monkeypatch.setattr(Trainer, "train", lambda trainer, candidate, name, goes_on: begun.append(name))
    monkeypatch.setattr(Trainer, "export", lambda trainer, run: SimpleNamespace(**verdict, cost=cost, micro=None))
    options = ["--data", "digits", "--data-dir", tfds_home, "--budget", "macs<=3M", *TINY, "--runs", tmp_path]
    code, out, err = kresnet("search", *options, "--trials", "1")
    assert not any(line.startswith("channels:") for line in err), "it tries two numbers of them"
    assert code == 0 and "recommended" in out and "search-digits-000" in out and "resnet8 × 0.5, 8 px" in out
    assert any("next: kresnet demo search-digits-0" in line for line in err)
    code, out, err = kresnet("search", *options, "--trials", "1", "--json")
    assert code == 0 and json.loads(out)["recommended"] == "search-digits-000" and len(begun) == 1
    assert "1 candidate trained already; a larger --trials continues the search" in err
    keywords = {"model": "resnet8", "width": 0.5, "image_size": 8, "channels": (1, 3), "epochs": 2, "runs": tmp_path}
    result = kr.search("digits", "macs<=3M", data_dir=tfds_home, trials=1, **keywords)
    assert result.run.name == "search-digits-000" and len(begun) == 1 and "recommended" in result._repr_html_()
    with lock_run(tmp_path / "search-digits"):
        code, _, err = kresnet("search", *options)
    assert code == 1 and f"search-digits is being searched by process {os.getpid()} on" in err[-1]


@pytest.mark.slow
def test_each_candidate_is_a_run_with_a_verdict_on_its_file(searched):
    _, home = searched
    document = json.loads((home / "search-digits" / "trials.json").read_text())
    trained = [each for each in document["trials"] if each["state"] != "rejected"]
    assert len(trained) == 1 == len(Run.all(home))
    finished = [each for each in trained if each["state"] == "finished"]
    for each in finished:
        (verdict,) = Run(home / each["run"]).verdict_rows()
        assert each["accuracy"] == verdict["value"] and each["costs"]["size"] == verdict["bytes"]
        assert each["costs"]["latency"] == verdict["latency_ms"] and verdict["file"].endswith("int8.tflite")
        assert Run(home / each["run"]).spec().network.width == each["candidate"]["width"]
    within = [each for each in finished if each["within_budget"]]
    best = max((each["accuracy"] for each in within), default=None)
    recommended = [each for each in finished if each["run"] == document["recommended"]]
    assert [each["accuracy"] for each in recommended] == [best] and document["recommended"] in document["front"]
    assert (home / "search-digits" / "pareto.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_same_command_goes_on_and_prints_what_there_is(kresnet, searched):
    options, home = searched
    code, out, err = kresnet(*options, "--trials", "1")
    assert code == 0 and len(Run.all(home)) == 1, "nothing was trained"
    assert "1 candidate trained already; a larger --trials continues the search" in err
    assert "recommended" in out and "search-digits-0" in out and "resnet8 × 0.5, 8 px" in out
    assert any("next: kresnet demo search-digits-0" in line for line in err)
    code, out, _ = kresnet(*options, "--trials", "1", "--json")
    assert code == 0 and json.loads(out)["budget"] == BUDGET
    code, _, err = kresnet(*options, "--seed", "1", "--name", "search-digits")
    assert code == 2 and "is a search with other settings: seed was 0, is 1;" in err[-1]


@pytest.mark.slow
def test_python_has_the_same(searched, tfds_home):
    _, home = searched
    options = {"model": "resnet8", "width": 0.5, "image_size": 8, "channels": (1, 3), "epochs": 2, "runs": home}
    result = kr.search("digits", BUDGET, data_dir=tfds_home, trials=1, **options)
    assert result.run.name == result.recommended.run and len(result.trained) == 1
    assert "resnet8" in str(result) and "recommended" in result._repr_html_()
    with pytest.raises(UsageError, match=r"budget must be limits such as 'latency<=20ms,size<=2MB'\. Received: 20"):
        kr.search("digits", 20)
    with pytest.raises(UsageError, match=r"search takes no keyword 'trial'\. Did you mean 'trials'"):
        kr.search("digits", BUDGET, trial=3)


@pytest.mark.slow
def test_one_process_searches_at_a_time(kresnet, searched):
    options, home = searched
    with lock_run(home / "search-digits"):
        code, _, err = kresnet(*options)
    assert code == 1 and f"search-digits is being searched by process {os.getpid()} on" in err[-1]


@pytest.mark.slow
def test_a_dry_run_trains_nothing(kresnet, searched, tmp_path):
    options, home = searched
    code, out, err = kresnet(*options, "--dry-run")
    assert code == 0 and len(Run.all(home)) == 1
    assert out.startswith(f"expected to be within {BUDGET}: 2 of 2 networks")
    assert "these are estimates, from what is counted of each network" in out
    assert sum(line.startswith("measured before training") for line in err) == 2
    code, out, err = kresnet(*options, "--dry-run", "--json")
    assert code == 0 and len(json.loads(out)["within"]) == 2
    assert not any(line.startswith("measured before training") for line in err), "it was measured once"


@pytest.mark.slow
def test_ctrl_c_saves_the_training_and_the_same_command_goes_on_with_it(kresnet, tfds_home, tmp_path):
    options = ["search", "--data", "digits", "--data-dir", tfds_home, "--budget", BUDGET, *TINY, "--runs", tmp_path]
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(1, patch)
        code, out, err = kresnet(*options, "--trials", "1")
    assert code == 130 and "0 candidates trained" in out
    assert err[-1] == f"kresnet: interrupted; the same command goes on with {tmp_path / 'search-digits'}"
    (run,) = Run.all(tmp_path)
    assert run.has_checkpoint and not run.is_finished
    code, out, err = kresnet(*options, "--trials", "1")
    assert code == 0 and [each.name for each in Run.all(tmp_path)] == [run.name] and run.is_finished
    assert run.name in out and f"search: goes on with {tmp_path / 'search-digits'}" in err
