"""Killed at any moment, any number of times: a resumed training ends with the weights of one that was not."""

import os
import random
import re
import signal
import sys
import threading
import time

import pytest
from trainings import finished, same_log, same_weights, start, step_of, wait_for

from keras_resnet.errors import TrainingError
from keras_resnet.run import Run
from keras_resnet.training import launch as launching
from keras_resnet.training.checkpoint import manifests
from keras_resnet.training.launch import resume_arguments

STEPS = 200


def command(home, tfds_home, precision, name, steps):
    # The schedule, averages, chance and mixed images: all that has a state or a place in the data.
    options = ["--depth", "8", "--image-size", "16", "--batch-size", "32", "--drop-path", "0.2", "--ema", "0.9"]
    options += ["--mixup", "0.2", "--random-erase", "0.3", "--accumulate-steps", "2", "--data-dir", tfds_home]
    options += ["--steps", str(steps), "--checkpoint-every", "7", "--deterministic", "--precision", precision]
    return ["train", *options, "--runs", str(home), "--name", name]


def killed_again_and_again(home, arguments, kills, seed, steps):
    """Run `arguments` to their end, with `kills` kill -9s: some while it starts, most of them within or right after the
    writing of a checkpoint. Returns at which steps."""
    chance, run, at = random.Random(seed), Run(home / "killed"), []
    for kill in range(kills):
        process = start(["train", "--resume", "killed", "--runs", str(home)] if run.spec_file.is_file() else arguments)
        if kill % 4 == 3:
            time.sleep(chance.uniform(0.5, 8))
        else:
            target = steps * (kill + 1) // (kills + 2)
            wait_for(lambda target=target: step_of(run) >= target, process)
            time.sleep(chance.uniform(0, 0.15))
        if process.poll() is None:
            process.kill()
            at.append(step_of(run))
        process.communicate()
    finished(["train", "--resume", "killed", "--runs", str(home)])
    return at


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tfds_home):
    """A training of 100 steps that nothing befell."""
    home = tmp_path_factory.mktemp("whole")
    finished(command(home, tfds_home, "float32", "whole", 100))
    return Run(home / "whole")


@pytest.mark.slow
def test_killed_twice(tmp_path, tfds_home, whole):
    at = killed_again_and_again(tmp_path, command(tmp_path, tfds_home, "float32", "killed", 100), 2, 1, 100)
    assert len(at) == 2 and 0 < at[0] < at[1] < 100
    run = Run(tmp_path / "killed")
    same_weights(whole, run)
    same_log(whole, run)
    assert not list(run.folder.glob(".*")) and not run.checkpoints.exists()


def segmenting(home, tfds_home, name):
    options = ["--task", "segment", "--depth", "8", "--image-size", "32", "--batch-size", "8", "--ema", "0.9"]
    options += ["--data-dir", tfds_home, "--steps", "60", "--checkpoint-every", "7", "--deterministic"]
    return ["train", *options, "--precision", "float32", "--runs", str(home), "--name", name]


@pytest.mark.slow
def test_a_segmenting_training_killed_thrice(tmp_path, tfds_home):
    """Windows, colours and masks are a function of seed and step too."""
    finished(segmenting(tmp_path, tfds_home, "whole"))
    at = killed_again_and_again(tmp_path, segmenting(tmp_path, tfds_home, "killed"), 3, 3, 60)
    print("killed at steps", at)
    assert len(at) == 3 and 0 < at[0] < 60
    same_weights(*(Run(tmp_path / name) for name in ("whole", "killed")))
    assert not Run(tmp_path / "killed").checkpoints.exists()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_killed_twelve_times(tmp_path, tfds_home, precision):
    finished(command(tmp_path, tfds_home, precision, "whole", STEPS))
    at = killed_again_and_again(tmp_path, command(tmp_path, tfds_home, precision, "killed", STEPS), 12, 2, STEPS)
    print("killed at steps", at)
    assert len(at) == 12
    same_weights(*(Run(tmp_path / name) for name in ("whole", "killed")))
    same_log(*(Run(tmp_path / name) for name in ("whole", "killed")))


@pytest.mark.slow
def test_sigterm_saves_and_says_how_to_go_on(tmp_path, tfds_home, whole):
    process = start(command(tmp_path, tfds_home, "float32", "killed", 100))
    run = Run(tmp_path / "killed")
    wait_for(lambda: step_of(run) >= 14, process)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate()
    assert process.returncode == 0
    stopped = int(
        re.search(r"stopped at step (\d+), which is saved\. Resume it with: kresnet train --resume killed", told)[1]
    )
    assert step_of(run) == stopped >= 14
    finished(["train", "--resume", "killed", "--runs", str(tmp_path)])
    same_weights(run, whole)


def launched(arguments, workers=2, **watch):
    options = [item for key, value in watch.items() for item in (f"--{key.replace('_', '-')}", str(value))]
    return start(["launch", "--workers", str(workers), *options, "--", *arguments])


def workers_of(launcher, said):
    """Starts to read what the launcher says; each start of workers adds their process numbers to the list."""
    groups = []

    def read():
        for line in launcher.stderr:
            said.append(line)
            if found := re.search(r"workers, process ([\d, ]+)", line):
                groups.append([int(number) for number in found[1].split(",")])

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return groups, thread


def signalled(tmp_path, tfds_home, which, at, steps, **watch):
    """A launch of two workers, one of which gets a signal when the checkpoint of each of the steps `at` is there."""
    said = []
    launcher = launched(command(tmp_path, tfds_home, "float32", "killed", steps), **watch)
    groups, thread = workers_of(launcher, said)
    for number, step in enumerate(at):
        wait_for(lambda n=number, s=step: len(groups) > n and step_of(Run(tmp_path / "killed")) >= s, launcher)
        os.kill(groups[number][(number + 1) % 2], which)
    launcher.wait()
    thread.join()
    assert launcher.returncode == 0, "".join(said)[-3000:]
    return "".join(said)


def whole_by_two(tmp_path, tfds_home, steps):
    launcher = launched(command(tmp_path, tfds_home, "float32", "whole", steps))
    _, told = launcher.communicate()
    assert launcher.returncode == 0 and told.count("report: ") == 1, told[-3000:]
    return Run(tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_worker_recovers(tmp_path, tfds_home):
    said = signalled(tmp_path, tfds_home, signal.SIGKILL, [14], 70, max_restarts=1)
    assert "worker 1 was killed by signal 9; all workers were stopped" in said or "worker 0 ended" in said
    assert "starting again (1 of 1), from" in said
    same_weights(Run(tmp_path / "killed"), whole_by_two(tmp_path, tfds_home, 70))


@pytest.mark.slow
def test_two_workers_killed_four_times(tmp_path, tfds_home):
    said = signalled(tmp_path, tfds_home, signal.SIGKILL, [21, 63, 112, 161], STEPS, max_restarts=4)
    print(said)
    same_weights(Run(tmp_path / "killed"), whole_by_two(tmp_path, tfds_home, STEPS))


@pytest.mark.slow
def test_a_stalled_worker_is_found(tmp_path, tfds_home):
    said = signalled(tmp_path, tfds_home, signal.SIGSTOP, [14], 100, max_restarts=1, stall_timeout=30)
    # TensorFlow's own heartbeat may be missed before ours is.
    assert "worker 1 has died or does not answer" in said or "has stalled for 30 s (--stall-timeout)" in said
    assert "all workers were stopped" in said and "Traceback" not in said
    assert Run(tmp_path / "killed").is_finished


def test_a_stall_is_found_within_its_time(tmp_path, monkeypatch):
    """Of two workers that tell once that they live, one ends and the other one hangs."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "spec.json").touch()
    work = "import os, sys, time; from pathlib import Path; from keras_resnet.training.heartbeat import beat;"
    work += f"beat(Path({str(run)!r})); rank = os.environ['TF_CONFIG'][-3:-2]; time.sleep(60 * (rank == '1'))"
    monkeypatch.setattr(launching, "COMMAND", [sys.executable, "-c", work])
    began, said = time.monotonic(), []
    with pytest.raises(TrainingError, match="worker 1 has stalled for 3 s"):
        launching.launch(2, ["train"], launching.RestartPolicy(stall_timeout=3, max_restarts=0), said.append)
    assert 3 < time.monotonic() - began < 30
    assert said[-1] == "launch: worker 1 has stalled for 3 s (--stall-timeout); all workers were stopped"


def test_a_worker_that_never_begins(tmp_path, tfds_home):
    arguments = command(tmp_path, tfds_home, "float32", "late", 30)
    launcher = launched(arguments, start_timeout=0.5, max_restarts=1)
    _, told = launcher.communicate()
    assert launcher.returncode == 1
    assert "has not begun to train within 0.5 s (--start-timeout)" in told
    assert "the workers failed 2 times, the last time because worker 0 has not begun" in told


@pytest.mark.slow
def test_a_wrong_request_is_not_tried_again(tmp_path, tfds_home):
    launcher = launched([*command(tmp_path, tfds_home, "float32", "odd", 30), "--batch-size", "33"])
    _, told = launcher.communicate()
    assert launcher.returncode == 2
    assert "--batch-size must be a multiple of the 2 devices" in told and "starting again" not in told


@pytest.mark.slow
def test_a_torn_checkpoint_is_passed_over(tmp_path, tfds_home):
    arguments = command(tmp_path, tfds_home, "float32", "killed", 60)
    process = start(arguments)
    run = Run(tmp_path / "killed")
    wait_for(lambda: step_of(run) >= 28, process)
    process.kill()
    process.communicate()
    newest = manifests(run.checkpoints)[-1]
    assert len(manifests(run.checkpoints)) == 3
    data = newest.with_suffix(".safetensors")
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    before = int(manifests(run.checkpoints)[-2].stem.rpartition("-")[2])
    process = start(["train", "--resume", "killed", "--runs", str(tmp_path)])
    _, told = process.communicate()
    assert process.returncode == 0 and f"from step {before + 1} of 60" in told
    assert not run.checkpoints.exists()


def test_what_goes_on_keeps_how_it_speaks(tmp_path):
    arguments = ["-v", "train", "--depth", "8", "--json", "--runs", "here"]
    assert resume_arguments(arguments, tmp_path) == ["-v", "train", "--resume", str(tmp_path), "--json"]


def test_a_worker_that_dies_after_the_end_harms_nothing(tmp_path, monkeypatch):
    """The run is there; the worker fails all the same."""
    (tmp_path / "run").mkdir()
    for name in ("spec.json", "model.keras"):
        (tmp_path / "run" / name).touch()
    script = "import os, pathlib, time; pathlib.Path(os.environ['KRESNET_HEARTBEAT']).write_text({!r}); exit(3)"
    monkeypatch.setattr(launching, "COMMAND", [sys.executable, "-c", script.format(str(tmp_path / "run"))])
    said = []
    assert launching.launch(2, ["train"], launching.RestartPolicy(max_restarts=0), said.append) == 0
    assert "ended with exit code 3" in said[2] and "had finished before that" in said[3]


def test_launch_starts_trainings_only():
    launcher = start(["launch", "--workers", "2", "--", "export"])
    _, told = launcher.communicate()
    assert (
        launcher.returncode == 2 and "launch starts a training: kresnet launch" in told and "Received: export" in told
    )
