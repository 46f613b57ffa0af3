"""One training with several seeds: ordinary runs, their mean and deviation, and what cannot be combined."""

import json
import shutil

import numpy as np
import pytest

import keras_resnet as kr
from keras_resnet.api import functions
from keras_resnet.api.seeds import Runs
from keras_resnet.errors import TrainingInterrupted, UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.run import Run


@pytest.fixture
def stubbed(trained, monkeypatch):
    """Trainings that take no time: each "run" is a copy of a finished one, with a metric that its seed decides. Returns
    what was asked for."""
    asked = []

    def train_run(given, home, name):
        asked.append((given["seed"], name, {key: value for key, value in given.items() if key != "seed"}))
        run = Run(shutil.copytree(trained.folder, home / name))
        run.write_json(run.metrics_file, {**run.metrics(), "value": 0.9 + given["seed"] / 100})
        return run

    monkeypatch.setattr(functions, "train_run", train_run)
    return asked


@pytest.mark.slow
def test_two_seeds_are_two_ordinary_runs(tfds_home, tmp_path, kresnet):
    words = ["--data-dir", tfds_home, "--model", "resnet8", "--epochs", "1", "--runs", tmp_path]
    code, out, err = kresnet("train", *words, "--seeds", "2", "--seed", "5", "--json")
    assert code == 0, err
    document = json.loads(out)
    runs = [Run(tmp_path / name) for name in ("resnet8-digits-seed5", "resnet8-digits-seed6")]
    assert [row["run"] for row in document["runs"]] == [run.name for run in runs]
    assert [run.spec().training.seed for run in runs] == [5, 6] and all(run.report_file.is_file() for run in runs)
    values = [run.metrics()["value"] for run in runs]
    assert document["mean"] == pytest.approx(np.mean(values)) and document["metric"] == "top1"
    assert document["std"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    first, second = (load_model(run).get_weights() for run in runs)
    assert not all(np.array_equal(*pair) for pair in zip(first, second, strict=True))
    assert runs[1].document()["request"]["training.seed"] == 6


@pytest.mark.slow
def test_a_later_seed_is_that_of_a_training_alone(tfds_home, tmp_path):
    options = dict(data_dir=tfds_home, model="resnet8", epochs=1, runs=tmp_path, deterministic=True)
    runs = kr.train("digits", seeds=2, **options)
    alone = kr.train("digits", seed=1, **options)
    for ours, theirs in zip(runs[1].model.get_weights(), alone.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_each_is_printed_and_the_mean_with_its_deviation(stubbed, tmp_path, kresnet):
    code, out, err = kresnet("train", "--depth", "8", "--seeds", "3", "--name", "mine", "--runs", tmp_path)
    assert code == 0, err
    assert stubbed == [(seed, f"mine-seed{seed}", {"depth": 8}) for seed in range(3)]
    rows = out.splitlines()
    assert [row.split()[0] for row in rows[1:4]] == ["mine-seed0", "mine-seed1", "mine-seed2"]
    assert rows[4] == "top-1 accuracy 91.00% ± 1.00 points (mean and standard deviation of 3 seeds)"
    assert f"next: kresnet export mine-seed0 --runs {tmp_path}" in "\n".join(err)
    assert f"kresnet compare mine-seed0 mine-seed1 mine-seed2 --runs {tmp_path}" in "\n".join(err)


def test_python_returns_them_with_mean_and_deviation(stubbed, tmp_path):
    runs = kr.train("digits", model="resnet8", seeds=3, seed=2, runs=tmp_path)
    assert isinstance(runs, Runs) and len(runs) == 3 and runs[0].name == "resnet8-digits-seed2"
    assert runs.values == pytest.approx([0.92, 0.93, 0.94])
    assert runs.mean == pytest.approx(0.93) and runs.std == pytest.approx(0.01) and runs.metric == "top1"
    assert [run.name for run in runs[1:]] == ["resnet8-digits-seed3", "resnet8-digits-seed4"]
    assert str(runs).splitlines()[0] == "resnet8-digits-seed2: 92.00%" and runs.summary in repr(runs)
    assert runs.summary in runs._repr_html_() and "resnet8-digits-seed4" in runs._repr_html_()
    # A second time there are names of their own.
    again = kr.train("digits", model="resnet8", seeds=2, seed=2, runs=tmp_path)
    assert [run.name for run in again] == ["resnet8-digits-2-seed2", "resnet8-digits-2-seed3"]
    assert isinstance(kr.train.__doc__, str) and "`seeds`" in kr.train.__doc__


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "1"], "--seeds must be a whole number, 2 or more. Received: 1"),
        (["--resume", "x"], "--resume continues a run as it was started; it takes no --seeds"),
        (["--find-lr"], "--find-lr makes no run; it takes no --seeds"),
        (["--find-batch-size"], "--find-batch-size makes no run; it takes no --seeds"),
        (["--set", "training.seed=4"], "--seeds counts up from --seed; give that in place of --set training.seed"),
        (["--seed", str(2**31 - 2)], "goes beyond the largest seed, 2147483647"),
        (["--name", "a/b"], "--name must be the plain name of a new folder"),
        (["--seeds", "x"], "--seeds must be a whole number, 2 or more. Received: 'x'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_before_anything_is_trained(stubbed, tmp_path, kresnet, words, said):
    code, out, err = kresnet("train", "--runs", tmp_path, "--seeds", "3", *words)
    assert code == 2 and out == "" and said in err[-1] and stubbed == [] and list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_refused_before_the_first_run(stubbed, tmp_path, kresnet):
    (tmp_path / "mine-seed1" / "x").mkdir(parents=True)
    code, _, err = kresnet("train", "--depth", "8", "--seeds", "2", "--name", "mine", "--runs", tmp_path)
    assert code == 2 and "holds 'mine-seed1' already" in err[-1] and stubbed == []


def test_several_workers_are_refused(stubbed, tmp_path, kresnet, monkeypatch):
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    code, _, err = kresnet("train", "--seeds", "2", "--runs", tmp_path)
    assert code == 2 and "which several workers cannot; launch a training for each --seed" in err[-1]


@pytest.mark.parametrize("words", [["--seeds", "2"], []], ids=str)
@pytest.mark.parametrize("config", ["x", "[]", '{"cluster": 3, "task": []}'])
def test_a_config_of_workers_that_is_none_is_a_sentence(stubbed, tmp_path, kresnet, monkeypatch, words, config):
    from keras_resnet.training.distribute import is_first_worker

    monkeypatch.setenv("TF_CONFIG", config)
    if words:
        code, _, err = kresnet("train", *words, "--runs", tmp_path)
        assert code == 2 and err[-1].startswith("kresnet: TF_CONFIG must be a JSON object such as ")
    else:
        with pytest.raises(UsageError, match=r"^TF_CONFIG must be a JSON object such as .* Received: '"):
            is_first_worker()


@pytest.mark.parametrize(
    ("cluster", "kind", "index", "first"),
    [
        ({"worker": ["a:1", "b:1"]}, "worker", 0, True),
        ({"worker": ["a:1", "b:1"]}, "worker", 1, False),
        ({"chief": ["a:1"], "worker": ["b:1"]}, "chief", 0, True),
        ({"chief": ["a:1"], "worker": ["b:1"]}, "worker", 0, False),
    ],
)
def test_one_of_several_workers_writes_the_report(monkeypatch, cluster, kind, index, first):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))
    written = []
    monkeypatch.setattr("keras_resnet.reporting.page.publish_report", written.append)
    functions._publish_report("run")
    assert written == ["run"] * first


def test_an_interrupted_one_says_what_is_left(stubbed, tmp_path, kresnet, monkeypatch):
    ordinary = functions.train_run

    def interrupted(given, home, name):
        if given["seed"] == 1:
            raise TrainingInterrupted("interrupted at step 3")
        return ordinary(given, home, name)

    monkeypatch.setattr(functions, "train_run", interrupted)
    code, out, err = kresnet("train", "--seeds", "4", "--name", "a", "--runs", tmp_path)
    assert code == 130 and out == ""
    left = "seeds: a-seed0 finished, a-seed2 and a-seed3 not begun: train what is left by --seed and --name"
    assert err[-2:] == [left, "kresnet: interrupted at step 3"]
    with pytest.raises(UsageError, match="seeds must be a whole number, 2 or more"):
        kr.train("digits", seeds=True, runs=tmp_path)
