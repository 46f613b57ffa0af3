"""Run folders that are deleted, moved or on a full disk while they are trained in."""

import resource
import shutil

import pytest
from samples import silent

from keras_resnet.errors import (
    RunError,
)
from keras_resnet.run import Run
from keras_resnet.training.checkpoint import Checkpoints, Progress
from keras_resnet.training.logger import Logger
from keras_resnet.training.loop import TrainingLoop
from keras_resnet.training.train import resume, train


@pytest.mark.parametrize(
    "what", ["deleted", *(pytest.param(each, marks=pytest.mark.slow) for each in ("moved", "replaced"))]
)
def test_a_run_folder_that_is_gone_is_noticed_at_once(short, tmp_path, monkeypatch, what):
    genuine, steps = TrainingLoop._check_alive, []

    def alive(self):
        steps.append(self.progress.step)
        if len(steps) == 5:
            if what == "deleted":
                shutil.rmtree(tmp_path / "gone")
            else:
                (tmp_path / "gone").rename(tmp_path / "moved")
            if what == "replaced":
                shutil.copytree(tmp_path / "moved", tmp_path / "gone")
        self._folder_checked = 0.0
        genuine(self)

    monkeypatch.setattr(TrainingLoop, "_check_alive", alive)
    with pytest.raises(RunError, match=r"the folder of run gone is gone: .*gone was deleted or moved; training ended"):
        train(short, tmp_path, "gone", silent)
    assert len(steps) == 5
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == {"deleted": [], "moved": ["moved"], "replaced": ["gone", "moved"]}[what]


def test_nothing_makes_a_deleted_folder_again(short, tmp_path, monkeypatch):
    """Between two looks."""
    genuine = Logger.on_epoch_end

    def record(self, row, weights):
        shutil.rmtree(self._run.folder)
        genuine(self, row, weights)

    monkeypatch.setattr(Logger, "on_epoch_end", record)
    with pytest.raises(RunError, match=r"cannot write .*log\.jsonl: No such file or directory"):
        train(short, tmp_path, "gone", silent)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunError, match="cannot write"):
        Checkpoints(tmp_path / "gone" / "checkpoints", [])._write({}, Progress())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "file"),
    [
        ("_write_summaries", "tensorboard"),
        pytest.param("on_first_batch", "step-000000010.safetensors", marks=pytest.mark.slow),
        pytest.param("on_epoch_end", "log.jsonl", marks=pytest.mark.slow),
        pytest.param("close", "curves.png", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_a_sentence_and_the_training_goes_on(short, tmp_path, monkeypatch, place, file):
    """From that place on, by the system's limit on the size of files, which writers meet as they meet a full disk."""
    genuine, before = getattr(Logger, place), resource.getrlimit(resource.RLIMIT_FSIZE)

    def limited(self, *arguments):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
        return genuine(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Logger, place, limited)
        try:
            with pytest.raises(RunError, match=rf"cannot write .*{file}: File too large.*kresnet train --resume full"):
                train(short, tmp_path, "full", silent)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    run = Run(tmp_path / "full")
    resume(run, silent)
    assert [row["epoch"] for row in run.read_log()] == [1, 2] and run.is_finished
