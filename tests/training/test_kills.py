"""Killed at every place, by every signal, then resumed: as if nothing had happened, and nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from killed_commands import PLACES

from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.run import Run

SIGNALS = [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP]
# Places at which a training has begun to listen: SIGTERM and SIGHUP are answered there, with the state saved.
LISTENS = ("first step", "steps", "checkpoint half written", "validation", "epoch recorded")
# No step follows that would ask whether to stop: what is left takes a moment, and is done.
FINISHES = "last epoch"
EVERY = [(place, number) for place in PLACES for number in SIGNALS]


class Commands:
    """Commands in forks of one process; what they said is in `said`."""

    def __init__(self, folder):
        self.said = folder / "said"
        script = Path(__file__).parents[1] / "support" / "killed_commands.py"
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __call__(self, *arguments, place=None, number=None):
        request = {"arguments": [str(each) for each in arguments], "said": str(self.said)}
        self.process.stdin.write(json.dumps({**request, "place": place, "signal": number}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["status"]


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    commands = Commands(tmp_path_factory.mktemp("said"))
    yield commands
    commands.process.stdin.close()
    commands.process.wait()


def training(home, tfds_home, name):
    options = ["--depth", "8", "--batch-size", "32", "--steps", "88", "--checkpoint-every", "13", "--ema", "0.9"]
    options += ["--deterministic", "--precision", "float32", "--patience", "5", "--data-dir", tfds_home]
    return ["train", *options, "--runs", home, "--name", name]


def compressing(home, tfds_home, name):
    return ["compress", "whole", "--qat", "--steps", "88", "--checkpoint-every", "13", "--runs", home, "--name", name]


@pytest.fixture(scope="module")
def home(tmp_path_factory, tfds_home, command):
    """With a training that nothing befell."""
    home = tmp_path_factory.mktemp("home")
    assert command(*training(home, tfds_home, "whole")) == 0, command.said.read_text()
    return home


def same(ours, theirs):
    """Weights bit for bit, and what was logged."""
    weights = [load_model(run).get_weights() for run in (ours, theirs)]
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)
    rows = [
        [{k: v for k, v in row.items() if k != "images_per_second"} for row in run.read_log()] for run in (ours, theirs)
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 2
    assert ours.metrics() == theirs.metrics()


def left(run):
    """What no finished run has: state, half-written files, a lock; and in its home folders that were never named."""
    inside = [path.name for path in run.folder.iterdir() if path.name.startswith(".")]
    others = [path.name for path in run.folder.parent.iterdir() if path.name.startswith(".")]
    return [
        *inside,
        *others,
        *(each.name for each in (run.checkpoints, run.best, run.folder / "training.lock") if each.exists()),
    ]


def trial(command, home, arguments, place, number):
    """Kill, go on, look. Returns how the killed command ended: "saved", "died" or "finished"."""
    name = arguments[-1]
    run = Run(home / name)
    status = command(*arguments, place=place, number=number)
    words = command.said.read_text()
    assert "Traceback" not in words, words
    if number != signal.SIGKILL and place == FINISHES:
        assert status == 0 and run.is_finished, (status, words)
        how = "finished"
    elif number != signal.SIGKILL and place in LISTENS:
        assert status == 0 and f"Resume it with: kresnet train --resume {name}" in words, (status, words)
        how = "saved"
    else:
        assert status == -number, (status, words)
        how = "died"
    if run.is_finished and not run.has_leftover_state:
        assert command("report", name, "--runs", home) == 0, command.said.read_text()
        how = "finished"
    else:
        again = ["train", "--resume", name, "--runs", home] if run.folder.exists() else arguments
        assert command(*again) == 0, command.said.read_text()
    assert run.report_file.is_file() and left(run) == []
    assert sorted(path.name for path in run.folder.iterdir()) == sorted(
        path.name for path in (home / "whole").iterdir()
    )
    return how


@pytest.mark.slow
@pytest.mark.parametrize(("place", "number"), [pytest.param(*each, id=f"{each[0]}-{each[1].name}") for each in EVERY])
def test_a_killed_training_goes_on_as_if_nothing_had_happened(command, home, tfds_home, place, number):
    name = f"{place.replace(' ', '-')}-{number.name}"
    how = trial(command, home, training(home, tfds_home, name), place, number)
    listens, finishes = number != signal.SIGKILL and place in LISTENS, number != signal.SIGKILL and place == FINISHES
    assert how == ("saved" if listens else "finished" if finishes or place == "report" else "died")
    same(Run(home / name), Run(home / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=[each.name for each in SIGNALS])
@pytest.mark.parametrize("place", ["start-up", "steps", "validation", "model half written", "model written"])
def test_a_killed_compression_does_too(command, home, tfds_home, place, number):
    if not (home / "compressed").exists():
        assert command(*compressing(home, tfds_home, "compressed")) == 0, command.said.read_text()
    name = f"compressed-{place.replace(' ', '-')}-{number.name}"
    trial(command, home, compressing(home, tfds_home, name), place, number)
    same(Run(home / name), Run(home / "compressed"))
