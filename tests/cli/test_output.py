"""What foreign text and odd ends of a pipe do to what the commands print: nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_resnet.cli import console
from keras_resnet.runtime.printable import make_printable

KRESNET = [sys.executable, "-m", "keras_resnet"]
ESCAPE = "\x1b]0;owned\x07\x1b[2J"


def run(*arguments, **options):
    return subprocess.run([*KRESNET, *arguments], capture_output=True, check=False, **options)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("café 猫 👩‍👩‍👧 نمی‌دانم", "café 猫 👩‍👩‍👧 نمی‌دانم"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u2028b\x85c", r"a\u2028b\x85c"),
        ("cat\u202egpj.exe", r"cat\u202egpj.exe"),
        ("caf\udce9", r"caf\udce9"),
        ("", ""),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(text, shown):
    assert make_printable(text) == shown


def test_every_way_to_the_terminal_shows_it(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    console.log(ESCAPE)
    console.emit(ESCAPE)
    console.emit_json({"label": ESCAPE})
    console.print_table(ESCAPE, ["a", "b"], [[ESCAPE, "1"]])
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err and "\x07" not in told.out + told.err
    assert told.out.count(r"\x1b]0;owned\x07") == 3 and r"\x1b]0;owned\x07" in told.err


def test_names_of_foreign_runs_and_files_reach_the_terminal_as_text(tmp_path, kresnet):
    (tmp_path / f"run{ESCAPE}").mkdir()
    (tmp_path / f"run{ESCAPE}" / "spec.json").write_text("{}")
    code, listed, _ = kresnet("runs", "--runs", tmp_path)
    assert code == 0 and r"run\x1b]0;owned" in listed and "\x1b" not in listed
    typed = (
        ("predict", "x.tflite", f"{ESCAPE}.png"),
        ("verify", f"{ESCAPE}.tflite"),
        ("report", ESCAPE),
        (ESCAPE,),
        ("train", f"--{ESCAPE}"),
    )
    for arguments in typed:
        done = run(*arguments, "--runs", str(tmp_path)) if len(arguments) > 1 else run(*arguments)
        assert done.returncode in (1, 2) and b"\x1b" not in done.stderr and rb"\x1b" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_standard_output_will_do(tmp_path, encoding):
    (tmp_path / "猫😀").mkdir()
    (tmp_path / "猫😀" / "spec.json").write_text("{}")
    done = run("runs", "--runs", str(tmp_path), env={**os.environ, "PYTHONIOENCODING": encoding})
    expected = "猫😀" if encoding == "utf-8" else r"\u732b\U0001f600"
    assert done.returncode == 0 and expected in done.stdout.decode(encoding), done.stderr


@pytest.mark.parametrize("arguments", [("models",), ("models", "--json"), ("--help",), ("completion", "bash")])
def test_a_reader_who_leaves_is_no_error(arguments):
    """As `| head -0`: exit code 1, and not a word."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*KRESNET, *arguments], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_messages_that_nobody_reads_stop_nothing():
    """A training goes on when the terminal that showed it is gone."""
    read, write = os.pipe()
    os.close(read)
    code = "from keras_resnet.cli import console; console.log('x'); console.log('y'); print('still here')"
    done = subprocess.run([sys.executable, "-c", code], stderr=write, stdout=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stdout) == (0, b"still here\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_standard_streams(closed):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m keras_resnet models --json {closed}"], capture_output=True, check=False
    )
    assert done.returncode == 0 and done.stderr == b""
    if not closed.startswith(">"):
        assert json.loads(done.stdout)


def test_the_scripts_on_a_device_show_text_as_text(capsys, monkeypatch):
    """They stand alone beside an exported file, whose labels may be anybody's."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "export" / "device_scripts"))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "keras_resnet" / "runtime"))
    import classify

    classify.print_line(f"{ESCAPE} café 猫\n")
    assert capsys.readouterr().out == r"\x1b]0;owned\x07\x1b[2J café 猫\n" + "\n"
