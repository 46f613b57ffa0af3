"""The process that converts models: it stays for the next file, is made anew after it died, and sees what its parent
sees."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from keras_resnet.errors import ExportError
from keras_resnet.export import convert as convert_module
from keras_resnet.export.convert import CONVERTER, convert
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Conversion
from keras_resnet.export.load import load_file


@pytest.fixture
def written(exported, tmp_path):
    """Writes a file from the shared run's model, or another, and returns the number of the process that did it."""
    run = exported[0]
    conversion = Conversion(load_file(run.exports / "float32.tflite").card)

    def write(name, model=run.model_file):
        convert(model, get_format("savedmodel"), conversion, tmp_path / name, tmp_path / f"{name}.log")
        assert (tmp_path / name / "saved_model.pb").is_file()
        return CONVERTER._process.pid

    return write


def is_there(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_one_process_converts_until_it_is_idle(written, tmp_path, monkeypatch):
    """A damaged model ends it, with its traceback in that model's log alone; so does a signal between two files."""
    first = written("a")
    assert written("b") == first
    (tmp_path / "damaged.keras").write_bytes(b"not a model")
    with pytest.raises(ExportError, match=r"failed .exit code 1.; its output is in .*c\.log"):
        written("c", tmp_path / "damaged.keras")
    assert "Traceback" in (tmp_path / "c.log").read_text() and not (tmp_path / "c").exists()
    second = written("d")
    assert second != first and "Traceback" not in (tmp_path / "d.log").read_text()
    os.kill(second, signal.SIGKILL)
    os.waitid(os.P_PID, second, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(convert_module, "IDLE_SECONDS", 0.5)
    third = written("e")
    assert third != second
    end = time.monotonic() + 20
    while is_there(third) and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_there(third)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_follows_its_parent_to_other_folders_and_has_no_gpu(exported, written, tmp_path, monkeypatch):
    process = written("a")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    shutil.copy(exported[0].model_file, "model.keras")
    conversion = Conversion(load_file(exported[0].exports / "float32.tflite").card)
    convert(Path("model.keras"), get_format("savedmodel"), conversion, Path("b"), Path("b.log"))
    assert (tmp_path / "here" / "b" / "saved_model.pb").is_file() and CONVERTER._process.pid == process
    assert b"CUDA_VISIBLE_DEVICES=-1\0" in Path(f"/proc/{process}/environ").read_bytes()
