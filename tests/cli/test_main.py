"""The command line: one clear line for a bad request, the right exit code, JSON alone on standard output."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from samples import paint

from keras_resnet.cli import main
from keras_resnet.run import Run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kresnet(capsys):
    def call(*arguments):
        code = main.run_command([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err.strip()

    return call


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--depth", "51"], 2, "51 is not a ResNet depth"),
        (["--data", "nothing-like-it"], 1, "no such file or folder, and no dataset of that name. Data are a folder"),
        (["--data", ""], 1, "--data is empty. Data are a folder of images, a table of them (.csv,"),
        (["--data", __file__], 1, "is neither a folder nor a table (.py). Data are a folder"),
        (["--data", "cifar10"], 1, "dataset 'cifar10' is not prepared"),
        (["--data", "nowhere", "--task", "detect"], 1, "--data nowhere: no such file or folder"),
        (["--data", "./nowhere"], 1, "no such file or folder"),
        (["--epochs", "0"], 2, "--epochs must be 1 or more"),
        (["--learning-rate", "-0.1"], 2, "above 0"),
        (["--resume", "x", "--depth", "20"], 2, "takes no --depth"),
        (["--resume", "x"], 1, "no run called 'x'"),
        (["--model", "rsenet50"], 2, "Did you mean 'resnet50'"),
        (["--model", "vgg19", "--image-size", "16"], 2, "32 or more pixels a side"),
        (["--model", "vgg19", "--drop-path", "0.1"], 2, "has no meaning for a vgg network"),
        (["--weights", "weights.pth"], 1, "weights.pth"),
        (["--weights", "resnet50-digitz"], 1, "no run called 'resnet50-digitz'"),
        (["--weights", "torchvision:resnet19"], 2, "Did you mean 'resnet18'"),
        (["--freeze", "stage7"], 2, "has no part 'stage7'"),
        (["--recipe", "he2016"], 2, "unknown recipe"),
        (["--set", "training.epochs=many"], 2, "training.epochs must be a whole number, 1 or more. Received: 'many'"),
        (["--set", "optimizer.milestones=0.5"], 2, "optimizer.milestones must be a list of numbers"),
        (["--set", "data=digits"], 2, "data must be a group of settings"),
        (["--set", "network.preactivation=1"], 2, "network.preactivation must be true or false"),
        (["--set", "optimizer.momentun=1"], 2, "Did you mean 'optimizer.momentum'"),
        (["--set", "optimizer.milestones=[0.5,0.2]"], 2, "rising shares"),
    ],
)
def test_bad_training_requests(kresnet, tmp_path, options, code, words):
    got, out, err = kresnet("train", "--runs", tmp_path, *options)
    assert (got, out) == (code, "")
    assert len(err.splitlines()) == 1 and words in err
    assert list(tmp_path.iterdir()) == []


def test_empty_and_one_class_folders(kresnet, tmp_path):
    (tmp_path / "empty").mkdir()
    paint(tmp_path / "one", 3, classes={"red": (255, 0, 0)})
    for name, words in (("empty", "holds no images"), ("one", "one class only")):
        code, _, err = kresnet("train", "--runs", tmp_path / "r", "--data", tmp_path / name)
        assert code == 1 and words in err


def test_bad_runs_and_files(kresnet, tmp_path, trained):
    assert kresnet("export", "--tflite", "--runs", tmp_path)[0] == 1
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "spec.json").write_text("{")
    code, _, err = kresnet("evaluate", "broken", "--runs", tmp_path)
    assert code == 1 and len(err.splitlines()) == 1
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "spec.json").write_text(trained.spec_file.read_text())
    code, _, err = kresnet("export", "half", "--tflite", "--runs", tmp_path)
    assert code == 1
    assert err.strip() == "kresnet: run half has no finished model; continue it with: kresnet train --resume half"
    shutil.copytree(trained.folder, tmp_path / "whole")
    code, _, err = kresnet("export", "half", "--tflite", "--runs", tmp_path)
    assert code == 1 and err.strip().endswith("--resume half (the newest finished run: whole)")
    (tmp_path / "x.tflite").write_text("text")
    assert kresnet("predict", tmp_path / "x.tflite", "y.png")[0] == 1
    (tmp_path / "text.png").write_text("this is text")
    code, _, err = kresnet("predict", trained.folder, tmp_path / "text.png")
    assert code == 1 and "not an image" in err
    code, _, err = kresnet("exprot")
    assert code == 2 and "'export'" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["degradation", "--models", "plain20,plain21"], "21 is not a plain depth"),
        (["degradation", "--recipe", "x"], "unknown recipe"),
        (["identity", "--shallow", "resnet56", "--deep", "resnet20"], "--deep must be a deeper network"),
    ],
)
def test_bad_studies(kresnet, tmp_path, arguments, words):
    code, out, err = kresnet("study", *arguments, "--quick", "--runs", tmp_path)
    assert (code, out) == (2, "") and words in err.splitlines()[-1] and "Traceback" not in err


def test_models(kresnet):
    code, out, _ = kresnet("models", "--depth", "50", "--json")
    rows = {row["network"]: row for row in json.loads(out)}
    assert code == 0 and rows["resnet50"]["parameters"] == 25_557_032 and rows["resnet50"]["top1"] == 76.13
    assert rows["resnet50"]["top1_10crop"] == 77.15
    code, out, _ = kresnet("models", "--depth", "50")
    assert code == 0 and "25,557,032" in out
    rows = {row["network"]: row for row in json.loads(kresnet("models", "--json")[1])}
    assert rows["plain34"]["top1"] is None, "never beside accuracies of one crop"
    # The lesson: deeper is worse without shortcuts, and better with them.
    plain, residual = ([rows[f"{kind}{depth}"]["top1_10crop"] for depth in (18, 34)] for kind in ("plain", "resnet"))
    assert plain[1] < plain[0] < residual[0] < residual[1]
    assert kresnet("models", "--depth", "51")[0] == 2
    listed = (ROOT / "docs" / "networks.md").read_text()
    for row in json.loads(kresnet("models", "--json")[1]):
        assert f"| {row['network']} | {row['image_size']}, {row['classes']} | {row['parameters']:,} |" in listed


def test_json_is_alone_on_standard_output(kresnet, trained, runs):
    code, out, _ = kresnet("runs", "--json", "--runs", runs)
    assert code == 0 and trained.name in [row["run"] for row in json.loads(out)]
    code, out, _ = kresnet("evaluate", trained.name, "--json", "--runs", runs)
    assert code == 0 and json.loads(out)["value"] == trained.metrics()["value"]


def test_runs_by_environment(kresnet, trained, runs, monkeypatch):
    monkeypatch.setenv("KRESNET_RUNS", str(runs))
    code, out, _ = kresnet("runs")
    assert code == 0 and trained.name in out


def test_a_full_disk_is_one_sentence_and_leaves_nothing(trained, tmp_path, monkeypatch):
    from keras_resnet.errors import RunError

    run = Run(tmp_path / "run")
    run.folder.mkdir()

    def save(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"cannot write .*model\.keras: No space left on device"):
        run.write_with(run.model_file, save)
    assert list(run.folder.iterdir()) == []


def test_chatter_stays_off_the_terminal(trained):
    command = [sys.executable, str(ROOT / "cli.py"), "evaluate", str(trained.folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["samples"] == 360
    assert all(line.startswith("image size:") for line in done.stderr.splitlines()), done.stderr
