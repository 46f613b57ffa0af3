"""The example scripts run, offline, as they are, one after another in one process; test_notebooks.py runs the
notebooks."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
# With enough epochs for an answer that means something.
SCRIPTS = {
    "own_dataset.py": ("--size", "8", "--epochs", "6"),
    "fine_tune.py": ("--model", "resnet8", "--epochs", "4"),
    "custom_head.py": ("--epochs", "4", "--pictures", "800"),
    "export_in_five_lines.py": ("--epochs", "8", "--io", "int8"),
    "callback.py": ("--epochs", "4", "--every", "4"),
}
# Each in a folder of its own; TensorFlow starts once.
RUNNER = """
import contextlib, io, json, os, runpy, sys, traceback
done = {}
for script, *arguments in json.loads(sys.argv[1]):
    name = os.path.basename(script)
    os.mkdir(name.removesuffix(".py"))
    os.chdir(name.removesuffix(".py"))
    sys.argv = [script, *arguments]
    output = io.StringIO()
    code = 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as ended:
            code = int(ended.code or 0)
        except Exception:
            traceback.print_exc()
            code = 1
    os.chdir("..")
    done[name] = {"code": code, "output": output.getvalue()}
with open("done.json", "w") as file:
    json.dump(done, file)
"""
# Read by every Python that starts, also by the converter's.
OFFLINE = """
import socket
def refuse(self, address):
    raise OSError(f"no network here: {address}")
socket.socket.connect = socket.socket.connect_ex = refuse
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What became of each script: the folder that it ran in, what it printed."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "offline").mkdir()
    (folder / "offline" / "sitecustomize.py").write_text(OFFLINE)
    environment = os.environ | {"PYTHONPATH": f"{folder / 'offline'}{os.pathsep}{ROOT}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    commands = json.dumps([[str(EXAMPLES / script), *options] for script, options in SCRIPTS.items()])
    subprocess.run([sys.executable, "-c", RUNNER, commands], cwd=folder, env=environment, check=True)
    done = json.loads((folder / "done.json").read_text())

    def of(script):
        assert done[script]["code"] == 0, done[script]["output"][-3000:]
        return folder / script.removesuffix(".py"), done[script]["output"]

    return of


def share(output, before):
    """The percentage that stands after the words `before`, as a share."""
    return float(output.split(before)[1].split("%")[0]) / 100


def test_every_example_is_run_here():
    kept = {file.name for file in EXAMPLES.iterdir() if file.is_file()}
    assert {name for name in kept if not name.endswith(".ipynb")} == {"README.md", *SCRIPTS}
    table = (EXAMPLES / "README.md").read_text()
    assert all(f"[{name}]({name})" in table for name in SCRIPTS)


@pytest.mark.slow
def test_own_dataset(ran):
    folder, output = ran("own_dataset.py")
    assert output.split("precision: ")[1].startswith(("float32 (", "mixed_bfloat16 (", "mixed_float16 ("))
    assert share(output, "resnet20: ") > 0.85
    import keras

    model = keras.saving.load_model(folder / "own_dataset.keras")
    assert model.output_shape == (None, 10) and len(list((folder / "digits-png").rglob("*.png"))) == 1797


@pytest.mark.slow
def test_fine_tune(ran):
    folder, output = ran("fine_tune.py")
    assert "layers" in output.split("digits-0-4.keras: ")[1].splitlines()[0]
    frozen, whole = share(output, "frozen body: "), share(output, "tenth of the rate: ")
    assert whole > 0.9 and whole > frozen > 0.4
    assert (folder / "fine_tuned.keras").is_file()


@pytest.mark.slow
def test_custom_head(ran):
    folder, output = ran("custom_head.py")
    # By chance it would be 9 cells of 144.
    assert share(output, "its neighbours: ") > 0.9
    from PIL import Image

    assert Image.open(folder / "heat.png").size == (128, 256)


@pytest.mark.slow
def test_export_in_five_lines(ran):
    folder, output = ran("export_in_five_lines.py")
    assert re.search(r"PASSED(, not proven)?: digits\.tflite, ", output) and share(output, "top-1 accuracy ") > 0.85
    from keras_resnet.runtime.tflite_model import TFLiteModel

    model = TFLiteModel(folder / "digits.tflite")
    assert model.card.classes == tuple("0123456789") and model.pixels_from == -128.0


@pytest.mark.slow
def test_callback(ran):
    folder, output = ran("callback.py")
    told = output.split("in 8 bits by epoch: ")[1]
    assert told.startswith("{4: '") and share(told, "'") > 0.8
    passed = "epoch 4: PASSED" in output
    assert (folder / "best.tflite").is_file() == passed
    assert passed or "epoch 4: FAILED" in output
