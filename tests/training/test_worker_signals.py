"""Signals that end launchers, workers and studies."""

import os
import signal
import subprocess
import sys
import time

import pytest
from samples import silent

from keras_resnet.errors import (
    TrainingError,
    TrainingStopped,
)
from keras_resnet.training import launch as launching

WORKING = """
import os, signal, sys, time
from pathlib import Path
from keras_resnet.signals import stop_with_launcher, list_stop_signals
def stop(number, frame):
    Path(sys.argv[1], f"{os.getpid()}-{number}").touch()
    sys.exit(0)
for number in list_stop_signals():
    signal.signal(number, stop)
stop_with_launcher()
Path(sys.argv[1], f"{os.getpid()}-up").touch()
time.sleep(600)
"""
LAUNCHING = """
import sys
from keras_resnet.training import launch
launch.COMMAND = [sys.executable, "-c", sys.argv[1], sys.argv[2]]
sys.exit(launch.launch(2, ["train"], launch.RestartPolicy(max_restarts=0), print))
"""


def until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_workers_end_with_their_launcher_however_it_ends(tmp_path, number):
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHING, WORKING, str(tmp_path)], stdout=subprocess.DEVNULL)
    until(lambda: len(list(tmp_path.glob("*-up"))) == 2)
    workers = [int(path.name.partition("-")[0]) for path in tmp_path.glob("*-up")]
    launcher.send_signal(number)
    assert launcher.wait(60) == (0 if number != signal.SIGKILL else -number)
    heard = signal.SIGTERM if number == signal.SIGKILL else number
    until(lambda: {path.name for path in tmp_path.glob("*-[0-9]*")} == {f"{each}-{heard}" for each in workers})
    until(lambda: not any(os.path.exists(f"/proc/{each}") for each in workers))


def test_a_hang_up_that_is_ignored_stays_so(tmp_path):
    """As nohup has it."""
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
    ignoring += "from keras_resnet.signals import list_stop_signals as s; print([n.name for n in s()])"
    told = subprocess.run([sys.executable, "-c", ignoring], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "['SIGTERM', 'SIGINT']"


def test_workers_of_a_run_that_was_deleted_are_not_started_again(tmp_path, monkeypatch):
    work = "import os, pathlib; pathlib.Path(os.environ['KRESNET_HEARTBEAT']).write_text('/nowhere/run'); exit(1)"
    monkeypatch.setattr(launching, "COMMAND", [sys.executable, "-c", work])
    with pytest.raises(TrainingError, match="the folder of the run is gone: /nowhere/run was deleted or moved"):
        launching.launch(2, ["train"], launching.RestartPolicy(max_restarts=3), silent)


def test_a_study_that_is_stopped_does_not_go_on(quick_spec, tmp_path, monkeypatch):
    from keras_resnet.studies import plan

    def stopped(*arguments):
        raise TrainingStopped("stopped at step 3, which is saved")

    monkeypatch.setattr(plan, "train", stopped)
    with pytest.raises(TrainingStopped):
        plan.run_trial("resnet8", 0, quick_spec, tmp_path, silent)
