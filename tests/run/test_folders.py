"""Creating run folders: names taken once, whole or not at all, nothing left behind."""

import os
import subprocess
import sys
import time

import pytest
from samples import silent

from keras_resnet.config.spec import Spec
from keras_resnet.errors import (
    DataError,
    RunError,
    UsageError,
    WeightsError,
)
from keras_resnet.run import Run, folders
from keras_resnet.training.loop import TrainingLoop
from keras_resnet.training.train import train

CREATING = """
import sys, time
from pathlib import Path
from keras_resnet.errors import UsageError
from keras_resnet.run import Run
from keras_resnet.config.spec import Spec
home, start = Path(sys.argv[1]), float(sys.argv[2])
time.sleep(max(0, start - time.time()))
for number in range(60):
    print(Run.create(home / "free", Spec(), ("a", "b")).name)
    try:
        print(Run.create(home / "named", Spec(), ("a", "b"), str(number)).name, "mine")
    except UsageError:
        pass
"""


def test_processes_that_create_runs_at_once_never_share_one(tmp_path):
    start = str(time.time() + 3)
    command = [sys.executable, "-c", CREATING, str(tmp_path), start]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate()[0].splitlines() for process in processes]
    free = [line for lines in told for line in lines if "mine" not in line]
    named = [line for lines in told for line in lines if "mine" in line]
    assert len(free) == len(set(free)) == 180
    assert sorted(named) == sorted(f"{number} mine" for number in range(60))
    for run in (*Run.all(tmp_path / "free"), *Run.all(tmp_path / "named")):
        assert run.document()["spec"]["task"] == "classify" and run.classes() == ("a", "b")
    assert [path for path in tmp_path.rglob(".*")] == []


def test_only_an_empty_folder_takes_no_name(tmp_path):
    (tmp_path / "empty").mkdir()
    assert Run.create(tmp_path, Spec(), ("a", "b"), "empty").classes() == ("a", "b")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    (tmp_path / "file").touch()
    for name in ("empty", "full", "file", ".hidden", "a/b", "..", "", "two\nlines"):
        with pytest.raises(UsageError, match=r"must be (the plain name of a new folder|new: )"):
            Run.create(tmp_path, Spec(), ("a", "b"), name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_the_newest_run_is_none_that_a_search_ended_early(tmp_path):
    first, second, third = (Run.create(tmp_path, Spec(), ("a", "b"), name) for name in ("one", "two", "three"))
    assert Run.find(tmp_path) == third
    third.write_json(third.ended_early_file, {"search": "digits", "epoch": 2})
    assert Run.find(tmp_path) == second and third.is_ended_early
    for run in (first, second):
        run.write_json(run.ended_early_file, {"search": "digits", "epoch": 2})
    assert Run.find(tmp_path) == third, "there is no other"


def test_a_taken_name_is_refused_before_anything_is_read(kresnet, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    code, _, err = kresnet("train", "--data", tmp_path / "missing", "--name", "taken", "--runs", tmp_path)
    assert code == 2 and len(err) == 1 and f"must be new: {tmp_path} holds 'taken' already; 'taken-2' is free" in err[0]


def test_a_folder_whose_making_was_cut_off_is_swept_and_never_listed(tmp_path):
    left = tmp_path / ".123-456"
    left.mkdir()
    (left / "spec.json").write_text("{")
    assert Run.all(tmp_path) == []
    Run.create(tmp_path, Spec(), ("a", "b"), "one")
    assert left.exists()  # it may be in the making
    os.utime(left, (0, 0))
    Run.create(tmp_path, Spec(), ("a", "b"), "two")
    assert not left.exists()


def test_a_disk_that_is_full_leaves_no_folder(tmp_path, monkeypatch):
    def full(run, path, text):
        raise RunError("cannot write: No space left on device")

    monkeypatch.setattr(Run, "write_text", full)
    with pytest.raises(RunError, match="No space left"):
        Run.create(tmp_path / "home", Spec(), ("a", "b"), "one")
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize(
    "error", [DataError("an image is gone"), WeightsError("no"), UsageError("no"), ValueError("no")]
)
def test_a_training_that_cannot_begin_leaves_nothing(quick_spec, tmp_path, monkeypatch, error):
    def refuse(self, progress):
        assert (tmp_path / "refused" / "spec.json").is_file()
        raise error

    monkeypatch.setattr(TrainingLoop, "fit", refuse)
    with pytest.raises(type(error)):
        train(quick_spec, tmp_path, "refused", silent)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_is_refused_first_and_a_new_one_is_not_left_behind(tmp_path):
    folders.require_creatable(tmp_path / "new" / "home")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=f"cannot write {tmp_path}/file/home: Not a directory"):
        folders.require_creatable(tmp_path / "file" / "home")
