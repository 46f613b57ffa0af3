"""Run folders under races, signals, full disks and hands that move them: nothing is lost, taken twice, left behind."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from samples import paint, silent

from keras_resnet.config.spec import Spec
from keras_resnet.data.sources import image_folder as folders
from keras_resnet.errors import (
    DataError,
    RunError,
    TrainingError,
    TrainingInterrupted,
    TrainingStopped,
    UsageError,
    WeightsError,
)
from keras_resnet.run import Run
from keras_resnet.training import launch as launching
from keras_resnet.training.checkpoint import Checkpoints, Progress, manifests
from keras_resnet.training.logger import Logger
from keras_resnet.training.loop import TrainingLoop
from keras_resnet.training.train import resume, train

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
        with pytest.raises(UsageError, match="must be a plain name that is not taken"):
            Run.create(tmp_path, Spec(), ("a", "b"), name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_a_taken_name_is_refused_before_anything_is_read(kresnet, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    code, _, err = kresnet("train", "--data", tmp_path / "missing", "--name", "taken", "--runs", tmp_path)
    assert code == 2 and len(err) == 1 and "not taken" in err[0]


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


def interrupted(spec, home, name="cut", steps=0):
    """A training of which Ctrl-C came before the first step after `steps`."""
    with pytest.MonkeyPatch.context() as patch:
        genuine, asked = TrainingLoop._check_alive, []

        def alive(self):
            genuine(self)
            if self.progress.step >= steps and not asked:
                asked.append(True)
                signal.raise_signal(signal.SIGINT)

        patch.setattr(TrainingLoop, "_check_alive", alive)
        with pytest.raises(TrainingInterrupted):
            train(spec, home, name, silent)
    return Run(home / name)


@pytest.fixture(scope="module")
def short(quick_spec):
    return replace(quick_spec, training=replace(quick_spec.training, epochs=2, checkpoint_every=10))


@pytest.fixture(scope="module")
def begun(short, tmp_path_factory):
    """An interrupted run, to be copied."""
    return interrupted(short, tmp_path_factory.mktemp("begun"), steps=60)


@pytest.fixture
def cut(begun, tmp_path):
    return Run(shutil.copytree(begun.folder, tmp_path / "cut"))


HOLDING = "import sys, time; from pathlib import Path; from keras_resnet.run.lock import lock_run\n"
HOLDING += "with lock_run(Path(sys.argv[1])): print(flush=True); time.sleep(600)"


def test_one_training_at_a_time(cut, kresnet):
    holder = subprocess.Popen([sys.executable, "-c", HOLDING, str(cut.folder)], stdout=subprocess.PIPE)
    holder.stdout.readline()
    before = sorted((path.name, path.stat().st_mtime_ns) for path in cut.folder.rglob("*"))
    code, _, err = kresnet("train", "--resume", "cut", "--runs", cut.folder.parent)
    assert code == 1 and f"kresnet: run cut is being trained by process {holder.pid} on " in err[-1]
    assert sorted((path.name, path.stat().st_mtime_ns) for path in cut.folder.rglob("*")) == before
    holder.kill()
    holder.wait()
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
    for command in (["report", "run"], ["compare", "run"], ["train", "--resume", "run"]):
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


@pytest.mark.parametrize("what", ["deleted", "moved", "replaced"])
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
        pytest.param("close", "metrics.json", marks=pytest.mark.slow),
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


def edit_json(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "change",
    [
        lambda saved: saved.update(step=saved["step"] + 44),
        lambda saved: saved.update(step="60"),
        lambda saved: saved.update(sums=[[1]]),
        lambda saved: saved.update(sums=[value + 1 for value in saved["sums"]]),
        lambda saved: saved.update(best={"epoch": "x"}),
        lambda saved: saved.update(best={"epoch": 1, "loss": 0.5}),
        lambda saved: saved.pop("sums"),
        lambda saved: saved.update(sha256=None),
    ],
)
def test_a_checkpoint_whose_words_were_changed_is_passed_over(cut, change):
    whole = [int(path.stem.partition("-")[2]) for path in manifests(cut.checkpoints)]
    edit_json(manifests(cut.checkpoints)[-1], change)
    kernel = np.zeros(3, np.float32)

    class Variable:
        """Takes the shapes of the checkpoint."""

        def __init__(self, array):
            self.shape, self.array = array.shape, array

        def numpy(self):
            return self.array

        def assign(self, array):
            self.array = array

    from safetensors.numpy import load

    arrays = load(manifests(cut.checkpoints)[0].with_suffix(".safetensors").read_bytes())
    variables = [Variable(np.zeros_like(arrays[name])) for name in sorted(arrays)]
    assert Checkpoints(cut.checkpoints, variables).restore().step == whole[-2]
    with pytest.raises(RunError, match=r"are unreadable: .* \(step-"):
        Checkpoints(cut.checkpoints, [Variable(kernel)]).restore()


def test_a_torn_last_line_of_the_log_stops_nothing(cut, kresnet):
    row = cut.log_file.read_text()
    cut.log_file.write_text(row + row[: len(row) // 2])
    said = []
    resume(cut, said.append)
    assert any("left out 1 of 2 rows" in line for line in said)
    assert [each["epoch"] for each in cut.read_log()] == [1, 2]


@pytest.fixture
def pictures(tmp_path):
    return paint(tmp_path / "pictures", 20)


def of_pictures(short, pictures):
    return replace(short, data=replace(short.data, source=str(pictures), image_size=16, resize=16))


CHANGES = {
    "deleted": (lambda folder: (folder / "red" / "003.png").unlink(), "validation has 11 images, had 12"),
    "moved": (
        lambda folder: (folder / "red" / "003.png").rename(folder / "blue" / "red.png"),
        "train has other labels or annotations, or another order",
    ),
    "changed": (
        lambda folder: Image.new("RGB", (16, 16)).save(folder / "red" / "003.png"),
        "images of train have other pixels",
    ),
    "renamed": (
        lambda folder: (folder / "red" / "003.png").rename(folder / "red" / "003b.png"),
        "files of train have other names or sizes",
    ),
}


@pytest.mark.parametrize(
    ("what", "in_memory"),
    [
        ("deleted", True),
        pytest.param("renamed", False, marks=pytest.mark.slow),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("moved", True), ("changed", True))),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("deleted", False), ("changed", False))),
    ],
)
def test_changed_data_are_told_and_refused(short, pictures, tmp_path, kresnet, monkeypatch, what, in_memory):
    monkeypatch.setattr(folders, "fits_memory", lambda images, resize: in_memory)
    # All images of one split, so that each change is in it.
    monkeypatch.setattr(folders, "hold_out_rows", lambda labels, share, classes: np.split(np.arange(len(labels)), [48]))
    monkeypatch.setattr(folders, "require_all_classes", lambda splits, classes: None)
    run = interrupted(of_pictures(short, pictures), tmp_path / "runs")
    change, words = CHANGES[what]
    if what == "changed" and not in_memory:
        words = CHANGES["renamed"][1]
    change(pictures)
    before, step = run.spec_file.read_bytes(), int(manifests(run.checkpoints)[-1].stem.partition("-")[2])
    code, _, err = kresnet("train", "--resume", "cut", "--runs", tmp_path / "runs")
    assert code == 1 and "the data of run cut has changed since it was started: " in err[-1] and words in err[-1], err
    assert "--resume cut --data-changed" in err[-1] and run.spec_file.read_bytes() == before
    code, _, err = kresnet("train", "--resume", "cut", "--data-changed", "--runs", tmp_path / "runs")
    assert code == 0 and run.is_finished
    (told,) = run.document()["changes"]
    assert words in told["what"] and told["step"] == step >= 1
    assert run.document()["data"]["validation"]["images"] == 12 - (what == "deleted")


@pytest.mark.slow
def test_data_that_are_as_they_were_go_on(short, pictures, tmp_path, monkeypatch):
    """Read from disk at first, kept in memory then; touched, copied elsewhere and back."""
    monkeypatch.setattr(folders, "fits_memory", lambda images, resize: False)
    run = interrupted(of_pictures(short, pictures), tmp_path / "runs")
    monkeypatch.undo()
    copy = shutil.copytree(pictures, tmp_path / "copy")
    shutil.rmtree(pictures)
    copy.rename(pictures)
    assert resume(run, silent).is_finished and "changes" not in run.document()


def test_data_changed_is_for_what_goes_on(kresnet, tmp_path):
    code, _, err = kresnet("train", "--data-changed", "--runs", tmp_path)
    assert code == 2 and "--data-changed is for a run that goes on: it needs --resume" in err[-1]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("network.width", 1e6, "parameters takes"),
        ("training.batch_size", 10**9, "a batch of 1000000000 images"),
        ("data.image_size", 16000, "images of 16000 pixels takes"),
        ("data.image_size", 10**7, "8 to 16384 pixels"),
        ("network.depth", 600_002, "at most 2000"),
    ],
)
def test_what_no_memory_holds_is_refused_before_it_is_tried(cut, key, value, words):
    first, second = key.split(".")

    def change(document):
        document["spec"][first][second] = value
        document["spec"]["data"]["resize"] = max(8, document["spec"]["data"]["image_size"])

    edit_json(cut.spec_file, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((UsageError, RunError), match=words):
        resume(cut, silent)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 2**20


def test_a_study_that_is_stopped_does_not_go_on(short, tmp_path, monkeypatch):
    from keras_resnet.studies import plan

    def stopped(*arguments):
        raise TrainingStopped("stopped at step 3, which is saved")

    monkeypatch.setattr(plan, "train", stopped)
    with pytest.raises(TrainingStopped):
        plan.run_trial("resnet8", 0, short, tmp_path, silent)


WORKING = """
import os, signal, sys, time
from pathlib import Path
from keras_resnet.signals import end_with_launcher, stopping_signals
def stop(number, frame):
    Path(sys.argv[1], f"{os.getpid()}-{number}").touch()
    sys.exit(0)
for number in stopping_signals():
    signal.signal(number, stop)
end_with_launcher()
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
    ignoring += "from keras_resnet.signals import stopping_signals as s; print([n.name for n in s()])"
    told = subprocess.run([sys.executable, "-c", ignoring], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "['SIGTERM', 'SIGINT']"


def test_workers_of_a_run_that_was_deleted_are_not_started_again(tmp_path, monkeypatch):
    work = "import os, pathlib; pathlib.Path(os.environ['KRESNET_HEARTBEAT']).write_text('/nowhere/run'); exit(1)"
    monkeypatch.setattr(launching, "COMMAND", [sys.executable, "-c", work])
    with pytest.raises(TrainingError, match="the folder of the run is gone: /nowhere/run was deleted or moved"):
        launching.launch(2, ["train"], launching.RestartPolicy(max_restarts=3), silent)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("network", "depth"), 14),
        (("network", "width"), 2.0),
        (("network", "squeeze_excitation"), True),
        (("optimizer", "name"), "adamw"),
        (("training", "ema"), 0.9),
    ],
)
def test_a_spec_changed_by_hand_is_named_once(cut, kresnet, key, value):
    section, name = key
    assert len(manifests(cut.checkpoints)) == 3
    edit_json(cut.spec_file, lambda document: document["spec"][section].update({name: value}))
    before = sorted(path.name for path in cut.checkpoints.iterdir())
    code, _, err = kresnet("train", "--resume", "cut", "--runs", cut.folder.parent)
    assert code == 1 and err[-1].count("spec.json") == 1 and "step-" not in err[-1]
    assert "do not fit the network and the optimizer that" in err[-1] and str(cut.spec_file) in err[-1]
    assert sorted(path.name for path in cut.checkpoints.iterdir()) == before


def test_checkpoints_with_one_fault_say_it_once(cut):
    for document in manifests(cut.checkpoints):
        document.with_suffix(".safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"unreadable: (?!.*hash.*hash).*\(step-\d+, step-\d+, step-\d+\)$"):
        Checkpoints(cut.checkpoints, []).restore()
