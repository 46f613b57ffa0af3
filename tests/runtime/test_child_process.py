"""Processes that kresnet starts: they end with it, however it ends, and nothing is written or left afterwards."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import opening
import pytest
from samples import paint

from keras_resnet.runtime.temporary_files import remove_leftovers

ENDINGS = {
    signal.SIGTERM: 143,
    signal.SIGHUP: 129,
    signal.SIGINT: 130,
    signal.SIGKILL: -9,
}
# What `kresnet` does around a command, around work that starts a process.
AROUND = (
    "import sys, traceback\n"
    "from pathlib import Path\n"
    "from keras_resnet.signals import exit_on_signals\n"
    "try:\n"
    "    with exit_on_signals():\n"
    "        {}\n"
    "except KeyboardInterrupt:\n"
    "    sys.exit(130)\n"
)
CONVERTING = (
    "from keras_resnet.export.convert import convert; from keras_resnet.export.load import load_file;"
    " from keras_resnet.export.formats import get_format; from keras_resnet.export.formats.base import Conversion;"
    " convert(Path(sys.argv[1]), get_format('savedmodel'), Conversion(load_file(Path(sys.argv[2])).card),"
    " Path(sys.argv[3]), Path(sys.argv[3] + '.log'))"
)
MEASURING = (
    "import numpy as np; from keras_resnet.export.benchmark import measure_cost;"
    " measure_cost(Path(sys.argv[2]), np.zeros((1, 8, 8, 3), np.uint8), [1] * 999); Path(sys.argv[3]).mkdir()"
)


def parts_of(process):
    """Its state's letter and its parent, or None where it is no more."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return words[0], int(words[1])


def is_running(process):
    parts = parts_of(process)
    return parts is not None and parts[0] != "Z"


def children_of(process):
    """Its children that run, by number, with their commands."""
    found = {}
    for each in Path("/proc").glob("[0-9]*"):
        parts = parts_of(each.name)
        if parts and parts[1] == process and parts[0] != "Z":
            found[int(each.name)] = (each / "cmdline").read_bytes().decode(errors="replace")
    return found


def until(condition, seconds=240):
    """What `condition` answers, as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def end_while(command, module, number):
    """Start `command`, send it signal `number` while its child runs `module`; its exit code, and the child's number."""
    parent = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        (child, *_) = until(
            lambda: (
                (parent.poll() is not None and [0]) or [n for n, c in children_of(parent.pid).items() if module in c]
            )
        )
        assert child, "it ended too soon"
        until(lambda: "imported" if b"numpy" in Path(f"/proc/{child}/maps").read_bytes() else "")
        parent.send_signal(number)
        code = parent.wait(120)
    finally:
        parent.kill()
    until(lambda: not is_running(child), 30)
    return code


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", ENDINGS)
def test_a_conversion_ends_with_its_parent(exported, tmp_path, number):
    run, target = exported[0], tmp_path / "out"
    command = [sys.executable, "-c", AROUND.format(CONVERTING)]
    code = end_while(
        [*command, run.model_file, run.exports / "float32.tflite", target], "keras_resnet.export.convert", number
    )
    assert code == ENDINGS[number] and not target.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_measurement_ends_with_its_parent(exported, tmp_path, number):
    run = exported[0]
    command = [sys.executable, "-c", AROUND.format(MEASURING)]
    code = end_while(
        [*command, "", run.exports / "float32.tflite", tmp_path / "done"], "keras_resnet.export.benchmark", number
    )
    assert code == ENDINGS[number] and not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("before", "code", "told"),
    [("", 129, "raised\n"), ("signal.signal(signal.SIGHUP, signal.SIG_IGN)\n", 0, "went on\ngiven back\n")],
)
def test_a_hang_up_ends_a_command_unless_it_is_ignored(before, code, told):
    """As nohup has it. Afterwards signals are again what they were."""
    script = (
        f"import os, signal\nfrom keras_resnet.signals import exit_on_signals\n{before}"
        "try:\n"
        "    with exit_on_signals():\n"
        "        os.kill(os.getpid(), signal.SIGHUP)\n"
        "        print('went on')\n"
        "except SystemExit:\n"
        "    print('raised')\n"
        "    raise\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "print('given back')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, told)


def test_commands_work_in_other_threads():
    """Which may not listen to signals."""
    from concurrent.futures import ThreadPoolExecutor

    from keras_resnet.signals import exit_on_signals

    def run():
        with exit_on_signals():
            return "done"

    with ThreadPoolExecutor() as pool:
        assert pool.submit(run).result() == "done"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "module", "number"),
    [
        (["export", "RUN", "--tflite", "--quantize", "int8", "--samples", "20"], "export.convert", signal.SIGTERM),
        (["export", "RUN", "--c-array", "--samples", "20"], "export.convert", signal.SIGHUP),
        (["export", "RUN", "--onnx", "--samples", "20"], "export.convert", signal.SIGKILL),
        (["export", "RUN", "--tflite", "--quantize", "float32", "--samples", "20"], "export.benchmark", signal.SIGINT),
        (["verify", "FILE", "--samples", "20"], "export.benchmark", signal.SIGTERM),
        (["verify", "FILE", "--samples", "20"], "export.benchmark", signal.SIGKILL),
    ],
)
def test_a_command_ends_with_its_children(exported, tmp_path, arguments, module, number):
    folder = Path(shutil.copytree(exported[0].folder, tmp_path / "run"))
    verdicts = (folder / "exports" / "verdicts.json").read_text()
    names = {"RUN": folder, "FILE": folder / "exports" / "float32.tflite"}
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix != ".log"}
    command = [sys.executable, "-m", "keras_resnet", *(str(names.get(each, each)) for each in arguments)]
    assert end_while(command, module, number) == ENDINGS[number]
    time.sleep(3)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix != ".log"}
    # Of one that was killed a hidden file may be there, which the next command sweeps.
    hidden = {path for path in after if path.name.startswith(".")}
    assert (number == signal.SIGKILL or not hidden) and (folder / "exports" / "verdicts.json").read_text() == verdicts
    changed = {path.name for path in set(after) - hidden if path.is_file() and before.get(path) != after[path]}
    # An export that is interrupted while it verifies renews what stands beside the files that are there.
    beside = {"model_card.md", "labels.txt", "golden.npz", "classify.py", "preprocess.py", "report.html"}
    is_verifying = arguments[0] == "export" and module == "export.benchmark"
    assert changed <= {"calibration.json"} | (beside if is_verifying else set())
    remove_leftovers(folder / "exports")
    assert not list((folder / "exports").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["diagnose", "RUN"], ["compress", "RUN", "--qat", "--epochs", "1"]])
def test_a_command_without_children_ends_tidily(exported, tmp_path, arguments):
    """Told to end a second after TensorFlow is there."""
    folder = Path(shutil.copytree(exported[0].folder, tmp_path / "runs" / "run"))
    before = sorted(folder.rglob("*"))
    command = [sys.executable, "-m", "keras_resnet", *arguments, "--runs", str(tmp_path / "runs")]
    command[command.index("RUN")] = "run"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until(lambda: process.poll() is not None or b"tensorflow" in Path(f"/proc/{process.pid}/maps").read_bytes())
    time.sleep(1)
    process.terminate()
    told = process.communicate(timeout=240)[1]
    assert process.returncode in (0, 143) and "Traceback" not in told and not children_of(process.pid)
    assert sorted(folder.rglob("*")) == before


def test_what_a_killed_export_left_is_swept(kresnet, exported, tmp_path):
    """By the next command, though that fails; what a living process writes is left alone."""
    folder = Path(shutil.copytree(exported[0].folder, tmp_path / "run"))
    exports, few = folder / "exports", paint(tmp_path / "few", 1)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    kept = [exports / ".notes", exports / f".{living.pid}-int8.tflite", exports / f".{os.getpid()}-float32.tflite"]
    left = [exports / f".{gone.pid}-int8.tflite", exports / f".{gone.pid}-verdicts.json"]
    for file in (*kept, *left):
        file.write_bytes(b"half")
    folders = [exports / f".{gone.pid}-saved_model", exports / f".{living.pid}-saved_model"]
    for each in folders:
        (each / "variables").mkdir(parents=True)
    # A number that was given out again: this process began later than that.
    old = exports / f".{os.getpid()}-model.onnx"
    old.write_bytes(b"old")
    os.utime(old, (10**9, 10**9))
    try:
        code, _, err = kresnet("export", folder, "--tflite", "--calibration-data", few)
    finally:
        living.communicate(b"\n")
    assert code == 1 and "calibration takes 20 images or more" in err[-1]
    assert {path for path in exports.glob(".*")} == {*kept, folders[1]}


def test_a_script_sweeps_beside_its_file_alone(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mine, other = tmp_path / f".{gone.pid}-model.tflite", tmp_path / f".{gone.pid}-thesis.doc"
    for file in (mine, other):
        file.write_bytes(b"half")
    remove_leftovers(tmp_path, "model.tflite")
    assert list(tmp_path.iterdir()) == [other]
    remove_leftovers(tmp_path / "absent")


def test_modules_of_the_current_folder_are_not_imported(exported, tmp_path):
    """Files from elsewhere come in folders, and in such a folder commands are typed."""
    for name in ("numpy", "json", "zipfile", "random", "keras_resnet"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'taken')!r}, 'w')\nraise SystemExit(9)\n")
    from keras_resnet.runtime.child_process import child_command

    command = child_command("keras_resnet.runtime.sandbox", "keras_resnet.runtime.tflite_model", "TFLiteModel")
    done = subprocess.run(
        [*command, str(exported[0].exports / "int8.tflite")], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "taken").exists()


def test_a_child_whose_parent_is_gone_ends_at_once(tmp_path):
    """Though it ended before the child could ask to be told."""
    code = "from keras_resnet.runtime.child_process import exit_with_parent; exit_with_parent(2**22);"
    code += f"open({str(tmp_path / 'went_on')!r}, 'w')"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL and not list(tmp_path.iterdir())


def test_files_are_tried_once(exported, tmp_path, monkeypatch):
    """Moved they are the same; changed they are not."""
    from keras_resnet.runtime import sandbox
    from keras_resnet.runtime.tflite_model import TFLiteModel

    started, genuine = [], subprocess.Popen
    monkeypatch.setattr(sandbox.subprocess, "Popen", lambda *a, **k: started.append(a) or genuine(*a, **k))
    file = tmp_path / "a.tflite"
    file.write_bytes((exported[0].exports / "int8.tflite").read_bytes())
    with opening.patched():
        TFLiteModel(file)
        TFLiteModel(file)
        TFLiteModel(file.rename(tmp_path / "b.tflite"))
        assert len(started) == 1
        (tmp_path / "b.tflite").write_bytes((exported[0].exports / "float32.tflite").read_bytes())
        TFLiteModel(tmp_path / "b.tflite")
        assert len(started) == 2
