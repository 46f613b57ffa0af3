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
from keras_resnet.evaluation.evaluate import load_keras_file
from keras_resnet.export import convert as convert_module
from keras_resnet.export.convert import CONVERTER, convert, converting
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Conversion
from keras_resnet.export.load import load_file
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions


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


def test_files_of_a_kept_model_are_those_of_one_that_was_read_for_them(exported, tmp_path):
    """Also where it was prepared; and a model that was written again is read again."""
    run, model = exported[0], tmp_path / "model.keras"
    file_format = get_format("tflite")
    card = load_file(run.exports / "float32.tflite").card
    jobs = [Conversion(card, TFLiteOptions(SCHEMES[name], "uint8")) for name in ("float32", "dynamic")]

    def write(name):
        for number, job in enumerate(jobs):
            convert(model, file_format, job, tmp_path / f"{name}{number}", tmp_path / f"{name}.log")
        return [(tmp_path / f"{name}{number}").read_bytes() for number in range(len(jobs))]

    shutil.copy(run.model_file, model)
    CONVERTER.end()
    CONVERTER.prepare(model, [(file_format, job.options) for job in jobs])
    prepared, process = write("prepared"), CONVERTER._process.pid
    CONVERTER.end()
    assert write("first") == prepared and CONVERTER._process.pid != process
    scratch = CONVERTER._scratch
    assert any(scratch.rglob("saved_model.pb"))
    negate_weights(model)
    others = write("other")
    assert others[0] != prepared[0] and others[1] != prepared[1]
    CONVERTER.end()
    assert not scratch.exists()


def negate_weights(file):
    model = load_keras_file(file)
    model.set_weights([-each for each in model.get_weights()])
    model.save(file)


def test_a_model_that_cannot_be_prepared_fails_where_it_is_converted(exported, tmp_path):
    run, model, file_format = exported[0], tmp_path / "model.keras", get_format("tflite")
    options = TFLiteOptions(SCHEMES["float32"], "uint8")
    conversion = Conversion(load_file(run.exports / "float32.tflite").card, options)
    model.write_bytes(b"not a model")
    CONVERTER.prepare(model, [(file_format, options)])
    with pytest.raises(ExportError, match=r"failed .exit code 1.; its output is in"):
        convert(model, file_format, conversion, tmp_path / "a.tflite", tmp_path / "a.log")
    assert "Traceback" in (tmp_path / "a.log").read_text() and not (tmp_path / "a.tflite").exists()
    shutil.copy(run.model_file, model)
    convert(model, file_format, conversion, tmp_path / "a.tflite", tmp_path / "a.log")
    assert load_file(tmp_path / "a.tflite").card == conversion.metadata


def test_conversions_that_were_begun_follow_one_another_and_a_cancelled_one_leaves_the_others(
    exported, tmp_path, monkeypatch
):
    """However long the one that goes on takes, and whenever somebody asks for it."""
    run, saved_model = exported[0], get_format("savedmodel")
    conversion = Conversion(load_file(run.exports / "float32.tflite").card)

    def begin(name):
        return converting(run.model_file, saved_model, conversion, tmp_path / name, tmp_path / f"{name}.log")

    CONVERTER.end()
    monkeypatch.setattr(convert_module, "IDLE_SECONDS", 0.01)
    with begin("a") as wait_for_a:
        process = CONVERTER._process.pid
        time.sleep(0.5)
        monkeypatch.undo()
        with begin("b") as wait_for_b:
            assert (tmp_path / "a" / "saved_model.pb").is_file() and CONVERTER._process.pid == process
            wait_for_b()
            wait_for_a()
        with begin("c"):
            pass
        assert not is_there(process) and CONVERTER._process is None
        assert not (tmp_path / "c.log").exists() and (tmp_path / "b.log").is_file()
        wait_for_a()
    (tmp_path / "damaged.keras").write_bytes(b"not a model")
    with converting(tmp_path / "damaged.keras", saved_model, conversion, tmp_path / "d", tmp_path / "d.log") as wait:
        CONVERTER.wait_until_idle()
        for _ in range(2):
            with pytest.raises(ExportError, match=r"failed .exit code 1.; its output is in .*d\.log"):
                wait()
    with begin("e") as wait:
        CONVERTER.end()
        with pytest.raises(ExportError, match="failed"):
            wait()


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process")
def test_where_a_log_cannot_be_written_the_conversion_fails_and_nothing_else(exported, tmp_path):
    """As on a full disk. Waiting until nothing is converted raises no error; waiting for the file does."""
    run, saved_model = exported[0], get_format("savedmodel")
    conversion = Conversion(load_file(run.exports / "float32.tflite").card)
    CONVERTER.start()
    os.kill(CONVERTER._process.pid, signal.SIGSTOP)
    with converting(run.model_file, saved_model, conversion, tmp_path / "a", tmp_path / "a.log") as wait:
        (tmp_path / "a.log").unlink()
        (tmp_path / "a.log").mkdir()
        os.kill(CONVERTER._process.pid, signal.SIGCONT)
        CONVERTER.wait_until_idle()
        with pytest.raises(ExportError, match=r"failed .exit code 1.; its output could not be written .Is a directory"):
            wait()
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(ExportError, match=f"to savedmodel cannot begin: .*: {tmp_path}/file"),
        converting(run.model_file, saved_model, conversion, tmp_path / "a", tmp_path / "file" / "a.log"),
    ):
        pass
