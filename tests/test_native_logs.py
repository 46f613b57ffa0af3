"""Native chatter is kept away while a command runs; whoever called it has all back afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CALLER = """
import logging, os, sys, warnings
def state():
    return sys.stderr, os.environ.get("TF_CPP_MIN_LOG_LEVEL"), list(warnings.filters), os.fstat(2), descriptors()
def descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
from keras_resnet import progress
from keras_resnet.cli import main
before, shown = state(), progress._display
if {during!r} == "chatter":
    main.run_command = lambda arguments: os.write(2, b"native chatter") and 0
if {during!r} == "raises":
    def fails(arguments):
        os.write(2, b"native chatter")
        raise ValueError("a fault of ours")
    main.run_command = fails
sys.argv = ["kresnet", *{arguments!r}]
try:
    main.main()
except SystemExit as ended:
    print("exit", ended.code)
assert state()[:4] == before[:4] and progress._display is shown
os.write(2, b"native words of the caller\\n")
warnings.warn("a warning of the caller")
raise ValueError("a traceback of the caller")
"""


def called(tmp_path, arguments, during=""):
    script = tmp_path / "caller.py"
    script.write_text(CALLER.format(arguments=arguments, during=during))
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )


@pytest.mark.parametrize(
    ("arguments", "during", "code"),
    [
        (["recipes"], "", 0),
        (["export", "nothing"], "", 1),
        (["runs", "--runs", "nowhere"], "", 2),
        (["runs"], "chatter", 0),
    ],
)
def test_a_caller_has_its_standard_error_back(tmp_path, arguments, during, code):
    done = called(tmp_path, arguments, during)
    assert f"exit {code}" in done.stdout
    for words in ("native words of the caller", "a warning of the caller", "ValueError: a traceback of the caller"):
        assert words in done.stderr
    assert "native chatter" not in done.stderr


def test_also_where_the_command_breaks(tmp_path):
    done = called(tmp_path, ["runs"], "raises")
    assert "ValueError: a fault of ours" in done.stderr and "native chatter" not in done.stderr


def test_a_stream_that_is_no_descriptor_stays(monkeypatch):
    """That of a notebook: messages go on to its cells."""
    import io

    from keras_resnet.native_logs import silence_native_logs

    cell = io.StringIO()
    monkeypatch.setattr(sys, "stderr", cell)
    with silence_native_logs():
        assert sys.stderr is cell
        print("told", file=sys.stderr)
    assert cell.getvalue() == "told\n" and sys.stderr is cell


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's list of descriptors")
def test_no_descriptor_is_left_open(monkeypatch):
    from keras_resnet.native_logs import silence_native_logs

    count = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with silence_native_logs():
            os.write(2, b"chatter")
    assert len(os.listdir("/proc/self/fd")) <= count + 1


def test_tensorflow_is_quiet_in_an_interactive_python_too(caplog):
    """Where it gives its logger a level of its own, when it is imported in the middle of a call."""
    import logging

    from keras_resnet.native_logs import silence_native_logs

    logger = logging.getLogger("tensorflow")
    before = logger.level
    try:
        with silence_native_logs():
            logger.setLevel(logging.INFO)
            logger.warning("5 out of the last 5 calls triggered retracing")
            logging.getLogger("absl").warning("no signature")
            logger.error("an error")
        assert [record.message for record in caplog.records] == ["an error"]
        logger.warning("of the caller")
        assert caplog.records[-1].message == "of the caller" and logger.filters == []
    finally:
        logger.setLevel(before)


def test_a_function_of_the_package_is_quiet(tmp_path):
    """Whatever it imports or computes; in another thread it leaves standard error alone."""
    script = """
import os, threading
from keras_resnet.native_logs import quiet
@quiet
def work(words):
    os.write(2, words)
work(b"native chatter")
thread = threading.Thread(target=work, args=(b"of a thread",))
thread.start()
thread.join()
os.write(2, b" of the caller")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr == "of a thread of the caller"
    import keras_resnet as kr

    wrapped = (kr.create_model, kr.create_backbone, kr.load_weights, kr.quantize, kr.choose_precision)
    assert all(hasattr(each, "__wrapped__") for each in (*wrapped, kr.export.export_tflite))
