"""A process whose copies work: each as one that was just started, and none is left of it when its user ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_resnet.export.convert import share_imports
from keras_resnet.export.warm_process import IS_POSSIBLE, WarmProcess

pytestmark = pytest.mark.skipif(not IS_POSSIBLE, reason="a process is copied on Linux alone")
SHARED = """
import sys
from pathlib import Path
from keras_resnet.export.warm_process import WarmProcess
WarmProcess("warm_work", ()).run(("wait", "0"), Path(sys.argv[1]))
"""


@pytest.fixture
def process():
    process = WarmProcess("warm_work", ("json", "no_such_package"))
    yield process
    process.close()


def test_each_piece_of_work_is_as_in_a_process_of_its_own(process, tmp_path, monkeypatch):
    log = tmp_path / "log"
    for what, value, code in (("end", 0, 0), ("end", 3, 3), ("die", 11, -11), ("read", 0, 0), ("end", 0, 0)):
        folder = tmp_path / f"{what}{value}"
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("OF_THE_TEST", folder.name)
        assert process.run((what, str(value)), log) == code
        # The first that this process does, in the place and the environment of now; standard input is empty.
        assert log.read_text() == f"{what} {value} 1 {folder} {folder.name}\nfrom native code\n"


def test_it_starts_again_where_it_was_killed(process, tmp_path):
    for _ in range(2):
        assert process.run(("end", "0"), tmp_path / "log") == 0
        process._process.kill()
        process._process.wait()
    assert process.run(("end", "2"), tmp_path / "log") == 2


def test_work_whose_process_is_killed_with_it_has_failed(process, tmp_path):
    assert process.run(("die", "0"), tmp_path / "log") == 0
    genuine, killed = process._start, []

    def start():
        killed.append(genuine())
        os.kill(killed[0].pid, signal.SIGKILL)
        return killed[0]

    process._start = start
    assert process.run(("end", "0"), tmp_path / "log") == -signal.SIGKILL
    process._start = genuine
    assert process.run(("end", "0"), tmp_path / "log") == 0


def test_a_log_that_cannot_be_written_is_said_here(process, tmp_path):
    with pytest.raises(FileNotFoundError):
        process.run(("end", "0"), tmp_path / "no" / "log")


def processes_of(parent):
    """The warm process of `parent` and its copies, which have its command line."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            words = (each / "cmdline").read_bytes().split(b"\0")
            state = (each / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if b"keras_resnet.export.warm_process" in words and str(parent).encode() in words and state != "Z":
            found.append(int(each.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_parent_and_so_does_the_work(tmp_path, number):
    paths = os.pathsep.join(each for each in sys.path if each)
    environment = os.environ | {"PYTHONPATH": paths}
    parent = subprocess.Popen([sys.executable, "-c", SHARED, tmp_path / "log"], env=environment)
    try:
        end = time.monotonic() + 60
        while not ((tmp_path / "log").is_file() and (tmp_path / "log").read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        assert len(processes_of(parent.pid)) == 2
        parent.send_signal(number)
        parent.wait(30)
    finally:
        parent.kill()
    end = time.monotonic() + 30
    while processes_of(parent.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert processes_of(parent.pid) == []


def test_conversions_that_share_already_go_on_to():
    """As those of all tests do: the block inside ends nothing."""
    from keras_resnet.export import convert

    shared = convert._process.get()
    with share_imports():
        assert convert._process.get() is shared is not None
    assert convert._process.get() is shared
