"""Every command of README.md and docs/ is run: quick ones here, long ones with -m slow (see documented.py)."""

import os
import shutil
import signal
import subprocess
import sys
import time

import click
import pytest
from documented import ROOT, Documented, Fails, commands_in, documented, kind_of
from PIL import Image
from samples import filmed, paint

from keras_resnet.cli.main import cli
from keras_resnet.run import Run
from keras_resnet.runtime import cli as edge

ALL = documented()
# Seconds; TFDS would try to reach a network for minutes.
AT_ONCE = 60
MODULES = {"kresnet": "keras_resnet", "kresnet-edge": "keras_resnet.runtime.cli"}


def of_kind(kind, marks=()):
    """As parameters, with `marks`, those that are `kind`, a name of kind_of or Fails."""
    chosen = []
    for each in ALL:
        try:
            found = kind_of(each.command)
        except LookupError:  # test_each_has_its_place says so
            continue
        if found == kind or (kind is Fails and isinstance(found, Fails)):
            chosen.append(pytest.param(each, id=each.command, marks=marks))
    return chosen


def parse(words):
    """Raises click.UsageError, or SystemExit, for what the program does not take."""
    program, *arguments = words
    if program == "kresnet-edge":
        edge._parser().parse_args(arguments)
        return
    command, name, context = cli, program, None
    while True:
        context = command.make_context(name, list(arguments), parent=context)
        if not isinstance(command, click.Group):
            break
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
    if name == "launch":
        parse([program, *context.params["command"]])


def make_desk(folder, run, finder=None):
    """What the commands find: see documented.py."""
    home = folder / "saved_models"
    for name in ("RUN", "OTHER", "THIRD", "my-run", "resnet20-digits", run.name):
        shutil.copytree(run.folder, home / name, ignore=shutil.ignore_patterns("*-batches.tflite"))  # not for browsers
    if finder:
        shutil.copytree(finder.folder, home / "finder")
        # Which a command of the same page makes, where there is a network.
        shutil.copytree(run.folder, home / "head")
    for name in ("photos", "signs"):
        paint(folder / name, 12, size=32)
    shutil.copytree(folder / "photos" / "red", folder / "folder")
    Image.open(folder / "photos" / "red" / "000.png").save(folder / "photo.jpg")
    (folder / "docs" / "images").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "images" / "two.png", folder / "docs" / "images")
    filmed(folder / "street.mp4", 5)
    micro = "exports/int8-int8-io.tflite"
    for name in ("int8.tflite", "exports/int8.tflite", micro, f"saved_models/RUN/{micro}"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(run.exports / "int8.tflite", folder / name)
    return folder


@pytest.fixture(scope="module")
def made_desk(tmp_path_factory, exported):
    return make_desk(tmp_path_factory.mktemp("desk"), exported[0])


@pytest.fixture
def desk(made_desk, monkeypatch):
    # Which two commands write, under the name of the same file.
    shutil.rmtree(made_desk / "int8-bundle", ignore_errors=True)
    monkeypatch.chdir(made_desk)
    monkeypatch.setenv("KRESNET_RUNS", str(made_desk / "saved_models"))
    return made_desk


def started(each, desk, **options):
    """A process that runs `each` on the desk."""
    program, *arguments = each.runnable
    here = {"PYTHONPATH": str(ROOT), "KRESNET_RUNS": str(desk / "saved_models")}
    command = [sys.executable, "-m", MODULES[program], *map(os.path.expanduser, arguments)]
    return subprocess.Popen(command, cwd=desk, env=os.environ | here, text=True, stderr=subprocess.PIPE, **options)


def require_parts(each, request):
    """Skips what needs a part that is installed apart."""
    if any(word.startswith(("demo", "browser", "chromium")) for word in each.words):
        request.getfixturevalue("litert")


@pytest.mark.parametrize("each", [pytest.param(each, id=each.command) for each in ALL])
def test_each_has_its_place_and_parses(each):
    kind_of(each.command)
    parse(each.words)


@pytest.mark.parametrize("each", of_kind("quick"))
def test_quick_ones_run(kresnet, capsys, desk, each, request):
    require_parts(each, request)
    program, *arguments = each.runnable
    if program == "kresnet-edge":
        code, out = edge.main(arguments), capsys.readouterr().out
    else:
        code, out, _ = kresnet(*arguments)
    assert code == 0 and out.strip()


@pytest.mark.parametrize("each", [*of_kind("serving"), *of_kind("slowly serving", marks=pytest.mark.slow)])
def test_serving_ones_serve(desk, each, request):
    require_parts(each, request)
    # The newest run is meant where none is named: not one that another command of the pages has trained since.
    for run in (desk / "saved_models").iterdir():
        if not (run / "exports").is_dir():
            shutil.rmtree(run)
    with started(each, desk) as process:
        try:
            printed = [process.stderr.readline()]
            while "http" not in printed[-1] and "ready" not in printed[-1]:
                assert printed[-1], f"{each.command} ended with {process.wait()}: {''.join(printed)}"
                printed.append(process.stderr.readline())
        finally:
            process.send_signal(signal.SIGINT)
        try:
            assert process.wait(AT_ONCE) in (0, 130) and "Traceback" not in process.stderr.read()
        finally:
            process.kill()  # or a command that goes on would be waited for without end


@pytest.fixture
def nothing_else(desk, monkeypatch):
    """No network, no data, no weights of earlier downloads, no camera, no compiler."""
    import cv2
    import tensorflow_datasets as tfds

    from keras_resnet.data.sources import tfds as tfds_source
    from keras_resnet.export.accelerators import ethos_u
    from keras_resnet.pretrained import hub

    def refuse(*_):
        raise ConnectionRefusedError(111, "Connection refused")

    from keras_resnet.export.devices import commands

    monkeypatch.setattr(commands.shutil, "which", lambda name: name if name == "ssh" else None)
    for module in (tfds_source, hub):
        monkeypatch.setattr(module, "is_reachable", lambda host: False)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(desk / "tfds"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(desk / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(desk / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(desk / "keras"))
    monkeypatch.setenv("HOME", str(desk))
    monkeypatch.setattr(cv2, "VideoCapture", lambda source, real=cv2.VideoCapture: real())
    found = ethos_u.importlib.util.find_spec
    monkeypatch.setattr(ethos_u.importlib.util, "find_spec", lambda name: None if name == "ethosu" else found(name))
    monkeypatch.setattr("keras_resnet.data.service.socket.create_connection", refuse)


@pytest.mark.parametrize("each", of_kind(Fails))
def test_those_that_need_more_say_so_at_once(kresnet, nothing_else, desk, each):
    fails, start = kind_of(each.command), time.perf_counter()
    runs = {run.name for run in Run.all(desk / "saved_models")}
    code, out, err = kresnet(*each.runnable[1:])
    assert (code, out) == (fails.code, "") and fails.words in err[-1]
    assert err[-1].startswith("kresnet: ") and not any(line.startswith("kresnet: ") for line in err[:-1])
    assert time.perf_counter() - start < AT_ONCE
    assert {run.name for run in Run.all(desk / "saved_models")} == runs


@pytest.fixture(scope="module")
def slow_desk(tmp_path_factory, exported, segmented):
    return make_desk(tmp_path_factory.mktemp("slow"), exported[0], segmented)


@pytest.mark.slow
@pytest.mark.parametrize("each", of_kind("slow"))
def test_slow_ones_run(slow_desk, each, request):
    require_parts(each, request)
    with started(each, slow_desk, stdout=subprocess.PIPE) as process:
        out, err = process.communicate()
    assert process.returncode == 0 and out.strip(), err


def test_what_a_line_runs():
    line = "$ kresnet export RUN --tflite > told.txt && kresnet-edge predict a.tflite ~/b.png | head  # kresnet no"
    assert list(commands_in(line)) == ["kresnet export RUN --tflite", "kresnet-edge predict a.tflite ~/b.png"]
    assert list(commands_in("pip install kresnet_edge-0.1.0.whl")) == []
    assert list(commands_in("kresnet train --set 'head.convs=3'")) == ["kresnet train --set head.convs=3"]


@pytest.mark.parametrize(
    "command",
    [
        "kresnet train --dept",
        "kresnet trian",
        "kresnet train --epochs many",
        "kresnet compress RUN --qat both",
        "kresnet launch --workers 2 -- train --dpeth 50",
        "kresnet-edge predict a.tflite b.png --tops 3",
    ],
)
def test_what_does_not_parse(command):
    with pytest.raises((click.UsageError, SystemExit)):
        parse(Documented(command, []).words)


def test_a_command_without_a_place():
    with pytest.raises(LookupError, match="0 lines of"):
        kind_of("kresnet train --depth 5000")
    with pytest.raises(LookupError, match="2 lines of"):
        kind_of("kresnet export RUN --tflite --quantize int8 --target ethos-u55-128 --with-nms")
