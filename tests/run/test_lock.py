"""One training at a time in a run, and what a killed one leaves."""

import os
import shutil
import subprocess
import sys

import pytest
from samples import silent

from keras_resnet.errors import (
    RunError,
)
from keras_resnet.run import Run
from keras_resnet.training.train import resume

HOLDING = "import sys, time; from pathlib import Path; from keras_resnet.run.lock import lock_run\n"
HOLDING += "with lock_run(Path(sys.argv[1])): print(flush=True); time.sleep(600)"


def test_one_training_at_a_time(cut, kresnet):
    holder = subprocess.Popen([sys.executable, "-c", HOLDING, str(cut.folder)], stdout=subprocess.PIPE)
    holder.stdout.readline()
    before = sorted((path.name, path.stat().st_mtime_ns) for path in cut.folder.rglob("*"))
    code, _, err = kresnet("train", "--resume", "cut", "--runs", cut.folder.parent)
    assert code == 1 and f"kresnet: run cut is being trained by process {holder.pid} on " in err[-1]
    code, _, err = kresnet("export", "--runs", cut.folder.parent)
    assert code == 1 and f"run cut is still training, by process {holder.pid} on " in err[-1]
    assert sorted((path.name, path.stat().st_mtime_ns) for path in cut.folder.rglob("*")) == before
    assert cut.summary()["state"] == "training"
    holder.kill()
    holder.wait()
    assert cut.summary()["state"] == "unfinished"
    assert (cut.folder / "training.lock").is_file()  # which says nothing any more
    resume(cut, silent)
    assert cut.is_finished and not (cut.folder / "training.lock").exists()


def test_a_lock_of_a_recycled_process_number_is_stale(cut):
    (cut.folder / "training.lock").write_text(f"process {os.getpid()} on here\n")
    with cut.lock_for_training() as is_there:
        assert is_there()
        with pytest.raises(RunError, match=f"is being trained by process {os.getpid()} on"), cut.lock_for_training():
            pass
    assert not (cut.folder / "training.lock").exists()


def test_what_a_kill_after_the_model_leaves_goes_with_the_next_command(trained, tmp_path, kresnet):
    for command in (["report", "run"], ["compare", "run", "run"], ["train", "--resume", "run"]):
        home = tmp_path / command[0]
        run = Run(shutil.copytree(trained.folder, home / "run"))
        for folder in (run.checkpoints, run.best):
            folder.mkdir()
            (folder / "step-000000088.json").write_text("{}")
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        (run.folder / f".{gone.pid}-report.html").touch()
        (run.folder / f".{os.getpid()}-other").touch()
        (run.folder / "training.lock").write_text("process 1 on here")
        code, _, err = kresnet(*command, "--runs", home)
        assert code == 0, err
        names = {path.name for path in run.folder.iterdir()}
        assert names - {path.name for path in trained.folder.iterdir()} <= {f".{os.getpid()}-other", "report.html"}
        assert run.is_finished and run.metrics() == trained.metrics()
    code, _, err = kresnet("train", "--resume", "run", "--runs", tmp_path / "train")
    assert code == 1 and "has finished; there is nothing to resume" in err[-1]
